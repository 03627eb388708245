"""Folders of records of two experiments, in which every figure that a dashboard shows was measured."""

import dataclasses
from pathlib import Path

from bench.core.record import Record
from bench.report.generation_texts import HEADINGS
from factories.records import sweep_records, write_all

SYSTEMS = ("softmax", "mse", "unigram")

DIAGNOSIS = {
    "accuracy_at_1": 0.12, "reference_accuracy_at_1": 0.2, "lost_to_target_ambiguity": 0.0,
    "lost_to_conditional_mean": 0.06, "lost_to_fit": -0.01, "lost_to_decoding": 0.03,
}  # fmt: skip

QUALITY = dict.fromkeys((each.field for each in HEADINGS), 0.5) | {"frechet_low": 0.4, "frechet_high": 0.6}

TEXT = {"prompt": "the king", "real": "said to him", "greedy": "of the", "sampled": "a man"}


def experiment(name: str, sizes: tuple[int, ...]) -> list[Record]:
    """Return records of three systems with two seeds; the regressor is diagnosed."""
    return [
        dataclasses.replace(
            record,
            experiment=name,
            config=record.config | {"experiment_name": name},
            diagnosis=DIAGNOSIS if record.system == "mse" else None,
            generation_quality=dict.fromkeys(("real", "greedy", "sampled"), QUALITY) | {"texts": [TEXT]},
        )
        for record in sweep_records()
        if record.system in SYSTEMS and record.vocabulary_size in sizes
    ]


def write_experiments(folder: Path, names: tuple[str, str] = ("sweep", "single")) -> list[Path]:
    """Write an experiment of two V and another of one V, with a figure each; return their folders."""
    for name, sizes in zip(names, ((1000, 5000), (5000,)), strict=True):
        write_all(experiment(name, sizes), folder / name)
        (folder / name / "figures").mkdir()
        (folder / name / "figures" / "quality_vs_cost.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        (folder / name / "leaderboard.md").write_text("# Leaderboard\n")
    return [folder / name for name in names]
