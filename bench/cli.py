"""The Hydra entry: one configuration -> one Record."""

import contextlib
import logging
import os
import re
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from bench import draws, memory, progress
from bench.errors import SettingError
from bench.launchers import check_launcher
from bench.refusals import REFUSED, check_text, refusal
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

    if not torch.cuda.is_available():  # CUDA maps host memory that it never fills
        memory.hold()
    begin = time.perf_counter()
    config = settled(cfg, single=single)
    if config is None:
        return 0
    work = get_object(cfg.job)  # heavy imports wait until Hydra has answered --help
    quieten()  # after them: Lightning's turns its own news on
    stem = work.place(config)
    name, path = stem.name, stem.with_name(f"{stem.name}.json")
    try:
        if not cfg.force and work.stands(path):
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


def settled(cfg: DictConfig, *, single: bool) -> dict[str, Any] | None:
    """The configuration as plain data, checked; None for a cell of a sweep that cannot be: it counts as failed."""
    from bench.places import plain, resolved

    config: dict[str, Any] = {}
    try:
        config = plain(cfg)
        check(config)
        return resolved(cfg)
    except REFUSED as error:
        if single:
            refuse(error)
        job = HydraConfig.get()
        refused = refusal(error, OmegaConf.to_container(job.overrides.task, resolve=False))
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # not even a name for a record
            get_object(cfg.job).failed(config, refused)
        progress.finish(job.job.override_dirname, f"failed: {refused}", 0.0)
        return None


def refuse(error: BaseException) -> NoReturn:
    """One line, and the status of bad input."""
    print(refusal(error, sys.argv[1:]), file=sys.stderr)
    sys.exit(BAD_INPUT)


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
    """Hand over to Hydra, and say in one line what it refuses at length; a bug of ours keeps its traceback."""
    if "HYDRA_FULL_ERROR" in os.environ:  # somebody wants to see it all
        job()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints its errors itself, and exits
    try:
        check_text(sys.argv[1:])
        check_groups(sys.argv[1:])
        check_launcher(sys.argv[1:])
        job()
    except REFUSED as error:
        refuse(error)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


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
        unknown = [each for each in choice.split(",") if each.strip() not in known]
        if unknown and not re.search(r"[($'\"]", choice):  # Hydra's own: glob(…), quotes, references
            raise SettingError(group, f"there is no {unknown[0]}; choose of {', '.join(known)}")
