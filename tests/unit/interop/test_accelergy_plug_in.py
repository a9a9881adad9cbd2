"""The plug-in behind a stand-in for Accelergy's v0.4 interface (accelergy.plug_in_interface.estimator)."""

import importlib
import importlib.util
import inspect
import logging
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from camel_plugin.components import availability, estimate, refresh_power
from camel_plugin.errors import InputError, SpecError
from camel_plugin.interop.accelergy import plug_in_path

ROOT = Path(__file__).parents[3]


class Estimator(ABC):
    name: Any = None
    percent_accuracy_0_to_100: Any = None

    def __init__(self, name: str | None = None) -> None:
        self.logger = logging.getLogger(name or type(self).__name__)

    @abstractmethod
    def get_area(self) -> float: ...

    @abstractmethod
    def leak(self, global_cycle_seconds: float) -> float: ...


def action_dynamic_energy(method: Callable[..., float]) -> Callable[..., float]:
    method._is_accelergy_action = True  # type: ignore[attr-defined]
    return method


def call_matching(function: Callable[..., Any], attributes: dict[str, Any]) -> Any:
    """As Accelergy does: by the names of the positional parameters; those without a default are required."""
    initializer = function.__init__ if inspect.isclass(function) else function
    code = initializer.__code__
    names = code.co_varnames[1 : code.co_argcount]
    required = names[: len(names) - len(initializer.__defaults__ or ())]
    assert all(attributes.get(name) is not None for name in required)
    return function(**{name: value for name, value in attributes.items() if name in names})


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """The estimators that Accelergy would find in the file, by component class."""
    interface = ModuleType("accelergy.plug_in_interface.estimator")
    interface.Estimator = Estimator  # type: ignore[attr-defined]
    interface.actionDynamicEnergy = action_dynamic_energy  # type: ignore[attr-defined]
    for name in ("accelergy", "accelergy.plug_in_interface"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("python_plug_in0", plug_in_path())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        member.name: member
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module.__name__ and "Estimator" in str(member.__mro__)
    }


# What Timeloop's front end adds to a component goes to the plug-in too, where it matches nothing.
ATTRIBUTES = {
    "technology": "16nm",
    "width": 54,
    "row_bits": 58,
    "depth": 6780,
    "datawidth": 6,
    "temperature": 100,
    "n_banks": 2,
    "meshX": 12,
    "cluster_size": 1,
    "power_gated_at": None,
    "global_cycle_seconds": 2e-9,
}


def test_the_package_imports_without_accelergy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelergy", None)
    monkeypatch.delitem(sys.modules, "camel_plugin.interop.accelergy")
    assert importlib.import_module("camel_plugin.interop.accelergy").plug_in_path().is_file()


def test_the_components_are_found_with_their_actions(plug_ins: dict[str, type]) -> None:
    actions = {
        name: {action for action in dir(member) if getattr(getattr(member, action), "_is_accelergy_action", False)}
        for name, member in plug_ins.items()
    }
    assert actions == {
        "edram": {"read", "write", "update", "refresh"},
        "logic_sram": {"read", "write", "update"},
        "logic_regfile": {"read", "write", "update"},
        "packed_dram": {"read", "write", "update"},
        "bfp_mac": {"compute"},
        "integer_mac": {"compute"},
        "float_mac": {"compute"},
    }
    assert all(0 < member.percent_accuracy_0_to_100 < 100 for member in plug_ins.values())


def test_edram_says_what_the_component_says(plug_ins: dict[str, type]) -> None:
    plug_in = call_matching(plug_ins["edram"], ATTRIBUTES)
    component = estimate("edram", ATTRIBUTES)
    assert component.edram is not None
    assert plug_in.read() == component.actions_J["read"]
    assert plug_in.write() == component.actions_J["write"]
    assert plug_in.update() == component.actions_J["update"]
    assert plug_in.get_area() == component.area_m2


