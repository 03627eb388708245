"""Hash of a cell's code: changes with code, not with words about it, and covers what a head builds on."""

import ast
import sys
from pathlib import Path

import pytest
from factories.configurations import plain

from bench.core import source_hash
from bench.core.source_hash import cell_sha256, made_by_other_code, module_of, source_sha256, syntax


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Return a package `outside_package` of another author, whose head can be edited."""
    (tmp_path / "outside_package").mkdir()
    (tmp_path / "outside_package" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "outside_package" / "head.py"
    for name in [name for name in sys.modules if name.split(".")[0] == "outside_package"]:
        del sys.modules[name]


def hash_of(file: Path, code: str) -> str:
    file.write_text(code)
    source_hash.read_module.cache_clear()
    return source_sha256(["outside_package.head.Head"])


def test_hash_changes_with_code_alone(package):
    first = hash_of(package, "class Head:\n    margin = 1\n")
    assert hash_of(package, '"""Words."""\n\n\nclass Head:\n    """More words."""\n\n    margin = 1  # why\n') == first
    assert hash_of(package, "class Head:\n    margin = 2\n") != first


def test_head_is_hashed_with_what_its_module_imports(monkeypatch):
    read = source_hash.read_module
    before = source_sha256(["bench.heads.cosine.CosineHead"])
    seen: list[str] = []

    def other_code(module: str) -> tuple[str, frozenset[str]]:
        seen.append(module)
        code, imported = read(module)
        return (code + " changed" if module == "bench.heads._regressor" else code), imported

    monkeypatch.setattr(source_hash, "read_module", other_code)
    assert source_sha256(["bench.heads.cosine.CosineHead"]) != before
    assert {"bench.heads.cosine", "bench.heads._regressor", "bench.targets.tables"} <= set(seen)
    assert not any(module.startswith(("bench.core", "bench.report", "torch")) for module in seen)


def test_target_of_a_library_has_no_source_here():
    assert module_of("torch.nn.LSTM") is None
    assert module_of("bench.heads.mse.MSEHead") == "bench.heads.mse"
    assert module_of("bench.run") == "bench.run"


def test_hash_ignores_fields_that_other_versions_of_python_lack():
    tree = ast.parse("def f(x): return x or None")
    first = syntax(tree)
    tree.body[0].type_params = []  # Python 3.12 and later
    assert syntax(tree) == first and "type_params" not in repr(first)


def cell(**more) -> dict:
    return plain("system=cosine", "corpus=synthetic", "targets=random") | more


def test_cell_is_hashed_with_the_sources_of_all_its_parts(monkeypatch):
    seen: set[str] = set()

    def recorded(targets) -> str:
        seen.update(targets)
        return "0"

    monkeypatch.setattr(source_hash, "source_sha256", recorded)
    cell_sha256(cell())
    trunk, corpus, targets = (
        "bench.models.backbones.rnn.RNN",
        "bench.data.sources.synthetic.synthetic",
        "bench.targets.random.random",
    )
    assert {trunk, corpus, targets, "bench.heads.cosine.CosineHead", source_hash.WORD_MODEL} <= seen
    seen.clear()
    cell_sha256(plain("system=softmax", "corpus=synthetic"))
    assert {trunk, corpus, "bench.heads.softmax.SoftmaxHead"} <= seen
    assert "bench.targets.tables.bert" not in seen
    seen.clear()
    cell_sha256(plain("system=ngram", "corpus=synthetic"))
    assert seen == {corpus, "bench.models.count_model.CountModel"}


def test_result_without_a_hash_is_not_called_other_code():
    assert not made_by_other_code(None, cell())
    assert not made_by_other_code(cell_sha256(cell()), cell())
    assert made_by_other_code("0" * 64, cell())
