"""Accelergy v0.4 estimators of ``edram``, ``regfile``, ``bfp_mac`` and ``intmac``: adapters over our components.

Accelergy loads this file by its path and takes the classes that are defined in it; it passes a component's attributes
to ``__init__`` by name. In an architecture write ``class: storage, subclass: edram``: Timeloop has no ``class: edram``.
"""

from __future__ import annotations

from accelergy.plug_in_interface.estimator import Estimator, actionDynamicEnergy

from camel_plugin.components import estimate, refresh_power
from camel_plugin.errors import SpecError, nearest

REFRESH_POLICIES = ("worst_case", "none")


class Edram(Estimator):  # type: ignore[misc]
    """Embedded DRAM.

    ``refresh_policy: "worst_case"`` puts the power of conventional refresh into ``leak``, the only place an energy
    reference table has for it; ``"none"`` leaves it out, for refresh accounted after mapping.
    """

    name = "edram"
    percent_accuracy_0_to_100 = 70

    def __init__(
        self,
        technology: str | float,
        width: int,
        depth: int,
        cell: str | None = None,
        row_bits: int | None = None,
        banks: int | None = None,
        rows_per_array: int | None = None,
        yield_: float | None = None,
        yield_fraction: float | None = None,
        retention_time: float | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
        cluster_size: int | None = None,
        refresh_policy: str = "worst_case",
    ) -> None:
        super().__init__()
        if refresh_policy not in REFRESH_POLICIES:
            raise SpecError(
                "unknown refresh policy",
                field="attributes.refresh_policy",
                value=refresh_policy,
                suggestion=nearest(refresh_policy, REFRESH_POLICIES),
            )
        self.estimate = estimate(
            "edram",
            {
                "technology": technology,
                "width": width,
                "depth": depth,
                "cell": cell,
                "row_bits": row_bits,
                "banks": banks,
                "rows_per_array": rows_per_array,
                "yield": yield_ if yield_fraction is None else yield_fraction,
                "retention_time": retention_time,
                "temperature": temperature,
                "voltage": voltage,
                "cluster_size": cluster_size,
            },
        )
        assert self.estimate.refresh is not None
        self.refresh_row = self.estimate.refresh.row_energy_J
        self.static_W = self.estimate.leakage_W
        if refresh_policy == "worst_case":
            self.static_W += refresh_power(self.estimate.refresh)
        for assumption in self.estimate.unconfirmed:
            self.logger.info("unconfirmed: %s", assumption)

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

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def refresh(self) -> float:
        """Refresh of one row of one array, in J."""
        return self.refresh_row

    def leak(self, global_cycle_seconds: float) -> float:
        """Static energy of a cycle in J; refresh is part of it under the policy ``worst_case``."""
        return self.static_W * global_cycle_seconds

    def get_area(self) -> float:
        """Area in m2."""
        return self.estimate.area_m2


# Accelergy matches attributes with parameters by their names, and Python has no way to write this one.
_CODE = Edram.__init__.__code__
Edram.__init__.__code__ = _CODE.replace(co_varnames=tuple(name.removesuffix("_") for name in _CODE.co_varnames))


class Regfile(Estimator):  # type: ignore[misc]
    """A register file: the machines here have some, and Accelergy's own plug-ins know compound ones only."""

    name = "regfile"
    percent_accuracy_0_to_100 = 50

    def __init__(
        self,
        technology: str | float,
        width: int,
        depth: int | None = None,
        row_bits: int | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
    ) -> None:
        super().__init__()
        self.estimate = estimate(
            "regfile",
            {
                "technology": technology,
                "width": width,
                "depth": depth or 1,
                "row_bits": row_bits,
                "temperature": temperature,
                "voltage": voltage,
            },
        )

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

    def leak(self, global_cycle_seconds: float) -> float:
        """Static energy of a cycle in J."""
        return self.estimate.leakage_W * global_cycle_seconds

    def get_area(self) -> float:
        """Area in m2."""
        return self.estimate.area_m2


class BfpMac(Estimator):  # type: ignore[misc]
    """One multiply-accumulate lane of a block-floating-point dot-product unit."""

    name = "bfp_mac"
    percent_accuracy_0_to_100 = 70

    def __init__(
        self,
        technology: str | float,
        group: int | None = None,
        mantissa_bits: int | None = None,
        exponent_bits: int | None = None,
        accumulator_bits: int | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
    ) -> None:
        super().__init__()
        self.estimate = estimate(
            "bfp_mac",
            {
                "technology": technology,
                "group": group,
                "mantissa_bits": mantissa_bits,
                "exponent_bits": exponent_bits,
                "accumulator_bits": accumulator_bits,
                "temperature": temperature,
                "voltage": voltage,
            },
        )

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def compute(self) -> float:
        """One multiply-accumulate, in J."""
        return self.estimate.actions_J["compute"]

    def leak(self, global_cycle_seconds: float) -> float:
        """Static energy of a cycle in J."""
        return self.estimate.leakage_W * global_cycle_seconds

    def get_area(self) -> float:
        """Area in m2."""
        return self.estimate.area_m2


class IntMac(Estimator):  # type: ignore[misc]
    """An integer multiply-accumulate unit, which Accelergy's own plug-ins know as a compound one only."""

    name = "intmac"
    percent_accuracy_0_to_100 = 50

    def __init__(
        self,
        technology: str | float,
        multiplier_width: int | None = None,
        adder_width: int | None = None,
        width: int | None = None,
        datawidth: int | None = None,
        temperature: float | None = None,
        voltage: float | None = None,
    ) -> None:
        super().__init__()
        self.estimate = estimate(
            "intmac",
            {
                "technology": technology,
                "multiplier_width": multiplier_width,
                "adder_width": adder_width,
                "width": width,
                "datawidth": datawidth,
                "temperature": temperature,
                "voltage": voltage,
            },
        )

    @actionDynamicEnergy  # type: ignore[untyped-decorator]
    def compute(self) -> float:
        """One multiply-accumulate, in J."""
        return self.estimate.actions_J["compute"]

    def leak(self, global_cycle_seconds: float) -> float:
        """Static energy of a cycle in J."""
        return self.estimate.leakage_W * global_cycle_seconds

    def get_area(self) -> float:
        """Area in m2."""
        return self.estimate.area_m2
