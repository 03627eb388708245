"""`python -m bench.wandb_upload results/…`: send finished cells to Weights & Biases, from their records alone.

Each experiment has a summary run too, as at the end of a sweep.
"""

import argparse
import os
import sys
from pathlib import Path

from bench.core.errors import FAILED, SettingError
from bench.core.record import read_records
from bench.core.refusals import exiting_on_refusal
from bench.dashboard.content import contents
from bench.dashboard.summary import log_summary
from bench.training.loggers import log_finished
from bench.training.wandb_run import FAILED_MODES, possible


def upload(folders: list[Path], *, project: str, mode: str, entity: str | None = None) -> tuple[int, int]:
    """Log every record in the folders, failed cells and floors too, and then each experiment, unless it was logged.

    Returns:
        The number of records, and the number of runs that W&B does not have in full: of cells and of experiments.

    Raises:
        SettingError: a folder holds no record.
    """
    logger = {"_target_": "bench.training.loggers.weights_and_biases", "project": project, "entity": entity}
    records = read_records(folders)
    if not records:
        raise SettingError("FOLDER", f"no record in {', '.join(map(str, folders))}; give a folder of finished cells")
    complete = [
        log_finished(record.config | {"logger": logger | {"mode": mode}}, path.with_suffix(""), record)
        for path, record in records
    ]
    complete += [log_summary(content, project=project, mode=mode, entity=entity) for content in contents(folders)]
    return len(records), complete.count(False)


def main() -> None:
    """Upload, and print how many records W&B has."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.wandb_upload", description=__doc__.split(": ", 1)[1].split(".\n")[0] + "."
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="folders with records")
    parser.add_argument("--project", default="head-bench", help="W&B project (default head-bench)")
    parser.add_argument("--entity", help="W&B team or user (default: yours)")
    modes = ("offline", "online")
    parser.add_argument(
        "--mode", choices=modes, default=os.environ.get("WANDB_MODE", "offline"), help="default offline"
    )
    given = parser.parse_args()
    if given.mode not in modes:  # argparse does not check a default
        parser.error(f"WANDB_MODE={given.mode} sends and keeps nothing; give --mode offline or --mode online")
    with exiting_on_refusal():
        count, broken = upload(given.folders, project=given.project, mode=given.mode, entity=given.entity)
    if broken or "offline" in FAILED_MODES:
        print(f"{broken or 'all'} runs could not be logged in full; the same command tries again", file=sys.stderr)
        sys.exit(FAILED)
    if possible(given.mode) != given.mode:
        print(f"{count} records are logged offline; `wandb sync FOLDER/wandb/offline-run-*` sends them")
        sys.exit(FAILED)
    print(f"{count} records are logged")


if __name__ == "__main__":
    main()
