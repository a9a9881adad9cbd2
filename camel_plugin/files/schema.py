"""Checks shared by the readers: known keys, types, names. Every refusal points at file, line and field."""

import difflib
import math
from collections.abc import Collection, Mapping, Sequence

from camel_plugin.errors import nearest
from camel_plugin.files.expressions import resolve
from camel_plugin.files.yaml_source import YamlNode

_NONE: Mapping[str, object] = {}


def entries(node: YamlNode, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, YamlNode]:
    """The keys of a mapping. Keys with ``ignore`` in them are dropped, as Timeloop's front end does.

    Raises:
        SpecError: not a mapping, an unknown key (with the nearest valid one), or a required key is missing.
    """
    found = mapping(node)
    for key, child in found.items():
        if key not in allowed:
            raise child.error("unknown key", value=key, suggestion=_closest(key, sorted(allowed)))
    for key in required:
        if key not in found:
            raise node.error(f"{key} is missing")
    return found


def mapping(node: YamlNode) -> dict[str, YamlNode]:
    """The keys of a mapping with free keys (an empty one may be written as nothing)."""
    return {key: child for key, child in named(node).items() if "ignore" not in key}


def named(node: YamlNode) -> dict[str, YamlNode]:
    """The keys of a mapping whose keys are names of values, ``ignore`` in them or not."""
    found = _joined(node.value) if isinstance(node.value, list) and node.value else node.value
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise node.error("must be a mapping", value=node.plain())
    return found


def _joined(nodes: list[YamlNode]) -> dict[str, YamlNode] | list[YamlNode]:
    """Mappings in a list as one, as Timeloop's front end takes them; the list where something else is in it."""
    found: dict[str, YamlNode] = {}
    for node in nodes:
        if not isinstance(node.value, dict):
            return nodes
        for key, child in node.value.items():
            if found.setdefault(key, child).plain() != child.plain():
                raise child.error(f"this is given differently in line {found[key].line}", value=child.plain())
    return found


def items(node: YamlNode | None) -> list[YamlNode]:
    """The items of a list (an empty one may be written as nothing)."""
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, list):
        raise node.error("must be a list", value=node.plain())
    return node.value


def text(node: YamlNode) -> str:
    """A name or other text."""
    if not isinstance(node.value, str) or not node.value.strip():
        raise node.error("must be a name", value=node.plain())
    return node.value


def as_number(value: object, node: YamlNode, *, minimum: float = -math.inf, above: float = -math.inf) -> float:
    """``value`` as a finite number with ``value >= minimum`` and ``value > above``; quoted digits are digits."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise node.error("must be a number", value=value) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise node.error("must be a number", value=value)
    if value < minimum or value <= above:
        raise node.error(
            f"must be at least {minimum:g}" if value < minimum else f"must be above {above:g}", value=value
        )
    return value


def as_integer(value: object, node: YamlNode, *, minimum: float = -math.inf) -> int:
    """``value`` as a whole number."""
    number = as_number(value, node, minimum=minimum)
    if number != int(number):
        raise node.error("must be a whole number", value=value)
    return int(number)


def number(node: YamlNode, names: Mapping[str, object] = _NONE, *, minimum: float = -math.inf) -> float:
    """A number or an expression that gives one."""
    return as_number(resolve(node, names), node, minimum=minimum)


def integer(node: YamlNode, names: Mapping[str, object] = _NONE, *, minimum: float = -math.inf) -> int:
    """A whole number or an expression that gives one."""
    return as_integer(resolve(node, names), node, minimum=minimum)


def flag(node: YamlNode | None, names: Mapping[str, object], default: bool) -> bool:
    """True or False, in quotes or not, or an expression that gives one."""
    if node is None or node.value is None:
        return default
    value = {"true": True, "false": False}.get(node.text.lower()) if node.quoted else resolve(node, names)
    if not isinstance(value, bool | int):
        raise node.error("must be true or false", value=node.plain())
    return bool(value)


def check_version(node: YamlNode | None) -> None:
    """Refuse files of other versions of the format."""
    if node is not None and str(node.value) not in ("0.4", "0.40"):
        raise node.error("only version 0.4 of the format is read", value=node.plain())


def refuse(found: Mapping[str, YamlNode], reasons: Mapping[str, str]) -> None:
    """Refuse keys that the format allows and this project does not model; empty ones change nothing."""
    for key, reason in reasons.items():
        if key in found and found[key].value not in (None, False, [], {}):
            value = found[key].value
            raise found[key].error(reason, value=None if isinstance(value, dict | list) else value)


def _closest(key: str, valid: Sequence[str]) -> str:
    """The valid key that differs in case only, else what :func:`nearest` finds."""
    same = [each for each in valid if each.lower() == key.lower()]
    return f"did you mean {same[0]!r}?" if same else nearest(key, valid)


def misspelt(name: str, known: Collection[str], cutoff: float = 0.84) -> str | None:
    """The known name that ``name`` almost is."""
    if name in known:
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)
