"""Timeloop's own front end, run as a program: v0.4 files in, the one file that its binaries read out.

It runs under whatever Python has ``pytimeloop`` (or the older ``timeloopfe``), so it imports nothing else of this
package. With no arguments it says on standard output which front end it found.

    python front_end.py (mapper|model) OUTPUT INPUT [INPUT ...]
"""

import importlib
import sys
from pathlib import Path

PACKAGES = ("pytimeloop.timeloopfe", "timeloopfe")


def find_front_end() -> str:
    """Name of the first front end that can be imported.

    Raises:
        ImportError: none can; with the reasons of those that are there, empty if none is.
    """
    reasons = []
    for package in PACKAGES:
        try:
            importlib.import_module(f"{package}.v4")
        except ModuleNotFoundError as error:
            if error.name != package.partition(".")[0]:
                reasons.append(f"{package}: {error}")
        except ImportError as error:
            reasons.append(f"{package}: {error}")
        else:
            return package
    raise ImportError("; ".join(reasons))


def translate(package: str, kind: str, inputs: list[str]) -> str:
    """Text for ``timeloop-mapper`` or ``timeloop-model``."""
    v4 = importlib.import_module(f"{package}.v4")
    transpiler = importlib.import_module(f"{package}.common.version_transpilers.v4_to_v3")
    to_yaml_string = importlib.import_module("accelergy.utils.yaml").to_yaml_string
    specification = v4.Specification.from_yaml_files(*inputs)._process()
    text: str = to_yaml_string(transpiler.transpile(specification, for_model=kind == "model"))
    return text


def main(arguments: list[str]) -> None:
    """Translate, or say which front end there is."""
    try:
        package = find_front_end()
    except ImportError as error:
        sys.exit(str(error) or "not installed")
    if not arguments:
        print(package)
        return
    kind, output, *inputs = arguments
    Path(output).write_text(translate(package, kind, inputs), encoding="utf-8")


if __name__ == "__main__":
    # A program's own folder comes first on the path: its modules here must not pass for those of the tools.
    if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]
    main(sys.argv[1:])
