"""`python -m bench.report FOLDER [FOLDER …] [--out FOLDER] [--format svg|png]`"""

import argparse
import sys
from pathlib import Path

from bench.core.errors import SettingError
from bench.report import FORMATS, report


def main() -> None:
    """Write the report of the folders given on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="Write tables, figures and a page from records and cost ledgers."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folders of records, or folders of such folders")
    parser.add_argument("--out", type=Path, help="folder of the report (default: the first folder)")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="of the figures' files (default: svg)")
    arguments = parser.parse_args()
    try:
        report(arguments.folders, arguments.out or arguments.folders[0], arguments.format)
    except SettingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
