"""Configurations of cells that train in a second, one per kind of system."""

from pathlib import Path

from omegaconf import DictConfig

from factories.configurations import composed

SMALL = """
corpus=synthetic corpus.types=300 corpus.words=6000 corpus.document_words=200 vocabulary.size=200 targets=random
targets.dimension=16 backbone.trunk.hidden_size=16 budget.words=1500 batch.streams=4 batch.steps=20 generation.words=3
generation.prompts=[baab] logger=none evaluation.calibration_words=100 evaluation.search_words=5 trainer=cpu
checkpoint.seconds=0
""".split()

SYSTEMS = {
    "softmax": ["system=softmax", "backbone.trunk.layers=2"],  # dropout between layers and before the head
    "gru": ["system=softmax", "backbone=gru"],
    "sampled_softmax": ["system=sampled_softmax", "system.head.samples=20"],  # draws negatives at every step
    "adaptive_softmax": ["system=adaptive_softmax"],
    "cosine": ["system=cosine"],
    "vmf": ["system=vmf"],
    "infonce": ["system=infonce"],  # learns a temperature too
    "initialised_softmax": ["system=initialised_softmax", "system.head.samples=20"],  # row-sparse within a submodule
    "rescued": ["system=rescued"],  # two losses, one of a detached prediction
    "gpt2": ["system=gpt2", "system.model.pieces=300", "system.model.width=16", "system.model.dropout=0.1",
             "system.model.context=16"],
}  # fmt: skip


def settings(folder: Path, *more: str) -> DictConfig:
    return composed(*SMALL, f"results_dir={folder}", f"cache_dir={folder}", *more)
