"""End to end: a head of another package whose loss uses an op without a FLOP formula."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.core.record import read_records

HEAD = '''
import torch
from torch import nn

from bench.heads import Head


class DistanceHead(Head):
    """Scores are negative distances by torch.cdist, whose FLOPs torch does not count."""

    def __init__(self, *, hidden_size, vocabulary):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.centres = nn.Parameter(torch.randn(len(vocabulary), hidden_size))

    def loss(self, hidden, words):
        return nn.functional.cross_entropy(self.scores(hidden), words)

    def scores(self, hidden):
        return -torch.cdist(hidden, self.centres)
'''

SETTINGS = """
+experiment=smoke system=softmax system.head._target_=distance_head.DistanceHead corpus=synthetic corpus.types=200
corpus.words=4000 corpus.document_words=100 vocabulary.size=100 backbone.trunk.hidden_size=8 budget.words=1000
batch.streams=4 generation.words=2 generation.prompts=[baab] logger=csv trainer=cpu
""".split()


@pytest.fixture(scope="module")
def cell(tmp_path_factory, forked) -> SimpleNamespace:
    """The folder and the process of one trained cell."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "distance_head.py").write_text(HEAD)
    return SimpleNamespace(folder=folder, process=forked(folder, *SETTINGS))


def test_cell_of_an_uncounted_head_ends_well_with_null_flops_and_one_line(cell):
    process = cell.process
    assert process.returncode == 0, process.stdout + process.stderr
    lines = [line for line in process.stderr.splitlines() if "flops_per_position" in line]
    assert len(lines) == 1 and lines[0].startswith("flops_per_position: null, as no formula counts torch.ops.aten._")
    [(_, record)] = read_records([cell.folder / "results"])
    assert (record.status, record.head_flops_per_position, record.flops_per_position) == ("ok", None, None)
    assert record.curve and all(row["words"] > 0 and "flops" not in row for row in record.curve)


def test_logger_and_report_of_an_uncounted_head_leave_flops_out(cell):
    [metrics] = cell.folder.rglob("metrics.csv")
    header = metrics.read_text().splitlines()[0].split(",")
    assert "validation_nats" in header and "bits_per_byte" in header and "flops" not in header
    folder: Path = cell.folder / "results" / "smoke"
    [(_, record)] = read_records([folder])
    assert f"| {record.system} |" in (folder / "leaderboard.md").read_text()
    for figure in ("quality_vs_cost", "learning_curves"):
        assert list(folder.glob(f"**/{figure}.*"))
