"""The table of operators: ours, and those of installed packages (entry points ``camel_plugin.operators``)."""

from collections.abc import Mapping
from functools import cache

from camel_plugin.plugins import load, registered
from camel_plugin.workload.operators.aten import CREATION, RANDOM
from camel_plugin.workload.operators.operator import Operator, per_output

__all__ = ["CREATION", "RANDOM", "Operator", "operators", "per_output"]


@cache
def operators() -> Mapping[str, Operator]:
    """Name of an operator (``softplus``, ``mine::scale``) -> its row; packages of users add to ours."""
    rows: dict[str, Operator] = {}
    for name in registered("operators"):
        rows.update(load("operators", name))
    return rows
