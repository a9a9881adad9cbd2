"""The command line: parse, call, print.

Exit code 0 with a complete result, 2 for bad input, 1 for a failed engine, 130 on Ctrl-C.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``camel``."""
    from camel_plugin.cli.app import app
    from camel_plugin.errors import CamelError, EngineError

    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="camel")
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except CamelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has gone; that is its right.
        sys.stderr.close()
        sys.exit(0)


def main_eval() -> None:
    """Entry point of ``camel-eval``, short for ``camel eval``."""
    main(["eval", *sys.argv[1:]])
