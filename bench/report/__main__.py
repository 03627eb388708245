"""`python -m bench.report FOLDER [FOLDER …] [--out FOLDER]`"""

import argparse
import sys
from pathlib import Path

from bench.core.environment import substitute_unprintable
from bench.core.errors import SettingError
from bench.report import report


def main() -> None:
    substitute_unprintable()
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="Records and cost ledgers -> tables, figures, page."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="where they lie, in them or one below")
    parser.add_argument("--out", type=Path, help="where the report goes (default: the first folder)")
    arguments = parser.parse_args()
    try:
        report(arguments.folders, arguments.out or arguments.folders[0])
    except SettingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
