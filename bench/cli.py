"""The Hydra entry: one configuration -> one Record."""

import logging
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from bench import draws, memory, progress
from bench.errors import SettingError
from bench.launchers import check_launcher
from bench.settings import check
from bench.stopping import STOP, STOPPED, Stopped

BAD_INPUT, FAILED = 2, 1


def configuration() -> str:
    """Where the configuration tree lies: beside the package in a checkout, inside it in a wheel."""
    beside = Path(__file__).resolve().parents[1] / "conf"
    return str(beside if beside.is_dir() else Path(find_spec("bench.conf").submodule_search_locations[0]))


OmegaConf.register_new_resolver("last_part", lambda path: Path(str(path)).name, replace=True)
OmegaConf.register_new_resolver("if_null", lambda value, then, other: then if value is None else other, replace=True)

draws.register()


@hydra.main(config_path=configuration(), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One cell; in a sweep, a bad setting fails its cell and the sweep goes on. A signal ends it with STOPPED."""
    quieten()
    try:
        with STOP.heeded():
            status = cell(cfg, single=HydraConfig.get().mode == RunMode.RUN)
    except Stopped as stopped:
        print(f"stopped by {stopped}; the same command goes on from here", file=sys.stderr)
        status = STOPPED
    if status:
        sys.exit(status)


def cell(cfg: DictConfig, *, single: bool) -> int:
    """Run one, unless its record stands, and say how it ended; the exit status, 0 in a sweep."""
    import torch

    from bench.places import resolved  # heavy imports wait until Hydra has answered --help

    if not torch.cuda.is_available():  # CUDA maps host memory that it never fills
        memory.hold()
    begin = time.perf_counter()
    config, work = resolved(cfg), get_object(cfg.job)
    stem = work.place(config)
    name, path = stem.name, stem.with_name(f"{stem.name}.json")
    try:
        check(config)
        if path.is_file() and not cfg.force and work.read(path).status == "ok":
            progress.finish(name, f"stands in {path}; force=true runs it again", None)
            return 0
        record = work.run(cfg)
    except SettingError as error:
        if single:
            print(error, file=sys.stderr)
            return BAD_INPUT
        record = work.failed(config, error)
    ok = record.status == "ok"
    outcome = work.headline(record) if ok else f"{record.status}: {record.reason}"
    progress.finish(name, outcome, time.perf_counter() - begin)
    return FAILED if single and not ok else 0


def quieten() -> None:
    """Libraries that talk of what is no news; Hydra has just set the root logger to INFO."""
    for name in (
        "faiss",
        "gensim",
        "pytorch_lightning",
        "lightning",
        "smart_open",
        "httpx",
        "datasets",
        "huggingface_hub",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="The `srun` command is available")


def main() -> None:
    """Check what Hydra would answer at length, then hand over to it."""
    try:
        check_groups(sys.argv[1:])
        check_launcher(sys.argv[1:])
    except SettingError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_INPUT)
    job()


def check_groups(arguments: list[str]) -> None:
    """Each `group=choice` names a file of the configuration tree.

    Raises:
        SettingError: it does not; the line lists what there is.
    """
    for argument in arguments:
        group, _, choice = argument.lstrip("+").partition("=")
        folder = Path(configuration()) / group
        if not (choice and group.isidentifier() and folder.is_dir()):
            continue
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        unknown = [each for each in choice.split(",") if each.replace("_", "").isalnum() and each not in known]
        if unknown:
            raise SettingError(group, f"there is no {unknown[0]}; choose of {', '.join(known)}")
