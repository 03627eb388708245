"""Parse each YAML file once: Hydra reads a dozen per composition, which is a third of its time."""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from omegaconf import DictConfig, ListConfig, OmegaConf


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """Keep what `OmegaConf.load` has read, until the file changes; each caller gets a copy."""
    load, parsed = OmegaConf.load, {}

    def load_once(file: IO | str | Path) -> DictConfig | ListConfig:
        path = Path(file if isinstance(file, str | Path) else file.name)
        key = (path, path.stat().st_mtime_ns, path.stat().st_size)
        if key not in parsed:
            parsed[key] = load(file)
        return copy.deepcopy(parsed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", load_once)
        yield
