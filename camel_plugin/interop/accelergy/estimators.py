"""Accelergy v0.4 estimators of the components that our machines are made of: adapters over our models.

Accelergy loads this file by its path, from the folder of this package too where that is not installed, and takes the
classes that are defined in it; it passes a component's attributes to ``__init__`` by name. In an architecture write
``class: storage, subclass: edram``: Timeloop has no ``class: edram``.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from accelergy.plug_in_interface.estimator import Estimator, actionDynamicEnergy

if find_spec("camel_plugin") is None:
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from camel_plugin.interop.adapters import OPTIONAL, Initializer, refresh_J, standing_cost


class _Adapted:
    """Cost, leakage and area of the component ``name``."""

    name: str

    def _initialize(self, **attributes: object) -> None:
        super().__init__()
        self.estimate = standing_cost(self.name, attributes)
        for assumption in self.estimate.unconfirmed:
            self.logger.info("unconfirmed: %s", assumption)  # type: ignore[attr-defined]

    def leak(self, global_cycle_seconds: float) -> float:
        """Static energy of a cycle in J; refresh of an eDRAM is part of it under the policy ``worst_case``."""
        return self.estimate.leakage_W * global_cycle_seconds

    def get_area(self) -> float:
        """Area in m2."""
        return self.estimate.area_m2


class _Memory(_Adapted):
    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def read(self) -> float:
        """One ``width``-wide read, in J."""
        return self.estimate.actions_J["read"]

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def write(self) -> float:
        """One ``width``-wide write, in J."""
        return self.estimate.actions_J["write"]

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def update(self) -> float:
        """One ``width``-wide update, in J."""
        return self.estimate.actions_J["update"]


class _Unit(_Adapted):
    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def compute(self) -> float:
        """One multiply-accumulate, in J."""
        return self.estimate.actions_J["compute"]


class Edram(_Memory, Estimator):  # type: ignore[misc]
    """Embedded DRAM.

    ``refresh_policy: "worst_case"`` puts the power of conventional refresh into ``leak``, the only place an energy
    reference table has for it; ``"none"`` leaves it out, for refresh accounted after mapping.
    """

    name = "edram"
    percent_accuracy_0_to_100 = 70
    __init__ = Initializer(_Adapted._initialize, ("technology", "width", "depth"), OPTIONAL[name])

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def refresh(self) -> float:
        """Refresh of one row of one array, in J; refused where it is part of ``leak``."""
        return refresh_J(self.estimate)


class LogicSram(_Memory, Estimator):  # type: ignore[misc]
    """An SRAM in logic design rules."""

    name = "logic_sram"
    percent_accuracy_0_to_100 = 50
    __init__ = Initializer(_Adapted._initialize, ("technology", "width", "depth"), OPTIONAL[name])


class LogicRegfile(_Memory, Estimator):  # type: ignore[misc]
    """A register file or scratchpad."""

    name = "logic_regfile"
    percent_accuracy_0_to_100 = 50
    __init__ = Initializer(_Adapted._initialize, ("technology", "width"), OPTIONAL[name])


class PackedDram(_Memory, Estimator):  # type: ignore[misc]
    """DRAM whose access has more bits than its words."""

    name = "packed_dram"
    percent_accuracy_0_to_100 = 50
    __init__ = Initializer(_Adapted._initialize, ("width",), OPTIONAL[name])


class BfpMac(_Unit, Estimator):  # type: ignore[misc]
    """One multiply-accumulate lane of a block-floating-point dot-product unit."""

    name = "bfp_mac"
    percent_accuracy_0_to_100 = 70
    __init__ = Initializer(_Adapted._initialize, ("technology",), OPTIONAL[name])


class IntegerMac(_Unit, Estimator):  # type: ignore[misc]
    """An integer multiply-accumulate unit."""

    name = "integer_mac"
    percent_accuracy_0_to_100 = 50
    __init__ = Initializer(_Adapted._initialize, ("technology",), OPTIONAL[name])


class FloatMac(_Unit, Estimator):  # type: ignore[misc]
    """A floating-point multiply-accumulate unit."""

    name = "float_mac"
    percent_accuracy_0_to_100 = 50
    __init__ = Initializer(_Adapted._initialize, ("technology",), OPTIONAL[name])
