"""What one training step costs on an on-device accelerator with eDRAM, in Timeloop's terms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camel_plugin.arch import load_machine
    from camel_plugin.evaluate import compare, evaluate
    from camel_plugin.result import StepResult
    from camel_plugin.workload.network_file import load_network

__all__ = ["StepResult", "compare", "evaluate", "load_machine", "load_network"]

_HOME = {
    "StepResult": "result",
    "compare": "evaluate",
    "evaluate": "evaluate",
    "load_machine": "arch",
    "load_network": "workload.network_file",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line must not wait for NumPy to print its help.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
