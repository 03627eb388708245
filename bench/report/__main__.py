"""`python -m bench.report FOLDER [FOLDER …] [--format latex|markdown|csv] [--baseline NAME] [--out FOLDER]`"""

import argparse
import sys
from pathlib import Path

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.report import FORMATS, TABLE_FORMATS, report, write_tables
from bench.report.significance import REFERENCE

DESCRIPTION = "Write tables, figures and a page from records and cost ledgers."


def main() -> None:
    """Write the report of the folders given on the command line, or the leaderboards alone in one format."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=DESCRIPTION)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of records, or folders of such folders")
    parser.add_argument("--out", type=Path, help="folder of the report (default: the first folder)")
    parser.add_argument(
        "--format", choices=TABLE_FORMATS, help="write the leaderboards alone, as leaderboard.tex, .md or .csv"
    )
    parser.add_argument(
        "--baseline",
        default=REFERENCE,
        metavar="NAME",
        help="system, or its label in the tables, that the others are compared with (default: %(default)s)",
    )
    parser.add_argument("--figures", choices=FORMATS, default=FORMATS[0], help="format of figures (default: svg)")
    arguments = parser.parse_args()
    out = arguments.out or arguments.folders[0]
    try:
        if arguments.format:
            print(f"tables: {write_tables(arguments.folders, out, arguments.format, arguments.baseline)}")
        else:
            report(arguments.folders, out, arguments.figures, arguments.baseline)
    except SettingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
