"""Four hundred damaged command lines: each runs, or ends with one line that names a key; none with a traceback."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import bench.run
from bench import cli
from bench.core.known_settings import model_keys
from bench.core.record import POSITIONS
from bench.core.settings import Settings
from bench.evaluation.score import ScoredText

EXAMPLES = 400
TINY = ["corpus.path=text.txt", "vocabulary.size=30", "batch.streams=2", "batch.steps=8", "generation.prompts=[the]"]
TRUNK = ["backbone.trunk.hidden_size=8", "backbone.trunk.layers=1", "backbone.trunk.dropout=0.0"]
SYSTEMS = {
    "softmax": TRUNK,
    "sampled_softmax": [*TRUNK, "system.head.samples=5"],
    "adaptive_softmax": [*TRUNK, "system.head.cutoffs=[0.2,0.6]", "system.head.narrowing=2.0"],
    "mse": [*TRUNK, "targets=random", "targets.dimension=4", "targets.seed=1"],
    "cosine": [*TRUNK, "targets=random", "targets.dimension=4", "targets.level=type"],
    "nce": [*TRUNK, "system.head.samples=5"],
    "infonce": [*TRUNK, "targets=random", "system.head.samples=5", "system.head.temperature=0.5"],
    "vmf": [*TRUNK, "targets=random", "targets.dimension=4"],
    "max_margin": [*TRUNK, "targets=random", "system.head.margin=0.2"],
    "frozen_softmax": [*TRUNK, "targets=ppmi", "targets.dimension=4", "system.head.temperature=0.5"],
    "initialised_softmax": [*TRUNK, "targets=random", "system.head.samples=5"],
    "projected_softmax": [*TRUNK, "system.head.width=4", "system.head.samples=null"],
    "rescued": [*TRUNK, "targets=random", "targets.dimension=4", "system.head.width=4"],
    "gpt2": ["system.model.pieces=300", "system.model.width=8", "system.model.layers=1", "system.model.context=16"],
    "ngram": ["system.model.order=2"],
    "unigram": [],
    "truth": [],
}
PLAIN = [
    "seed=3", "inputs=learned", "optimizer.lr=1e-3", "optimizer.weight_decay=0", "optimizer.gradient_clip=null",
    "budget.words=100", "budget.seconds=5", "evaluation.validation_words=100", "evaluation.test_words=50",
    "evaluation.calibration_words=20", "evaluation.search_words=5", "generation.words=2", "experiment_name=fuzz",
    "results_dir=results", "force=true", "backbone=gru", "backbone=lstm", "trainer=cpu", "trainer.devices=1",
    "trainer.precision=32-true", "corpus.lowercase=false", "competitors=mse", "system.name=mine", "cache_dir=cache",
    "backbone.trunk.cell.path=torch.nn.GRU",
]  # fmt: skip
LANGUAGE = [
    "corpus.types=50", "corpus.words=3000", "corpus.classes=3", "corpus.document_words=100", "corpus.concentration=2",
    "corpus.seed=1", "generation.prompts=[baab]", "vocabulary.size=30", "batch.streams=2",
]  # fmt: skip
VALUES = [
    "null", "true", "0", "-1", "1", "2.5", "-1e-9", "nan", "inf", "-inf", "1e308", "1e999", "9" * 30, "2147483647",
    "65537", "1000", "''", '""', "", "abc", "é", "𝔸𝒷", "שלום", "\u202e", "a\x00b", "\ud800", "\n", "'", '"', "'a",
    '"a', "[", "]", "{", "}", "[1,2]", "{a:1}", "[[[[", "()", "(", ",", "1,2", "a,b", "${seed}", "${nothing}", "${",
    "$", "${oc.env:NOPE}", "${nope:1}", "${${seed}}", "${system}", "???", "..", "../..", "/", "/proc/self/mem",
    "/dev/zero", "~", "~nobody/x", ".", "a/b", "x" * 300, "a" * 5000, "a=b", "=", "\\", "\\'", "%s", "*", "glob(*)",
    "range(3)", "choice(1,2)", "interval(0,1)", "tag(a,1)", "int(x)", "sort(", "0x10", "1_000", "٣", "1e3", "yes",
    "No", "#", "a: b", "- a", "!!python/object:os.system", "text.txt", "os.system", "bench.heads.Head",
    "bench.heads.softmax.SoftmaxHead", "torch.nn.Linear", "builtins.dict", "nowhere.Class",
]  # fmt: skip
KINDS = ["value", "value", "fine", "fine", "fine", "fine", "delete", "drop", "append", "key", "typo", "add", "twice"]
KEYS = [
    "nothing", "system.nothing", "vocabulary.sise", "system.head.nothing", "targets.nothing", "trainer.nothing",
    "seed.deep", "vocabulary", "budget", "system", "system.head", "system.model", "corpus", "corpus.source",
    "backbone.trunk", "targets", "trainer", "logger", "experiment", "search", "trial", "system.head._target_",
    "system.model._target_", "backbone.trunk._target_", "corpus.source._target_", "targets._target_",
    "trainer._target_", "logger._target_", "system.head.hidden_size", "system.head.targets", "backbone.trunk.cell",
    "corpus.content_sha256", "corpus.path", "system.pretrained", "system.lr", "system.open_vocabulary", "generation",
    "generation.prompts", "optimizer", "é", "a b", "", "'", "..", "seed@x",
]  # fmt: skip
REFERENCE = [
    "targets.layer=-1", "targets.window=8", "targets.context=causal", "targets.pooling=mean",
    "targets.precision=fp32", "targets.whiten=true", "targets.encoder=null", "targets.special_tokens=cls",
    "targets.centre=false", "targets.normalise=false",
]  # fmt: skip


@st.composite
def command_lines(draw) -> tuple[list[str], list[str]]:
    """A valid one, and with one or two arguments damaged."""
    system = draw(st.sampled_from(list(SYSTEMS)))
    language = system == "truth" or draw(st.integers(0, 9)) == 0
    line = [f"system={system}", *SYSTEMS[system], "logger=none", "trainer=cpu"]
    line += ["corpus=synthetic", *LANGUAGE] if language else ["corpus=text", *TINY]
    line += draw(st.lists(st.sampled_from(PLAIN), max_size=3, unique=True))
    if system in ("softmax", "unigram"):
        line += draw(st.lists(st.sampled_from(REFERENCE), max_size=1))
    damaged = list(line)
    for _ in range(draw(st.integers(1, 2))):
        damaged = draw(damage(damaged))
    return line, damaged


@st.composite
def damage(draw, line: list[str]) -> list[str]:
    """One argument changed, dropped or added."""
    at = draw(st.integers(0, len(line) - 1))
    key, _, value = line[at].partition("=")
    bad = st.sampled_from(VALUES) | st.text(max_size=6)
    kind = draw(st.sampled_from(KINDS))
    made = {
        "fine": lambda: [line[at], draw(st.sampled_from(PLAIN))],
        "value": lambda: [f"{key}={draw(bad)}"],
        "delete": lambda: [line[at], f"~{key}"],
        "drop": lambda: [],
        "append": lambda: [f"+{line[at]}"],
        "key": lambda: [line[at], f"{draw(st.sampled_from(KEYS))}={draw(bad)}"],
        "typo": lambda: [f"{key[:-1]}={value}"],
        "add": lambda: [line[at], f"+{draw(st.sampled_from(KEYS))}={draw(bad)}"],
        "twice": lambda: [line[at], f"{key}={draw(st.sampled_from(VALUES))}"],
    }[kind]()
    return line[:at] + made + line[at + 1 :]


def known(key: str, line: list[str]) -> bool:
    """Whether a message's key is one of the configuration's, or of the command line's."""
    given = [each.lstrip("+~").split("=")[0].split("@")[0].strip() for each in line]
    given += [each.split(": ")[0] for each in line if each.startswith("=")]  # an argument without a key, as typed
    keys = [*model_keys(Settings), *KEYS, *given, *(each.split("=")[0] for each in (*PLAIN, *LANGUAGE, *REFERENCE))]
    keys += [each.split("=")[0] for extra in SYSTEMS.values() for each in extra]
    return any(each and (key == each or key.startswith(f"{each}.") or each.startswith(f"{key}.")) for each in keys)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a small text, in which nothing is trained."""
    random = np.random.default_rng(0)
    words = np.array(["the", *(f"w{i}" for i in range(60))])
    documents = [" ".join(words[np.minimum(random.zipf(1.5, 200) - 1, 60)]) for _ in range(8)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    scored = ScoredText(**dict.fromkeys(POSITIONS, np.zeros(1, np.float32)))
    monkeypatch.setattr(bench.run, "measure", lambda *_: ({"bits_per_byte": 1.0}, scored))
    return tmp_path


def ends(line: list[str], capsys, monkeypatch) -> tuple[int, list[str]]:
    """`main` in this process: its exit status and what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["bench", *line])
    capsys.readouterr()
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    return code, capsys.readouterr().err.splitlines()


