"""Two experiments that were uploaded offline, for all tests of dashboards."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories.experiments import write_experiments

from bench.wandb_upload import upload


@pytest.fixture(scope="session")
def uploaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the experiments `sweep` and `single`, each with its runs of W&B."""
    folder, data_dir = tmp_path_factory.mktemp("results"), os.environ.get("WANDB_DATA_DIR")
    write_experiments(folder)
    upload([folder], project="test", mode="offline")
    yield folder
    os.environ.pop("WANDB_DATA_DIR")  # `start_run` set it
    if data_dir is not None:
        os.environ["WANDB_DATA_DIR"] = data_dir
