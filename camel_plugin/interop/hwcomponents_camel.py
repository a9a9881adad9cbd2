"""hwcomponents models of ``edram`` and ``bfp_mac``: adapters over our components.

Installed as the top-level module ``hwcomponents_camel``, because hwcomponents looks for models in modules whose name
begins so; from a checkout name this file in ``config: {component_models: [...]}``. Attributes are those of the
Accelergy plug-in, with ``tech_node`` in m in place of ``technology``; ``size`` in bits may stand for ``depth``. There
is no timing model behind them: an action takes no time unless the architecture says how long.
"""

from typing import ClassVar

from hwcomponents import ActionCost, ComponentModel, action

from camel_plugin.errors import SpecError
from camel_plugin.interop.adapters import OPTIONAL, Initializer, refresh_J, standing_cost


class Edram(ComponentModel):  # type: ignore[misc]
    """Embedded DRAM; energies per ``width``-wide access.

    Leakage is a constant power there, so only unconditional refresh fits: ``refresh_policy: worst_case`` has it in
    ``leak_power``, ``none`` leaves refresh to an accounting that knows lifetimes.
    """

    component_name: ClassVar[list[str]] = ["edram", "eDRAM"]
    priority = 0.7

    def _initialize(
        self, tech_node: float, width: int, depth: int | None = None, size: int | None = None, **others: object
    ) -> None:
        if (depth is None) == (size is None):
            raise SpecError("give either depth, in rows, or size, in bits", field="depth", value=depth)
        rows = depth if size is None else _rows(size, width)
        cost = standing_cost("edram", {"technology": _nanometres(tech_node), "width": width, "depth": rows, **others})
        self.width, self.cost = width, cost
        super().__init__(leak_power=cost.leakage_W, area=cost.area_m2)

    __init__ = Initializer(_initialize, ("tech_node", "width"), ("depth", "size", *OPTIONAL["edram"]))

    @action(bits_per_action="width")  # type: ignore[untyped-decorator]
    def read(self) -> ActionCost:
        """One ``width``-wide read."""
        return _cost(self.cost.actions_J["read"])

    @action(bits_per_action="width")  # type: ignore[untyped-decorator]
    def write(self) -> ActionCost:
        """One ``width``-wide write."""
        return _cost(self.cost.actions_J["write"])

    @action  # type: ignore[untyped-decorator]
    def refresh(self) -> ActionCost:
        """Refresh of one row of one array; refused where it is part of the leakage."""
        return _cost(refresh_J(self.cost))


class BfpMac(ComponentModel):  # type: ignore[misc]
    """One multiply-accumulate lane of a block-floating-point dot-product unit."""

    component_name: ClassVar[list[str]] = ["bfp_mac"]
    priority = 0.7

    def _initialize(self, tech_node: float, **others: object) -> None:
        cost = standing_cost("bfp_mac", {"technology": _nanometres(tech_node), **others})
        self.compute_J = cost.actions_J["compute"]
        super().__init__(leak_power=cost.leakage_W, area=cost.area_m2)

    __init__ = Initializer(_initialize, ("tech_node",), OPTIONAL["bfp_mac"])

    @action  # type: ignore[untyped-decorator]
    def compute(self) -> ActionCost:
        """One multiply-accumulate."""
        return _cost(self.compute_J)


def _cost(energy_J: float) -> ActionCost:
    return ActionCost(energy=energy_J, latency=0.0, throughput=float("inf"))


def _nanometres(tech_node: float) -> float:
    """hwcomponents gives nodes in m; 16e-9 * 1e9 is not quite 16."""
    return round(tech_node * 1e9, 6)


def _rows(size: int, width: int) -> int:
    if size % width:
        raise SpecError("must be a multiple of the width", field="size", value=size)
    return size // width
