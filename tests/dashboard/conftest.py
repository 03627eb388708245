"""Two experiments that were uploaded offline, for all tests of dashboards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories.experiments import write_experiments

from bench.wandb_upload import upload


@pytest.fixture(scope="session")
def uploaded(built_once: Callable[..., Path]) -> Iterator[Path]:
    """Folder of the experiments `sweep` and `single`, each with its runs of W&B."""

    def build(folder: Path) -> None:
        write_experiments(folder)
        upload([folder], project="test", mode="offline")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_DATA_DIR", "")  # `start_run` sets it
        patch.delenv("WANDB_DATA_DIR")
        yield built_once("uploaded", build)
