"""`python -m bench.report FOLDER [FOLDER …] [--format latex|markdown|csv] [--baseline NAME] [--out FOLDER]`

`python -m bench.report --fill TEXT [TEXT …]` prints the figures of Markdown texts again from the records they name.
"""

import argparse
import sys
from pathlib import Path

from bench.core.environment import substitute_unprintable
from bench.core.errors import BAD_INPUT, SettingError
from bench.core.refusals import exiting_on_refusal
from bench.report import FORMATS, TABLE_FORMATS, report, write_tables
from bench.report.published import fill

MOST_LINES = 20  # about figures that could not be filled; many have one cause

DESCRIPTION = "Write tables, figures and a page from records and cost ledgers."


def main() -> None:
    """Write the report of the folders given on the command line, or the leaderboards alone in one format."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=DESCRIPTION)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of records, or folders of such folders")
    parser.add_argument("--out", type=Path, help="folder of the report (default: the first folder)")
    parser.add_argument(
        "--format", choices=TABLE_FORMATS, help="write the leaderboards alone, as leaderboard.tex, .md or .csv"
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="system, or its label in the tables, that the others are compared with (default: softmax, or "
        "sampled_softmax without it)",
    )
    parser.add_argument("--figures", choices=FORMATS, default=FORMATS[0], help="format of figures (default: svg)")
    parser.add_argument(
        "--fill", nargs="+", type=Path, metavar="TEXT", help="print the figures of Markdown texts again from records"
    )
    arguments = parser.parse_args()
    if bool(arguments.folders) == bool(arguments.fill):
        parser.error("give folders of records, or --fill with texts")
    if arguments.fill:
        sys.exit(fill_texts(arguments.fill))
    out = arguments.out or arguments.folders[0]
    with exiting_on_refusal():
        if arguments.format:
            print(f"tables: {write_tables(arguments.folders, out, arguments.format, arguments.baseline)}")
        else:
            report(arguments.folders, out, arguments.figures, arguments.baseline)


def fill_texts(texts: list[Path]) -> int:
    """Fill texts, and print a line per change and per figure that could not be computed; return the exit status."""
    status = 0
    for text in texts:
        try:
            changes, problems = fill(text)
        except (SettingError, OSError) as error:
            changes, problems = [], [str(error)]
        print(*changes, f"{text}: {len(changes)} figures changed, {len(problems)} not computed", sep="\n")
        more = [f"… and {len(problems) - MOST_LINES} more"] if len(problems) > MOST_LINES else []
        print(*problems[:MOST_LINES], *more, sep="\n", end="\n" if problems else "", file=sys.stderr)
        status = BAD_INPUT if problems else status
    return status


if __name__ == "__main__":
    main()
