"""Random target table: a control whose distances between words mean nothing. V words, D columns."""

import torch

from bench.core.errors import SettingError
from bench.core.settings import Seed, Width
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets


def random(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    level: str,
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

    Raises:
        SettingError: another level, or a dimension that is not positive.
    """
    if level != "type":
        raise SettingError("targets.level", f"random targets have no {level} vectors; use targets.level=type")
    if dimension < 1:
        raise SettingError("targets.dimension", f"{dimension} is not positive")
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(len(vocabulary), dimension, generator=generator)
    return Targets(name, level, rows, normalise=unit_length)
