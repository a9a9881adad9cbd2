"""Architectures of Timeloop v0.2 and v0.3, whose fanouts follow from the number of instances, as nodes of v0.4."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from camel_plugin.files.attribute_names import NAMES
from camel_plugin.files.schema import as_integer, entries, items, mapping, text
from camel_plugin.files.yaml_source import YamlNode

Sections = Mapping[str, YamlNode]

_COUNTED = re.compile(r"\s*([^\[\]]+?)\s*(?:\[\s*(\d+)\s*\.\.\s*(\d+)\s*\])?\s*")
_PLAIN = re.compile(r"[\w.]+")
_COMPONENT = {"name", "class", "attributes", "required_actions", "subclass", "area_scale", "energy_scale", "area_share"}
_COMPUTE = ("mac", "compute")
_MESH = ("meshX", "meshY", "instances")
_WORD_BITS = 16
"""Of a storage that does not say, in Timeloop's buffer.hpp."""

BELOW = "below_"
"""A fanout is called after the storage outside it, which is what constraints and mappings of these versions name."""


def is_old(architecture: YamlNode) -> bool:
    """True for an architecture of v0.2 or v0.3."""
    return "subtree" in mapping(architecture)


def as_nodes(sections: Sections) -> dict[str, YamlNode]:
    """The sections with the architecture as nodes, and constraints on fanouts where these stand now.

    Raises:
        SpecError: subtrees beside each other, instances that no mesh makes.
    """
    tree = sections["architecture"]
    nodes: list[YamlNode] = []
    mesh, outer = (1, 1), ""
    levels = sorted(_levels(tree, 1), key=lambda level: level.is_compute)  # the unit may stand before its registers
    for level in levels:
        own = level.mesh
        if own[0] % mesh[0] or own[1] % mesh[1]:
            raise level.node.error(
                f"{own[0]} x {own[1]} instances are no multiple of the {mesh[0]} x {mesh[1]} outside", value=level.name
            )
        fanout = own[0] // mesh[0], own[1] // mesh[1]
        nodes += level.containers
        if fanout != (1, 1):
            sizes = {key: _scalar(size, level.node) for key, size in zip(("meshX", "meshY"), fanout, strict=True)}
            spatial = replace(level.node, value=sizes, tag=None)
            named = {"name": _scalar(f"{BELOW}{outer}", level.node), "spatial": spatial}
            nodes.append(replace(level.node, value=named, tag="Container"))
        nodes.append(level.component())
        mesh, outer = own, level.name
    found = dict(sections)
    found["architecture"] = replace(tree, value={"nodes": replace(tree, value=nodes)})
    if "constraints" in found:
        fanouts = {text(mapping(node)["name"]) for node in nodes if node.tag == "Container"}
        targets = [_moved(each, fanouts) for each in items(found["constraints"].at(["targets"]))]
        kept = [each for each in targets if each is not None]
        found["constraints"] = replace(found["constraints"], value={"targets": replace(tree, value=kept)})
    return found


@dataclass(frozen=True)
class _Level:
    """A component, the containers that open before it, and how many of it there are."""

    node: YamlNode
    name: str
    containers: tuple[YamlNode, ...]
    instances: int

    @property
    def is_compute(self) -> bool:
        return any(word in text(entries(self.node, _COMPONENT, {"class"})["class"]) for word in _COMPUTE)

    @property
    def mesh(self) -> tuple[int, int]:
        """Instances along X and Y; all along X where nothing is said, as in Timeloop."""
        given = mapping(self.node.at(["attributes"])) if "attributes" in mapping(self.node) else {}
        sizes = {key: as_integer(given[key].value, given[key], minimum=1) for key in _MESH if key in given}
        total = sizes.get("instances", self.instances)
        x = sizes.get("meshX") or (total // sizes["meshY"] if "meshY" in sizes else total)
        if total % x:
            raise given["meshX"].error(f"{total} instances are no multiple of it", value=x)
        return x, total // x

    def component(self) -> YamlNode:
        found = dict(mapping(self.node))
        found["name"] = _scalar(self.name, self.node)
        if "attributes" in found:
            given = _quoted(mapping(found["attributes"]))
            attributes = {key: each for key, each in given.items() if key not in _MESH}
            if not self.is_compute:
                current = {name: each for name, older in NAMES.items() if (each := _first(given, older)) is not None}
                attributes |= {"datawidth": _scalar(_WORD_BITS, self.node), **current}
            found["attributes"] = replace(found["attributes"], value=attributes)
        return replace(self.node, value=found, tag="Component")


def _levels(tree: YamlNode, outside: int) -> Iterator[_Level]:
    """Local components and subtrees, outermost first."""
    children = items(mapping(tree).get("subtree"))
    if len(children) > 1:
        raise children[1].error("one subtree a level is all that Timeloop reads")
    for child in children:
        found = mapping(child)
        name, count = _counted(found["name"])
        pending: tuple[YamlNode, ...] = ()
        if "attributes" in found and mapping(found["attributes"]):
            attributes = replace(found["attributes"], value=_quoted(mapping(found["attributes"])))
            own = {"name": _scalar(name, child), "attributes": attributes}
            pending = (replace(child, value=own, tag="Container"),)
        for local in items(found.get("local")):
            label, times = _counted(mapping(local)["name"])
            yield _Level(local, label, pending, outside * count * times)
            pending = ()
        for level in _levels(child, outside * count):
            yield replace(level, containers=(*pending, *level.containers))
            pending = ()


def _quoted(attributes: Mapping[str, YamlNode]) -> dict[str, YamlNode]:
    """Attributes as v0.4 writes them: no hyphens in keys, words that are no name of another attribute in quotes."""
    found = {key.replace("-", "_"): each for key, each in attributes.items()}
    for key, each in found.items():
        if isinstance(each.value, str) and _PLAIN.fullmatch(each.value) and each.value not in found:
            found[key] = replace(each, quoted=True)
    return found


def _first(given: Mapping[str, YamlNode], names: Sequence[str]) -> YamlNode | None:
    return next((given[name] for name in names if name in given), None)


def _counted(node: YamlNode) -> tuple[str, int]:
    match = _COUNTED.fullmatch(text(node))
    if match is None:
        raise node.error("is no name with a range", value=node.value)
    return match[1], int(match[3]) - int(match[2]) + 1 if match[2] else 1


def _moved(target: YamlNode, fanouts: set[str]) -> YamlNode | None:
    """A constraint at its new place; None for one on a fanout of one instance."""
    found = mapping(target)
    if "target" not in found or "type" not in found or text(found["type"]) not in ("spatial", "parallelism"):
        return target
    name = f"{BELOW}{text(found['target'])}"
    return replace(target, value={**found, "target": _scalar(name, target)}) if name in fanouts else None


def _scalar(value: str | int, like: YamlNode) -> YamlNode:
    return YamlNode(value, like.file, like.line, like.field, text=str(value), quoted=False)
