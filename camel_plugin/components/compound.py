"""Cost of a component: a registered model, or a compound class that sums the actions of its subcomponents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin import components
from camel_plugin.components.constant import ComponentCost, joined_rules
from camel_plugin.errors import InputError, SpecError, UnknownNameError, nearest
from camel_plugin.files.expressions import ExpressionError, evaluate, resolve
from camel_plugin.files.schema import as_number, entries, items, mapping, number, text
from camel_plugin.files.yaml_source import YamlNode

INHERITED = ("technology", "temperature", "global_cycle_seconds", "n_instances")
"""Attributes that a subcomponent has from its parent: those that Accelergy hands down, and our own temperature."""

_RANGE = re.compile(r"\s*([^\[\]]+?)\s*(?:\[(.*)\])?\s*", re.DOTALL)
_MUST_SPECIFY = "must_specify"
_MAX_DEPTH = 16


def estimate_component(
    kind: str, attributes: Mapping[str, object], classes: Mapping[str, YamlNode], node: YamlNode
) -> ComponentCost:
    """Cost of one instance.

    Args:
        kind: compound class or registered component; a compound class of that name comes first.
        attributes: evaluated.
        classes: compound classes by name.
        node: the component in the file, for messages.

    Raises:
        SpecError: nothing knows the kind, an attribute is wrong or missing, an action is unknown.
    """
    return _estimate(kind, attributes, classes, node, ())


def _estimate(
    kind: str,
    attributes: Mapping[str, object],
    classes: Mapping[str, YamlNode],
    node: YamlNode,
    inside: tuple[str, ...],
) -> ComponentCost:
    if kind in classes:
        if kind in inside or len(inside) > _MAX_DEPTH:
            raise _class_of(node).error("this class contains itself", value=" > ".join((*inside, kind)))
        return _Compound(classes[kind], attributes, classes, node, (*inside, kind)).estimate()
    try:
        return components.estimate(kind, attributes)
    except UnknownNameError as error:
        known = sorted({*error.valid, *classes})
        raise _class_of(node).error(
            "neither a compound class, nor the ERT, nor a registered component model knows this class",
            value=kind,
            suggestion=nearest(kind, known),
        ) from error
    except InputError as error:
        field = (error.field or "").split(".")
        raise _located(error, node.at(field), error.field) from error


def _class_of(node: YamlNode) -> YamlNode:
    """Where a component says what it is; the subclass is what counts."""
    return node.at(["subclass"]) if "subclass" in mapping(node) else node.at(["class"])


def _located(error: InputError, node: YamlNode, field: str | None) -> SpecError:
    """An error of a component model with the place in the file; an absent attribute keeps its name."""
    if field and not node.field.endswith(field):
        return node.error(f"{field}: {error.message}", value=error.value, suggestion=error.suggestion)
    return node.error(error.message, value=error.value, suggestion=error.suggestion)


@dataclass(frozen=True)
class _Part:
    """A subcomponent: cost of one, and how many there are."""

    cost: ComponentCost
    count: float
    energy_scale: float
    area_scale: float


class _Compound:
    """A compound class with the attributes of one of its users."""

    def __init__(
        self,
        definition: YamlNode,
        attributes: Mapping[str, object],
        classes: Mapping[str, YamlNode],
        user: YamlNode,
        inside: tuple[str, ...],
    ) -> None:
        self.sections = entries(definition, {"name", "attributes", "subcomponents", "actions"}, {"name"})
        self.names = self._attributes(attributes, user)
        self.parts = {}
        for node in items(self.sections.get("subcomponents")):
            name, part = self._part(node, classes, inside)
            self.parts[name] = part

    def estimate(self) -> ComponentCost:
        """Sums over the subcomponents; leakage is what the ``leak`` action names."""
        actions_J = {}
        leakage_W = 0.0
        for node in items(self.sections.get("actions")):
            action = entries(node, {"name", "arguments", "subcomponents"}, {"name"})
            name = text(action["name"])
            used = list(items(action.get("subcomponents")))
            if name == "leak":
                leakage_W = sum(self._cost(node, leak=True) for node in used)
            else:
                actions_J[name] = sum(self._cost(node, leak=False) for node in used)
        parts = self.parts.values()
        return ComponentCost(
            actions_J=actions_J,
            leakage_W=leakage_W,
            area_m2=sum(part.cost.area_m2 * part.count * part.area_scale for part in parts),
            sources=tuple(dict.fromkeys(source for part in parts for source in part.cost.sources)),
            unconfirmed=tuple(dict.fromkeys(note for part in parts for note in part.cost.unconfirmed)),
            rule=joined_rules(part.cost.rule for part in parts),
        )

    def _attributes(self, given: Mapping[str, object], user: YamlNode) -> dict[str, object]:
        """Defaults of the class, overridden by the user's attributes; a default may use earlier ones."""
        names = dict(given)
        if "attributes" in self.sections:
            for key, child in mapping(self.sections["attributes"]).items():
                if key in given:
                    continue
                if child.value == _MUST_SPECIFY:
                    raise user.at(["attributes"]).error(f"{key} is missing, {self._label()} needs it")
                names[key] = resolve(child, names)
        return names

    def _label(self) -> str:
        definition = self.sections["name"]
        return f"class {definition.value!r} ({definition.file}:{definition.line})"

    def _part(self, node: YamlNode, classes: Mapping[str, YamlNode], inside: tuple[str, ...]) -> tuple[str, _Part]:
        allowed = {"name", "class", "attributes", "area_scale", "energy_scale", "required_actions"}
        found = entries(node, allowed, {"name", "class"})
        name, count = self._counted(found["name"])
        own = resolve(found["attributes"], self.names) if "attributes" in found else {}
        if not isinstance(own, dict):
            raise found["attributes"].error("must be a mapping", value=own)
        inherited = {key: self.names[key] for key in INHERITED if key in self.names}
        cost = _estimate(text(found["class"]), inherited | own, classes, node, inside)
        scales = {
            key: number(found[key], self.names, minimum=0) if key in found else 1.0
            for key in ("area_scale", "energy_scale")
        }
        return name, _Part(cost, count, **scales)

    def _cost(self, node: YamlNode, *, leak: bool) -> float:
        """Energy (J), or with ``leak`` power (W), of the sub-actions of one subcomponent."""
        found = entries(node, {"name", "actions"}, {"name", "actions"})
        name, count = self._counted(found["name"])
        if name not in self.parts:
            raise found["name"].error("unknown subcomponent", value=name, suggestion=nearest(name, sorted(self.parts)))
        part = self.parts[name]
        total = 0.0
        for each in items(found["actions"]):
            action = entries(each, {"name", "arguments", "repeat", "energy_scale"}, {"name"})
            times = action.get("repeat", action.get("energy_scale"))  # Accelergy's order
            scale = number(times, self.names, minimum=0) if times is not None else 1.0
            label = text(action["name"])
            if leak:
                cost = part.cost.leakage_W
            elif label in part.cost.actions_J:
                cost = part.cost.actions_J[label]
            else:
                known = sorted(part.cost.actions_J)
                raise action["name"].error("unknown action", value=label, suggestion=nearest(label, known))
            total += cost * scale * part.energy_scale * count
        return total

    def _counted(self, node: YamlNode) -> tuple[str, float]:
        """Name and number of instances of ``adder``, ``adder[3]`` (one of them) or ``adder[1..width]``."""
        match = _RANGE.fullmatch(text(node))
        if match is None:
            raise node.error("is no name with an index", value=node.value)
        name, index = match[1], match[2]
        if index is None or ".." not in index:
            return name, 1
        first, _, last = index.partition("..")
        try:
            low, high = (as_number(evaluate(bound, self.names), node) for bound in (first, last))
        except ExpressionError as error:
            raise node.error(str(error), value=node.value) from error
        if high < low:
            raise node.error("the range is empty", value=f"{low:g}..{high:g}")
        return name, high - low + 1
