"""Texts of millions of words and hundreds of thousands of types: opened by a second process, trained on every type."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factories.commands import bench
from factories.zipf_text import spelling, write_zipf_text

from bench.data.sources.files import text
from bench.data.vocabulary import Vocabulary

WORDS, TYPES = 2_000_000, 300_000

OPEN = """
import json, pathlib, sys, time
from bench.data.sources.files import text
begin = time.perf_counter()
corpus = text(sys.argv[1], cache_dir=sys.argv[2])
figures = {"seconds": time.perf_counter() - begin, "types": len(corpus.lexicon), "torch": "torch" in sys.modules}
[peak] = [line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps(figures | {"mib": int(peak.split()[1]) / 1024}))  # maxrss would count the memory of the parent
"""


def test_spellings_of_types_differ():
    assert len({spelling(number) for number in range(100_000)}) == 100_000


def test_zipf_text_has_documents_of_a_thousand_words(tmp_path):
    corpus = text(str(write_zipf_text(tmp_path / "zipf.txt", 30_000, 500)))
    sizes = {size for split in (corpus.train, corpus.validation, corpus.test) for size in np.diff(split.starts)}
    assert sizes == {1000}
    assert corpus.counts[0] == pytest.approx(len(corpus.train) / np.sum(1 / np.arange(1, 501)), rel=0.1)


@pytest.mark.slow
def test_second_process_opens_a_large_text_at_once(tmp_path):
    path, cache = write_zipf_text(tmp_path / "zipf.txt", WORDS, TYPES), tmp_path / "cache"
    command = [sys.executable, "-c", OPEN, str(path), str(cache)]
    first, second = (json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(2))
    assert second["types"] == first["types"] > 195_000
    assert second["seconds"] < min(2.0, first["seconds"] / 3)
    assert second["mib"] < 200
    assert not second["torch"]


@pytest.mark.slow
def test_every_type_of_a_large_text_is_trained_and_scored(tmp_path: Path):
    documents = ["the of and " * 20 + " ".join(map(spelling, range(i, i + 1000))) for i in range(0, 440_000, 1000)]
    (tmp_path / "types.txt").write_text("\n\n".join(documents))
    corpus = text(str(tmp_path / "types.txt"))
    types = len(Vocabulary(corpus, None))
    assert types == (corpus.counts > 0).sum() > 300_000
    common = ["logger=none", "trainer=cpu", "generation.words=2", "evaluation.test_words=1000", "results_dir=."]
    sizes = [
        "vocabulary.size=null",
        "corpus.train_words=null",
        "budget.words=2000",
        "evaluation.validation_words=500",
        "evaluation.calibration_words=100",
        "backbone.trunk.hidden_size=16",
        f"cache_dir={tmp_path}",
    ]
    done = bench(tmp_path, "system=sampled_softmax", "corpus=text", "corpus.path=types.txt", *common, *sizes)
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "single").glob("*.json")
    record = json.loads(path.read_text())
    assert (record["status"], record["vocabulary_size"]) == ("ok", types)
    assert "-vall-" in path.name
