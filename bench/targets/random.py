"""Random target table: a control whose distances between words mean nothing. V words, D columns."""

import torch

from bench.core.settings import Seed, Width
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets, TypeLevel


def random(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    level: TypeLevel,
    dimension: Width,
    seed: Seed,
    unit_length: bool = False,
) -> Targets:
    """Return a table of independent Gaussian rows.

    Args:
        cache_dir: not used; all targets are built with this argument.
        level: `type`; random targets have no vectors of occurrences.
        unit_length: scale the rows to length 1, which makes the directions uniform. Without it lengths are about √D,
            and the squared error starts about D times larger. False where a record of an earlier version lacks it.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(len(vocabulary), dimension, generator=generator)
    return Targets(name, level, rows, normalise=unit_length)
