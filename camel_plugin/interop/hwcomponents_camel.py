"""hwcomponents models of ``edram`` and ``bfp_mac``: adapters over ``camel_plugin.components``.

Installed as the top-level module ``hwcomponents_camel``, because hwcomponents looks for models in modules whose name
begins so; from a checkout name this file in ``config: {component_models: [...]}``. Attributes are those of the
Accelergy plug-in, with ``tech_node`` in m in place of ``technology``; ``size`` in bits may stand for ``depth``. There
is no timing model behind them: an action takes no time unless the architecture says how long.
"""

from __future__ import annotations

from typing import ClassVar

from hwcomponents import ActionCost, ComponentModel, action

from camel_plugin.components import estimate, refresh_power
from camel_plugin.errors import SpecError, nearest

_POLICIES = ("worst_case", "none")


class Edram(ComponentModel):  # type: ignore[misc]
    """Embedded DRAM; energies per ``width``-wide access.

    Leakage is a constant power there, so only unconditional refresh fits: ``refresh_policy: worst_case`` has it in
    ``leak_power``, ``none`` leaves refresh to an accounting that knows lifetimes.
    """

    component_name: ClassVar[list[str]] = ["edram", "eDRAM"]
    priority = 0.7

    def __init__(
        self,
        tech_node: float,
        width: int,
        depth: int | None = None,
        size: int | None = None,
        cell: str | None = None,
        row_bits: int | None = None,
        banks: int | None = None,
        rows_per_array: int | None = None,
        yield_: float | None = None,
        yield_fraction: float | None = None,
        retention_time: float | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
        refresh_policy: str = "worst_case",
    ) -> None:
        if refresh_policy not in _POLICIES:
            raise SpecError(
                "unknown refresh policy",
                field="refresh_policy",
                value=refresh_policy,
                suggestion=nearest(refresh_policy, _POLICIES),
            )
        if (depth is None) == (size is None):
            raise SpecError("give either depth, in rows, or size, in bits", field="depth", value=depth)
        cost = estimate(
            "edram",
            {
                "technology": _nanometres(tech_node),
                "width": width,
                "depth": depth if size is None else _rows(size, width),
                "cell": cell,
                "row_bits": row_bits,
                "banks": banks,
                "rows_per_array": rows_per_array,
                "yield": yield_ if yield_fraction is None else yield_fraction,
                "retention_time": retention_time,
                "temperature": temperature,
                "voltage": voltage,
            },
        )
        assert cost.refresh is not None
        self.width = width
        self.actions_J = {**cost.actions_J, "refresh": cost.refresh.row_energy_J}
        refresh_W = refresh_power(cost.refresh) if refresh_policy == "worst_case" else 0.0
        super().__init__(leak_power=cost.leakage_W + refresh_W, area=cost.area_m2)

    @action(bits_per_action="width")  # type: ignore[untyped-decorator]
    def read(self) -> ActionCost:
        """One ``width``-wide read."""
        return _cost(self.actions_J["read"])

    @action(bits_per_action="width")  # type: ignore[untyped-decorator]
    def write(self) -> ActionCost:
        """One ``width``-wide write."""
        return _cost(self.actions_J["write"])

    @action  # type: ignore[untyped-decorator]
    def refresh(self) -> ActionCost:
        """Refresh of one row of one array."""
        return _cost(self.actions_J["refresh"])


# hwcomponents matches attributes with parameters by their names, and Python has no way to write this one.
_CODE = Edram.__init__.__code__
Edram.__init__.__code__ = _CODE.replace(co_varnames=tuple(name.removesuffix("_") for name in _CODE.co_varnames))


class BfpMac(ComponentModel):  # type: ignore[misc]
    """One multiply-accumulate lane of a block-floating-point dot-product unit."""

    component_name: ClassVar[list[str]] = ["bfp_mac"]
    priority = 0.7

    def __init__(
        self,
        tech_node: float,
        group: int | None = None,
        mantissa_bits: int | None = None,
        exponent_bits: int | None = None,
        accumulator_bits: int | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
    ) -> None:
        cost = estimate(
            "bfp_mac",
            {
                "technology": _nanometres(tech_node),
                "group": group,
                "mantissa_bits": mantissa_bits,
                "exponent_bits": exponent_bits,
                "accumulator_bits": accumulator_bits,
                "temperature": temperature,
                "voltage": voltage,
            },
        )
        self.compute_J = cost.actions_J["compute"]
        super().__init__(leak_power=cost.leakage_W, area=cost.area_m2)

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
