"""The package's public names, whatever is imported first, and a command line that starts at once."""

import subprocess
import sys
from types import ModuleType

import pytest

import camel_plugin


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_all_is_exactly_the_public_names():
    for name in camel_plugin.__all__:
        assert callable(getattr(camel_plugin, name))
    public = {
        name
        for name, value in vars(camel_plugin).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(camel_plugin.__all__)
    assert list(camel_plugin.__all__) == sorted(camel_plugin.__all__)


def test_public_names_are_there_whatever_is_imported_first():
    names = ", ".join(camel_plugin.__all__)
    for first in ("camel_plugin.pipeline", "camel_plugin.cli.app", "camel_plugin.result"):
        assert python(f"import {first}; from camel_plugin import {names}; print(callable(evaluate))") == "True"


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        camel_plugin.evaluat  # noqa: B018


def test_help_needs_neither_torch_nor_numpy():
    heavy = "{'torch', 'numpy', 'matplotlib', 'pandas', 'pydantic'}"
    assert python(f"import sys, camel_plugin.cli.app; print({heavy} & set(sys.modules))") == "set()"


def test_evaluating_a_machine_needs_no_torch():
    modules = "camel_plugin.components.machines, camel_plugin.refresh.account, camel_plugin.engine.native"
    assert python(f"import sys, {modules}; print('torch' in sys.modules)") == "False"
