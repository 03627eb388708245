"""`python -m bench.dashboard FOLDER …`: workspace and report of a W&B project, built from records."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from bench.core.environment import substitute_unprintable
from bench.core.errors import FAILED, SettingError, one_line
from bench.core.refusals import exiting_on_refusal

DESCRIPTION = "Build the workspace and the report of a Weights & Biases project from records; publish them with a key."


def build(folders: list[Path], out: Path, project: str, entity: str | None) -> None:
    """Write workspace and report to `out` as JSON, and publish them if there is a key of W&B.

    Raises:
        SettingError: the folders hold no records, or `out` cannot be written.
        wandb.errors.Error: W&B cannot be reached or refuses.
    """
    from bench.dashboard.content import contents

    found = contents(folders)
    if not found:
        raise SettingError("FOLDER", f"no record in {', '.join(map(str, folders))}; give a folder of finished cells")
    used = {path.resolve() for path in folders} | {path.parent.resolve() for each in found for path in each.records}
    if used & {out.resolve().parent, out.resolve().parent.parent}:
        raise SettingError("--out", f"{out} would be read as a record; give a file outside the folders of records")
    import wandb  # after the records: a refusal does not wait for wandb

    from bench.dashboard import view

    shown, read = view.workspace(found, project, entity or ""), view.report(found, project, entity or "")
    print(f"view: {view.write(out, shown, read)}")
    os.environ.setdefault("WANDB_SILENT", "true")
    if os.environ.get("WANDB_MODE", "online") == "online" and wandb.login(prompt=False):
        shown.entity = read.entity = entity or wandb.Api().default_entity
        print(f"workspace: {shown.save().url}\nreport: {read.save().url}")
        return
    places = shlex.join(map(str, folders))
    upload, publish = (f"python -m bench.{command} {places}" for command in ("wandb_upload --mode online", "dashboard"))
    print(f"not published: no key of W&B, or WANDB_MODE is not online; set WANDB_API_KEY, then {upload} && {publish}")


def main() -> None:
    """Build and publish; exit with 2 on bad input, and with 1 if W&B fails."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=DESCRIPTION)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folders with records")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("wandb", "dashboard.json"),
        help="JSON file (default: %(default)s)",
    )
    parser.add_argument("--project", default="head-bench", help="W&B project (default: %(default)s)")
    parser.add_argument("--entity", help="W&B team or user (default: yours)")
    given = parser.parse_args()
    try:
        with exiting_on_refusal():
            build(given.folders, given.out, given.project, given.entity)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("wandb", "requests"):
            raise
        print(f"W&B: {one_line(error)}; the JSON file is complete, and the same command tries again", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FAILED)  # a regular exit would wait for W&B's service, which may never answer


if __name__ == "__main__":
    main()
