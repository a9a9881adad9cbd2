"""The package's public names, whatever is imported first, and a command line that starts at once."""

import subprocess
import sys

import pytest

import camel_plugin


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_all_is_exactly_the_public_names():
    assert set(camel_plugin.__all__) == {"StepResult", "compare", "evaluate", "load_machine", "load_network"}
    for name in camel_plugin.__all__:
        assert callable(getattr(camel_plugin, name))


@pytest.mark.parametrize(
    "code",
    [
        "from camel_plugin import compare, evaluate",
        "from camel_plugin.evaluate import compare; from camel_plugin import evaluate",
        "import camel_plugin.evaluate; evaluate = camel_plugin.evaluate",
        "import camel_plugin; camel_plugin.load_machine; evaluate = camel_plugin.evaluate",
    ],
)
def test_evaluate_is_the_function_whatever_is_imported_first(code):
    assert python(f"{code}; print(type(evaluate).__name__)") == "function"


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        camel_plugin.evaluat  # noqa: B018


def test_help_needs_neither_torch_nor_numpy():
    heavy = "{'torch', 'numpy', 'matplotlib', 'pandas', 'pydantic'}"
    assert python(f"import sys, camel_plugin.cli.app; print({heavy} & set(sys.modules))") == "set()"


def test_evaluating_a_machine_needs_no_torch():
    modules = "camel_plugin.arch, camel_plugin.components, camel_plugin.schedule.account, camel_plugin.engine.native"
    assert python(f"import sys, {modules}; print('torch' in sys.modules)") == "False"
