"""Random search: resolvers that draw a setting for a trial; a search is a sweep over the numbers of its trials.

A draw is a function of (trial, name) alone, so systems get the same draws of the settings that they share.
Each dozen of trials is a Latin hypercube (McKay et al. 1979): every setting has one draw in each twelfth of its range.
"""

import zlib
from typing import Any

from omegaconf import OmegaConf

DOZEN = 12


def uniform(trial: int, name: str) -> float:
    """Draw from the uniform distribution on [0, 1)."""
    import numpy as np  # here, as every command registers the resolvers and few draw

    dozen, nth = divmod(int(trial), DOZEN)
    random = np.random.default_rng((dozen, zlib.crc32(name.encode())))
    return float((random.permutation(DOZEN)[nth] + random.random(DOZEN)[nth]) / DOZEN)


def log_uniform(trial: int, name: str, low: float, high: float) -> float:
    """Draw log-uniformly, to three digits: `${log_uniform:${trial},lr,1e-3,3e-2}`."""
    return float(f"{low * (high / low) ** uniform(trial, name):.2e}")


def one_of(trial: int, name: str, choices: list[Any]) -> Any:
    """Draw one of the choices: `${one_of:${trial},width,[128,256]}`."""
    return choices[int(uniform(trial, name) * len(choices))]


def register() -> None:
    """Register both resolvers with OmegaConf."""
    for resolver in (log_uniform, one_of):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
