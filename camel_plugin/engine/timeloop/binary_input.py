"""What Timeloop's binaries read, where its front end is not there to write it: the form before v0.4.

Takes the v0.4 files that this package writes (``write_architecture`` and its like), not any v0.4 file. In that form a
fanout is a level of its own, ``inter_NAME_spatial``, that stores nothing; a level says how many of it stand in X and Y;
constraints and mappings are lists with one entry for each kind of thing that they say of a level.
"""

import json
from collections.abc import Mapping
from typing import Any

from camel_plugin.files.yaml_source import YamlNode, load_yaml_text

Entry = dict[str, Any]
_KINDS = {"dataspace": "bypass"}


def write_input(files: Mapping[str, str]) -> str:
    """Text for ``timeloop-mapper``, or for ``timeloop-model`` if one of the files is a mapping.

    Args:
        files: name -> text of an architecture, a problem, and a mapper section or a mapping.
    """
    sections: dict[str, YamlNode] = {}
    for name, text in files.items():
        sections |= _children(load_yaml_text(text, name))
    problem = sections["problem"].plain()
    architecture = _Architecture(problem["shape"])
    architecture.read(sections["architecture"].at(["nodes"]))
    result: Entry = {
        "architecture": {"version": "0.4", "subtree": [{"name": "chip", "local": architecture.levels}]},
        "problem": problem,
    }
    if "mapping" in sections:
        result["mapping"] = architecture.mapping(sections["mapping"].plain())
    else:
        outside = sections["constraints"].plain()["targets"] if "constraints" in sections else []
        targets = [*architecture.constraints, *(architecture.renamed(entry) for entry in outside)]
        result |= {"architecture_constraints": {"targets": targets}, "mapper": sections["mapper"].plain()}
    # In block style at the top: the binaries join their input files as text.
    return "".join(f"{section}: {json.dumps(content)}\n" for section, content in result.items())


class _Architecture:
    """Levels and constraints of nodes, outermost first."""

    def __init__(self, shape: Entry) -> None:
        self.dimensions: list[str] = shape["dimensions"]
        self.dataspaces = [space["name"] for space in shape["data_spaces"]]
        self.levels: list[Entry] = []
        self.constraints: list[Entry] = []
        self.fanouts: dict[str, str] = {}
        self.x = self.y = 1

    def read(self, nodes: YamlNode) -> None:
        """One branch."""
        assert isinstance(nodes.value, list)
        for node in nodes.value:
            if node.tag == "Parallel":
                self._read_peers(node.at(["nodes"]))
            else:
                self._read(node.tag == "Component", node.plain())

    def _read_peers(self, nodes: YamlNode) -> None:
        """Each dataspace goes through the peer that keeps it, past the others."""
        assert isinstance(nodes.value, list)
        for node in nodes.value:
            if node.tag == "Component":
                plain = node.plain()
                keep = plain["constraints"]["dataspace"]["keep"]
                plain["constraints"]["dataspace"]["bypass"] = [name for name in self.dataspaces if name not in keep]
                self._read(True, plain)

    def _read(self, is_component: bool, node: Entry) -> None:
        name, given = node["name"], node.get("constraints", {})
        if "spatial" in node:
            self.fanouts[name] = fanout = f"inter_{name}_spatial"
            self._level(fanout, "dummy_storage", {"width": 1, "depth": 1, "datawidth": 1})
            if "spatial" in given:
                self.constraints.append(self._entry("spatial", fanout, given["spatial"]))
            self.constraints += self._nothing_rests(fanout)
            self.x *= node["spatial"].get("meshX", 1)
            self.y *= node["spatial"].get("meshY", 1)
        if is_component:
            self._level(name, node["class"], node.get("attributes", {}))
            kinds = (kind for kind in ("dataspace", "temporal") if kind in given)
            self.constraints += [self._entry(kind, name, given[kind]) for kind in kinds]

    def _level(self, name: str, kind: str, attributes: Entry) -> None:
        mesh = {"meshX": self.x, "meshY": self.y}
        self.levels.append({"name": f"{name}[1..{self.x * self.y}]", "class": kind, "attributes": attributes | mesh})

    def _nothing_rests(self, fanout: str) -> list[Entry]:
        ones = [f"{dimension}=1" for dimension in self.dimensions]
        loops = self._entry("temporal", fanout, {"factors": ones, "permutation": self.dimensions})
        return [loops, self._entry("dataspace", fanout, {"keep": [], "bypass": self.dataspaces})]

    def _entry(self, kind: str, target: str, given: Entry) -> Entry:
        entry = {"target": target, "type": _KINDS.get(kind, kind), **given}
        if "factors" in given:
            unit = [factor[:-2] for factor in reversed(given["factors"]) if factor.endswith("=1")]
            order = given.get("permutation", [])
            # Timeloop's front end has dimensions without a loop innermost.
            entry["permutation"] = "".join([*(name for name in unit if name not in order), *order])
            entry["factors"] = ",".join(given["factors"])
        elif "permutation" in given:
            entry["permutation"] = "".join(given["permutation"])
        return entry

    def renamed(self, entry: Entry) -> Entry:
        """A constraint from outside the nodes."""
        return entry | {"target": self.fanouts.get(entry["target"], entry["target"])}

    def mapping(self, given: list[Entry]) -> list[Entry]:
        """The directives of a mapping."""
        found: list[Entry] = []
        for each in given:
            rest = {key: value for key, value in each.items() if key not in ("target", "type")}
            if each["type"] == "spatial":
                fanout = self.fanouts[each["target"]]
                found += [self._entry("spatial", fanout, rest), *self._nothing_rests(fanout)]
            else:
                found.append(self._entry(each["type"], each["target"], rest))
        return found


def _children(tree: YamlNode) -> dict[str, YamlNode]:
    assert isinstance(tree.value, dict)
    return tree.value