def test_worst_case_refresh_stands_in_the_leakage(plug_ins: dict[str, type]) -> None:
    conventional = call_matching(plug_ins["edram"], ATTRIBUTES)
    nothing = call_matching(plug_ins["edram"], {**ATTRIBUTES, "refresh_policy": "none"})
    component = estimate("edram", ATTRIBUTES)
    assert component.edram is not None
    assert nothing.leak(2e-9) == pytest.approx(component.leakage_W * 2e-9)
    # Seven arrays of 1024 rows, each row once every 3.35 us.
    refresh_J = 7 * 1024 * component.edram.row_energy_J * 2e-9 / 3.35e-6
    assert conventional.leak(2e-9) - nothing.leak(2e-9) == pytest.approx(refresh_J)
    assert availability(component.edram, 2e-9) > 0


def test_refresh_is_charged_once(plug_ins: dict[str, type]) -> None:
    counted = call_matching(plug_ins["edram"], {**ATTRIBUTES, "refresh_policy": "none"})
    component = estimate("edram", ATTRIBUTES)
    assert component.edram is not None
    assert counted.refresh() == component.edram.row_energy_J
    for given in (ATTRIBUTES, {**ATTRIBUTES, "refresh_policy": "worst_case"}):
        with pytest.raises(SpecError, match=r"in the leakage already.*none"):
            call_matching(plug_ins["edram"], given).refresh()


@pytest.mark.parametrize("name", ["yield", "yield_fraction"])
def test_yield_shortens_the_retention(plug_ins: dict[str, type], name: str) -> None:
    """``yield`` is no name that a Python function can give a parameter, but an attribute can have it."""
    sure = call_matching(plug_ins["edram"], {**ATTRIBUTES, name: 0.99999})
    component = estimate("edram", {**ATTRIBUTES, name: 0.99999})
    assert component.edram is not None
    assert sure.leak(2e-9) == pytest.approx((component.leakage_W + refresh_power(component.edram)) * 2e-9)
    assert sure.leak(2e-9) > call_matching(plug_ins["edram"], ATTRIBUTES).leak(2e-9)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({"voltage": "1V"}, {"voltage": 1}),
        ({"voltage": "700 mV"}, {"voltage": 0.7}),
        ({"voltage": "0.7"}, {"voltage": 0.7}),
        ({"temperature": "60C"}, {"temperature": 60}),
        ({"retention_time": "40us"}, {"retention_time": 40e-6}),
    ],
)
def test_numbers_with_their_unit(
    plug_ins: dict[str, type], given: dict[str, object], number: dict[str, object]
) -> None:
    written = call_matching(plug_ins["edram"], {**ATTRIBUTES, **given})
    plain = estimate("edram", {**ATTRIBUTES, **number})
    assert plain.edram is not None
    assert written.read() == pytest.approx(plain.actions_J["read"])
    assert written.leak(2e-9) == pytest.approx((plain.leakage_W + refresh_power(plain.edram)) * 2e-9)


@pytest.mark.parametrize(
    "given", [{"voltage": "1 A"}, {"voltage": "1 xV"}, {"voltage": "V"}, {"depth": "6780V"}, {"banks": "12s"}]
)
def test_other_units_are_refused(plug_ins: dict[str, type], given: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"{next(iter(given))}.*not a number"):
        call_matching(plug_ins["edram"], {**ATTRIBUTES, **given})


def test_retention_time_may_be_given(plug_ins: dict[str, type]) -> None:
    """Ten times the retention, a tenth of the refresh."""
    dry = call_matching(plug_ins["edram"], {**ATTRIBUTES, "refresh_policy": "none"}).leak(2e-9)
    retentions = ({**ATTRIBUTES, "retention_time": time_s} for time_s in (1e-5, 1e-4))
    short, long = (call_matching(plug_ins["edram"], given).leak(2e-9) - dry for given in retentions)
    assert short == pytest.approx(10 * long)


MEMORY = {"technology": "16nm", "width": 54, "row_bits": 58, "depth": 4, "temperature": 100.0}


