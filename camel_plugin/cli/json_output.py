"""``--json``: one document on the standard output and nothing else, also where there is no result."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def print_json(data: object) -> None:
    """Print plain data."""
    json.dump(data, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


@contextmanager
def infeasible_as_json(as_json: bool) -> Iterator[None]:
    """Print what does not fit as data before the error goes on its way to the standard error and the exit code."""
    from camel_plugin.errors import InfeasibleError

    try:
        yield
    except InfeasibleError as error:
        if as_json:
            from camel_plugin.result import Infeasible

            print_json(Infeasible(error.subject, error.shortfalls).to_dict())
        raise
