"""What the mirrors are given: a run a cell, flat settings, final figures, texts."""

import json

import pytest
import wandb

from bench import loggers
from bench.record import Record

CONFIG = {
    "system": {"name": "cosine", "head": {"samples": 3}},
    "corpus": {"name": "kjv"},
    "vocabulary": {"size": 50},
    "experiment_name": "trial",
}
RECORD = Record(
    experiment="trial",
    system="cosine",
    head="CosineHead",
    backbone="lstm",
    corpus="kjv",
    vocabulary_size=50,
    seed=0,
    bits_per_byte=2.5,
    is_density=False,
    generations=[{"prompt": "in the", "greedy": "a b", "sampled": "c d"}],
)


def test_settings_are_flat_and_keep_their_values():
    assert loggers.flat({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}


def test_csv_keeps_the_figures(tmp_path):
    logger = loggers.csv(folder=tmp_path, cell="one", config=CONFIG)
    with loggers.mirroring(logger):
        logger.log_metrics({"words": 10, "validation_nats": 3.0}, step=1)
        loggers.mirror(logger, RECORD)
    text = (tmp_path / "logs" / "one" / "metrics.csv").read_text()
    assert "validation_nats" in text and "bits_per_byte" in text and "2.5" in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb.*", "ignore::ResourceWarning")
def test_wandb_offline_has_a_run_a_cell_with_summary_and_texts(tmp_path):
    runs = []
    for cell in ("one", "two"):
        logger = loggers.weights_and_biases(folder=tmp_path, cell=cell, config=CONFIG, project="test", mode="offline")
        with loggers.mirroring(logger):
            run = logger.experiment
            runs.append(run)
            logger.log_metrics({"words": 10, "seconds": 1.0, "flops": 5.0, "validation_nats": 3.0}, step=1)
            loggers.mirror(logger, RECORD)
            assert (run.name, run.group, run.job_type) == (cell, "trial", "cosine")
            assert set(run.tags) == {"cosine", "kjv", "v50"}
            assert run.config["system.head.samples"] == 3
            summary = json.loads(json.dumps(dict(run.summary), default=str))
            assert summary["bits_per_byte"] == 2.5 and summary["validation_nats"] == 3.0
            assert "is_density" not in summary  # a scalar that nobody plots
    assert runs[0].id != runs[1].id
    assert wandb.run is None  # the next cell finds no run that it could write into
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2
    assert list((tmp_path / "wandb").rglob("generations*.table.json"))


def test_a_mirror_that_breaks_costs_no_result(capsys):
    class Broken(loggers.Logger):
        name = version = None

        def log_hyperparams(self, *_):
            """Nothing."""

        def log_metrics(self, *_):
            raise OSError("disk full")

    loggers.mirror(Broken(), RECORD)
    assert "disk full" in capsys.readouterr().out