@pytest.mark.parametrize("name", ["logic_sram", "logic_regfile", "packed_dram"])
def test_a_memory_says_what_the_component_says(plug_ins: dict[str, type], name: str) -> None:
    plug_in, component = call_matching(plug_ins[name], MEMORY), estimate(name, MEMORY)
    assert (plug_in.read(), plug_in.write()) == (component.actions_J["read"], component.actions_J["write"])
    assert plug_in.update() == component.actions_J["update"]
    assert plug_in.leak(2e-9) == pytest.approx(component.leakage_W * 2e-9)
    assert plug_in.get_area() == component.area_m2


def test_bfp_mac_says_what_the_component_says(plug_ins: dict[str, type]) -> None:
    plug_in = call_matching(plug_ins["bfp_mac"], {"technology": "16nm", "width": 6})
    component = estimate("bfp_mac", {"technology": "16nm"})
    assert plug_in.compute() == component.actions_J["compute"]
    assert plug_in.leak(2e-9) == pytest.approx(component.leakage_W * 2e-9)
    assert plug_in.get_area() == component.area_m2


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("integer_mac", {"technology": "65nm", "multiplier_width": 16, "adder_width": 32}),
        ("float_mac", {"technology": "65nm", "width": 32}),
    ],
)
def test_a_mac_says_what_the_component_says(plug_ins: dict[str, type], name: str, given: dict[str, object]) -> None:
    plug_in, component = call_matching(plug_ins[name], given), estimate(name, given)
    assert plug_in.compute() == component.actions_J["compute"]
    assert plug_in.leak(2e-9) == pytest.approx(component.leakage_W * 2e-9)
    assert plug_in.get_area() == component.area_m2


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("temperature", 400.0), ("cell", "5T"), ("yield", 1.5), ("technology", "16 inches"), ("depth", 0), ("banks", -1)],
)
def test_bad_attributes_are_refused_with_the_reason(plug_ins: dict[str, type], attribute: str, value: object) -> None:
    with pytest.raises(InputError, match=attribute):
        call_matching(plug_ins["edram"], {**ATTRIBUTES, attribute: value})


def test_unknown_policy_is_refused(plug_ins: dict[str, type]) -> None:
    with pytest.raises(SpecError, match="worst_case"):
        call_matching(plug_ins["edram"], {**ATTRIBUTES, "refresh_policy": "worst-case"})


ALONE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("python_plug_in0", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.Edram(technology="16nm", width=54, depth=6780).read())
print(module.LogicRegfile(technology="16nm", width=8).read())
print(module.BfpMac(technology="16nm").compute(), module.IntegerMac(technology="16nm", width=8).compute())
"""
INTERFACE = """
class Estimator: logger = __import__("logging").getLogger()
def actionDynamicEnergy(method): return method
"""


def test_the_file_alone_where_the_package_is_not_installed(tmp_path: Path) -> None:
    package = tmp_path / "accelergy" / "plug_in_interface"
    package.mkdir(parents=True)
    (package / "estimator.py").write_text(INTERFACE)
    ran = subprocess.run(
        [sys.executable, "-S", "-c", ALONE, str(plug_in_path())],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    costs = [
        estimate("edram", {"technology": "16nm", "width": 54, "depth": 6780}).actions_J["read"],
        estimate("logic_regfile", {"technology": "16nm", "width": 8}).actions_J["read"],
        estimate("bfp_mac", {"technology": "16nm"}).actions_J["compute"],
        estimate("integer_mac", {"technology": "16nm", "width": 8}).actions_J["compute"],
    ]
    assert [float(each) for each in ran.stdout.split()] == costs


def test_the_shipped_description_names_the_shipped_file() -> None:
    description = yaml.safe_load(plug_in_path().with_name("camel.estimator.yaml").read_text(encoding="utf-8"))
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "version" in description
    (file,) = description["python_plug_ins"]
    assert f'"share/accelergy/estimation_plug_ins/camel/{file}"' in pyproject
    assert '"share/accelergy/estimation_plug_ins/camel/camel.estimator.yaml"' in pyproject
