"""Recompute every row of docs/validation.md and docs/ingredients.md, and the sample and the table of README.md.

    python scripts/reproduce_camel.py [--budget SECONDS] [--only validation|ingredients|readme] [--out docs]

Nothing is fitted: the machines and networks are those that ship with the package, and every row names the assumption
that it hangs on. Mappings are cached by content, so a second run takes seconds for what has not changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reproduction import ingredients, readme, validation
from reproduction.runs import Runs

PAGES = {"validation": validation.page, "ingredients": ingredients.page}
README = "readme"


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=0.5, metavar="SECONDS", help="mapping time of a problem")
    parser.add_argument("--only", choices=[*PAGES, README], help="one page")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs", metavar="DIR")
    arguments = parser.parse_args()
    runs = Runs(arguments.budget)
    for name, page in PAGES.items():
        if arguments.only in (None, name):
            path = arguments.out / f"{name}.md"
            path.write_text(page(runs, arguments.out))
            sys.stdout.write(f"{path}\n")
    if arguments.only in (None, README):
        readme.update(runs, Path(__file__).parent.parent / "README.md")


if __name__ == "__main__":
    main()
