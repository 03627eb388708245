"""Functions that the configuration tree calls, as in `${rate_by_words:${system.lr},${budget.words}}`.

`log_uniform` and `one_of` draw a setting for a trial; a random search is a sweep over the numbers of its trials. A draw
is a function of (trial, name) alone, so systems get the same draws of the settings that they share. Each dozen of
trials is a Latin hypercube (McKay et al. 1979): every setting has one draw in each twelfth of its range.
"""

import os
import zlib
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.errors import SettingError

DOZEN = 12

SEARCHED_WORDS = 150_000  # training words of experiment=tune, on which the rates of conf/system were searched

# The best rate falls about as N^-0.3 with the number N of training words: measured with six heads at 300,000, 1,000,000
# and 3,000,000 words (experiment=learning_rate on 260 books, V = 10,000), at batch.streams=16; larger batches may bear
# higher rates.
EXPONENT = 0.3


def cache_folder() -> str:
    """Return the default of the setting `cache_dir`: HEAD_BENCH_CACHE, or a folder in the user's home.

    Raises:
        SettingError: the variable is not set and the user has no home folder.
    """
    if folder := os.environ.get("HEAD_BENCH_CACHE"):
        return folder
    try:
        return str(Path.home() / ".cache" / "head-bench")
    except RuntimeError:
        raise SettingError("cache_dir", "there is no home folder; set HOME or HEAD_BENCH_CACHE") from None


def last_part(path: Any) -> str:
    """Return the name of a file or folder without the folders above it."""
    return Path(str(path)).name


def if_null(value: Any, then: Any, other: Any) -> Any:
    """Return `then` for null, else `other`."""
    return then if value is None else other


def axis(choices: str | list[str]) -> str:
    """Return a list as Hydra's sweeper writes one."""
    return choices if isinstance(choices, str) else ",".join(choices)


def scaled(scale: float, count: int, least: int) -> int:
    """Return the number of words or types in a rehearsal."""
    return max(least, round(count * scale))


def rate_by_words(searched: float | None, words: int | None) -> float | None:
    """Return the peak learning rate for a number of training words.

    Args:
        searched: rate that was searched on `SEARCHED_WORDS`; None for a system that has none.
        words: training words; None for a budget of seconds alone. With None, or with at most `SEARCHED_WORDS`, the
            searched rate is returned.
    """
    if searched is None or words is None or words <= SEARCHED_WORDS:
        return searched
    return float(f"{searched * (SEARCHED_WORDS / words) ** EXPONENT:.2g}")


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
    """Register every resolver with OmegaConf."""
    for resolver in (cache_folder, last_part, if_null, axis, scaled, rate_by_words, log_uniform, one_of):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