@pytest.mark.slow
def test_damaged_command_line_runs_or_is_refused_in_one_line(place, capsys, monkeypatch):
    counts = Counter()

    @settings(
        phases=[Phase.generate],  # a failing line is short enough to read as it is
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(command_lines())
    def each(lines):
        _, damaged = lines
        code, said = ends(damaged, capsys, monkeypatch)
        counts[code] += 1
        if code == 2:
            assert len(said) == 1, (damaged, said)
            assert known(said[0].split(": ")[0], damaged), (damaged, said)
        else:
            assert code == 0, (damaged, said)

    each()
    with capsys.disabled():
        print(f"\n{sum(counts.values())} command lines: {counts[0]} run, {counts[2]} are refused in one line")
    assert counts[2] > 50 and counts[0] > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "damaged",
    [
        "vocabulary.size=nan", "optimizer.lr=[", "system=sofmax", "+system.head.colour=red", "~seed", "seed=${nothing}",
        "corpus.path=/dev/zero", "results_dir=/dev/null/x", "experiment_name=../x", "seed=1,2",
    ],
)  # fmt: skip
def test_damaged_command_line_is_refused_in_a_process_of_its_own(place, forked, damaged):
    line = ["system=softmax", *TRUNK, "corpus=text", *TINY, "logger=none"]
    key = damaged.lstrip("+~").partition("=")[0]
    kept = [each for each in line if not each.startswith(f"{key}=")]
    run = forked(place, *kept, damaged)
    assert run.returncode == 2
    [said] = run.stderr.splitlines()
    assert said.startswith(f"{key}: ")
    assert not [*place.rglob("*.json"), *place.rglob("*.safetensors")]
