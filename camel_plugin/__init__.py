"""What one training step costs on an on-device accelerator with eDRAM, in Timeloop's terms."""

import sys
from importlib import import_module
from types import ModuleType
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


class _Package(ModuleType):
    """Keeps ``camel_plugin.evaluate`` the function: importing the submodule of that name must not hide it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line must not wait for NumPy to print its help.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
