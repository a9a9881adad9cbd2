"""What one training step costs on an on-device accelerator with eDRAM, in Timeloop's terms."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from camel_plugin.components.machines import load_machine
    from camel_plugin.files.sources import Reading
    from camel_plugin.pipeline import compare, evaluate
    from camel_plugin.result import StepResult
    from camel_plugin.workload.load import load_network

__all__ = ["Reading", "StepResult", "compare", "evaluate", "load_machine", "load_network"]

_ROOM = {
    "Reading": "files.sources",
    "StepResult": "result",
    "compare": "pipeline",
    "evaluate": "pipeline",
    "load_machine": "components.machines",
    "load_network": "workload.load",
}


def __getattr__(name: str) -> _Any:
    # Loaded on first use: the command line must not wait for NumPy to print its help.
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_ROOM[name]}"), name)
    globals()[name] = value
    return value
