"""Reading the attributes of a Timeloop v0.4 component, with errors that name the field and the valid range."""

import math
from collections.abc import Iterable, Mapping

from camel_plugin.components.constant import Constant
from camel_plugin.components.scaling import NODES_NM, NOMINAL_VOLTAGE, TEMPERATURE_C, OperatingPoint, nominal_voltage
from camel_plugin.errors import SpecError, nearest

_PREFIXES = {"k": 1e3, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}


class Attributes:
    """Typed access to the resolved attributes of one component.

    Every getter takes the names under which the field may be written, the preferred one first, and raises
    SpecError when the value is missing without a default, not of its kind or out of range.

    Args:
        kind: Timeloop class of the component, for messages.
        values: attribute name -> value.
    """

    def __init__(self, kind: str, values: Mapping[str, object]) -> None:
        self.kind = kind
        self.values = values

    def _find(self, names: tuple[str, ...]) -> tuple[str, object]:
        for name in names:
            if self.values.get(name) is not None:
                return name, self.values[name]
        return names[0], None

    def number(
        self,
        *names: str,
        default: float | None = None,
        least: float = 0.0,
        most: float = math.inf,
        open_: bool = False,
        unit: str = "",
    ) -> float:
        """A real number in [least, most], or ]least, most[ if ``open_``; ``1V`` or ``800 mV`` where the unit is V."""
        name, value = self._find(names)
        if value is None:
            if default is None:
                raise SpecError(
                    f"a {self.kind} component needs this attribute",
                    field=f"attributes.{name}",
                    suggestion=f"give a number {_interval(least, most, open_)}",
                )
            return default
        number = _as_float(value, unit)
        inside = number is not None and (least < number < most if open_ else least <= number <= most)
        if number is None or not math.isfinite(number) or not inside:
            raise SpecError(
                "not in the valid range" if number is not None else "not a number",
                field=f"attributes.{name}",
                value=value,
                suggestion=f"valid: {_interval(least, most, open_)}",
            )
        return number

    def integer(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of at least ``least``, and no larger than what a double holds exactly."""
        number = self.number(*names, default=default, least=least, most=2**53)
        if number != int(number):
            name, value = self._find(names)
            raise SpecError("not a whole number", field=f"attributes.{name}", value=value)
        return int(number)

    def choice(self, name: str, valid: Iterable[str], default: str) -> str:
        """One of ``valid``, compared without regard to case."""
        by_lower = {option.lower(): option for option in valid}
        value = self.values.get(name)
        if value is None:
            return default
        if str(value).lower() not in by_lower:
            options = sorted(by_lower.values())
            raise SpecError(
                "not a valid choice",
                field=f"attributes.{name}",
                value=value,
                suggestion=f"{nearest(str(value), options)} (valid: {', '.join(options)})",
            )
        return by_lower[str(value).lower()]

    def node_nm(self, nodes_nm: tuple[float, float] = NODES_NM) -> float:
        """Technology node, from ``technology: "16nm"`` or ``technology: 16``, within ``nodes_nm``."""
        name, value = self._find(("technology",))
        valid = f"valid: {nodes_nm[0]:g}nm to {nodes_nm[1]:g}nm, written as 16 or '16nm'"
        if value is None:
            raise SpecError(
                f"a {self.kind} component needs this attribute", field=f"attributes.{name}", suggestion=valid
            )
        number = _as_float(value.strip().lower().removesuffix("nm")) if isinstance(value, str) else _as_float(value)
        if number is None or not nodes_nm[0] <= number <= nodes_nm[1]:
            raise SpecError("unknown technology", field=f"attributes.{name}", value=value, suggestion=valid)
        return number

    def temperature_C(self) -> float:
        """Die temperature, 25 C unless given."""
        return self.number("temperature", default=25.0, least=TEMPERATURE_C[0], most=TEMPERATURE_C[1], unit="C")

    def operating_point(self) -> OperatingPoint:
        """Technology node, supply voltage (nominal for the node unless given) and temperature."""
        node_nm = self.node_nm()
        voltage_V = self.number("voltage", default=nominal_voltage(node_nm), open_=True, unit="V")
        return OperatingPoint(node_nm, voltage_V, self.temperature_C())

    def given(self, name: str) -> bool:
        """Whether the specification says anything about ``name``."""
        return self.values.get(name) is not None

    def assumed(self) -> tuple[Constant, ...]:
        """What ``operating_point`` had to assume."""
        return () if self.given("voltage") else (NOMINAL_VOLTAGE,)

    def access_bits(self) -> float:
        """Physical bits of one access: ``row_bits`` where given (58 for a BFP row of width 54), else ``width``."""
        width = self.integer("width")
        row_bits = self.number("row_bits", default=width)
        if row_bits < width:
            raise SpecError(
                f"a row cannot be narrower than the width of an access ({width} bits)",
                field="attributes.row_bits",
                value=self.values["row_bits"],
            )
        return row_bits


def _as_float(value: object, unit: str = "") -> float | None:
    """The number, of text also with a unit as Accelergy's files have it, which may have a prefix."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    scale = 1.0
    if unit and isinstance(value, str) and value.strip().endswith(unit):
        value = value.strip().removesuffix(unit)
        if value[-1:] in _PREFIXES:
            scale, value = _PREFIXES[value[-1]], value[:-1]
    try:
        return float(value) * scale
    except ValueError:
        return None


def _interval(least: float, most: float, open_: bool) -> str:
    if most == math.inf:
        return f"above {least:g}" if open_ else f"of at least {least:g}"
    return f"between {least:g} and {most:g}" + (" (both excluded)" if open_ else "")
