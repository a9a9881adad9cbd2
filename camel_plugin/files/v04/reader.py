"""Timeloop v0.4 architectures: from files to a Machine with energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from camel_plugin.components.compound import estimate_component
from camel_plugin.components.constant import ComponentCost
from camel_plugin.errors import SpecError, nearest
from camel_plugin.files.expressions import resolve
from camel_plugin.files.schema import (
    as_integer,
    as_number,
    entries,
    flag,
    integer,
    items,
    mapping,
    number,
    refuse,
    text,
)
from camel_plugin.files.specification import Source, Specification, load_sources, merge
from camel_plugin.files.v04 import ert as ert_file
from camel_plugin.files.v04.constraints import Names, NodeConstraints, read_constraints
from camel_plugin.files.v04.problem_file import parse_problem
from camel_plugin.files.v04.storage_attributes import geometry
from camel_plugin.files.yaml_source import YamlNode, joined
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.machine import Compute, Fanout, Machine, Node, Storage, StorageEnergy, VectorUnit
from camel_plugin.spec.problem import Problem

_STORAGE = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
_COMPUTE = ("mac", "intmac", "fpmac", "compute")
_NETWORK = ("XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast")
_TAGS = ("Component", "Container", "Hierarchical", "Nothing", "Parallel", "Pipelined")
_LEAF = {"name", "attributes", "spatial", "constraints", "sparse_optimizations", "enabled"}
_COMPONENT = _LEAF | {"class", "subclass", "required_actions", "area_scale", "energy_scale"}
_REFUSED = {"sparse_optimizations": "sparse optimizations are not modelled", "networks": "networks are not modelled"}
_DEFAULT_CYCLE_S = 1e-9  # what Timeloop's own latency assumes
_DEFAULT_TEMPERATURE_C = 25.0


def read_machine(
    sources: Sequence[Source], *, ert: Path | None = None, name: str | None = None, problem: Problem | None = None
) -> Machine:
    """The machine that Timeloop v0.4 files describe.

    Args:
        sources: files, or (label, text) pairs; merged as Timeloop's front end merges them.
        ert: energies in Accelergy's ERT.yaml form; the components in it are not estimated.
        name: of the machine; by default that of the first file with an architecture.
        problem: gives the names of dataspaces and dimensions that constraints may use; by default the problem in
            the sources, and without one Weights, Inputs, Outputs and any dimension.

    Raises:
        SpecError: with file, line, field, value and the nearest valid name.
    """
    trees = load_sources(sources)
    spec = merge(trees)
    if not spec.architectures:
        raise trees[0].error("no architecture is given", suggestion="add a file with an architecture section")
    if problem is None and spec.problem is not None:
        problem = parse_problem(spec.problem, spec.variables)
    reader = _Reader(spec, problem, ert_file.read_ert(ert) if ert else {})
    for architecture in spec.architectures:
        reader.read_nodes(items(entries(architecture, {"version", "nodes"})["nodes"]))
    return reader.machine(name or _default_name(spec.architectures[0].file), dump_yaml(joined(trees), parts=100))


@dataclass(frozen=True)
class Component:
    """A storage or compute unit as it is given to an estimator.

    Attributes:
        name: in the architecture.
        class_name: what Timeloop takes it for.
        subclass: what an estimator takes it for, if that is something else.
        instances: in the machine.
        attributes: evaluated, its own and those that it inherits.
    """

    name: str
    class_name: str
    subclass: str | None
    instances: int
    attributes: Mapping[str, Any]


def read_components(sources: Sequence[Source]) -> tuple[Component, ...]:
    """Storages and compute unit of an architecture, outermost first.

    Raises:
        SpecError: as :func:`read_machine`.
    """
    spec = merge(load_sources(sources))
    reader = _Reader(spec, parse_problem(spec.problem, spec.variables) if spec.problem else None, {})
    for architecture in spec.architectures:
        reader.read_nodes(items(entries(architecture, {"version", "nodes"})["nodes"]))
    machine = reader.machine("", "")
    return tuple(
        replace(reader.components[node.name], instances=machine.instances(node.name))
        for node in machine.nodes
        if not isinstance(node, Fanout)
    )


def _default_name(file: str) -> str:
    path = Path(file)
    return path.parent.name if path.stem in ("arch", "architecture") and path.parent.name else path.stem


@dataclass
class _Reader:
    """Walks the nodes outermost first and collects the machine."""

    spec: Specification
    problem: Problem | None
    ert: dict[str, tuple[ert_file.Table, YamlNode]]
    nodes: list[Node] = field(default_factory=list)
    places: dict[str, YamlNode] = field(default_factory=dict)
    components: dict[str, Component] = field(default_factory=dict)
    inherited: dict[str, Any] = field(default_factory=dict)
    unconfirmed: list[str] = field(default_factory=list)
    vector: VectorUnit | None = None
    groups: int = 0

    def __post_init__(self) -> None:
        self.inherited = dict(self.spec.variables)
        self.names = Names()
        known: dict[str, Any] = {"variables": self.spec.variables}
        if self.problem is not None:
            dataspaces = tuple(dataspace.name for dataspace in self.problem.dataspaces)
            self.names = Names(dataspaces, self.problem.dimensions, known=True)
            known["problem"] = {"instance": self.problem.size}
        self.scope: dict[str, Any] = {**self.spec.variables, "variables": self.spec.variables, "spec": known}
        self.targets: dict[str, list[YamlNode]] = {}
        for target in self.spec.targets:
            found = mapping(target)
            if "target" not in found:
                raise target.error("target is missing")
            self.targets.setdefault(text(found["target"]), []).append(target)

    def machine(self, name: str, yaml: str) -> Machine:
        """The machine, after the checks that need all nodes."""
        last = self.spec.architectures[-1]
        if not self.nodes or not isinstance(self.nodes[-1], Compute):
            raise last.at(["nodes", -1]).error(
                "the last node must be a compute unit", suggestion=f"its class holds {', '.join(_COMPUTE)}"
            )
        for node in self.nodes[:-1]:
            if isinstance(node, Compute):
                raise self.places[node.name].error("only the last node can be a compute unit", value=node.class_name)
        if not any(isinstance(node, Storage) for node in self.nodes):
            raise last.error("there is no storage")
        for target, nodes in self.targets.items():
            if target not in self.places:
                raise nodes[0].error("unknown target", value=target, suggestion=nearest(target, sorted(self.places)))
        cycle_s = self._global("global_cycle_seconds", _DEFAULT_CYCLE_S, above=0)
        if "global_cycle_seconds" not in self.inherited:
            self.unconfirmed.append(f"global_cycle_seconds is not given: {_DEFAULT_CYCLE_S:g} s assumed")
        return Machine(
            name=name,
            nodes=tuple(self.nodes),
            cycle_s=cycle_s,
            temperature_C=self._global("temperature", _DEFAULT_TEMPERATURE_C),
            vector=self.vector,
            yaml=yaml,
            unconfirmed=tuple(dict.fromkeys(self.unconfirmed)),
        )

    def read_nodes(self, nodes: Sequence[YamlNode]) -> None:
        """One branch, outermost first."""
        for node in nodes:
            match node.tag:
                case "Container":
                    self._container(node)
                case "Component":
                    self._component(node)
                case "Hierarchical" | "Pipelined":
                    self.read_nodes(items(entries(node, {"nodes"})["nodes"]))
                case "Parallel":
                    self._parallel(node)
                case "Nothing":
                    continue
                case _:
                    raise self._untagged(node)

    def _untagged(self, node: YamlNode) -> SpecError:
        tags = ", ".join(f"!{tag}" for tag in _TAGS)
        if node.tag is None:
            return node.error("a node needs a tag", suggestion=f"put one of {tags} before it")
        return node.error("unknown tag", value=f"!{node.tag}", suggestion=nearest(node.tag, _TAGS))

    def _parallel(self, node: YamlNode) -> None:
        """Peers: each dataspace goes through one of them, or past all where a !Nothing keeps it."""
        first, past, keepers = len(self.nodes), frozenset[str](), dict[str, YamlNode]()
        self.groups += 1
        for child in items(entries(node, {"nodes"}, {"nodes"})["nodes"]):
            if child.tag == "Nothing":
                group = mapping(child).get("constraints")
                kept = read_constraints(group, (), self.scope, self.names).keep
                past |= kept
            elif child.tag == "Component":
                before = len(self.nodes)
                self._component(child, parallel=self.groups)
                if any(isinstance(each, Fanout | Compute) for each in self.nodes[before:]):
                    raise child.error("only storage without a fanout can stand in !Parallel")
                kept = frozenset(
                    name for each in self.nodes[before:] if isinstance(each, Storage) for name in each.keep
                )
            else:
                raise child.error("only !Component and !Nothing can stand in !Parallel", value=f"!{child.tag}")
            for name in kept:
                if name in keepers:
                    raise child.error("a peer keeps this dataspace already", value=name)
                keepers[name] = child
        if self.names.known and (lost := sorted(set(self.names.dataspaces) - set(keepers))):
            hint = f"keep them in one, or add - !Nothing {{constraints: {{dataspace: {{keep: [{', '.join(lost)}]}}}}}}"
            raise node.error("no branch keeps some dataspaces", value=lost, suggestion=hint)
        for index, each in enumerate(self.nodes[first:], first):
            assert isinstance(each, Storage)
            self.nodes[index] = replace(each, bypass=each.bypass | past)

    def _container(self, node: YamlNode) -> None:
        found = entries(node, _LEAF | {"networks"}, {"name"})
        refuse(found, _REFUSED)
        name = self._claim(found["name"])
        if not flag(found.get("enabled"), self.scope, default=True):
            return
        attributes = self._attributes(found.get("attributes"))
        self.inherited |= attributes
        scope = self.scope | self.inherited
        mesh = self._mesh(found.get("spatial"), scope)
        constraints = read_constraints(found.get("constraints"), self.targets.get(name, ()), scope, self.names)
        if constraints.keep or constraints.bypass or constraints.temporal != NodeConstraints().temporal:
            raise found.get("constraints", node).error("a container takes spatial constraints only")
        self.scope[name] = {"attributes": self.inherited | attributes, "spatial": {"meshX": mesh[0], "meshY": mesh[1]}}
        if mesh != (1, 1):
            self.nodes.append(Fanout(name, *mesh, spatial=constraints.spatial))
        if "vector_lanes" in attributes:
            self._vector(node, found["attributes"])

    def _vector(self, node: YamlNode, attributes: YamlNode) -> None:
        lanes = as_integer(self.inherited["vector_lanes"], attributes.at(["vector_lanes"]), minimum=1)
        cost = estimate_component("vector_alu", self.inherited, self.spec.classes, node)
        self._note("vector unit", cost)
        self.vector = VectorUnit(lanes, ert_file.energy(cost.actions_J, ("compute",), node))

    def _component(self, node: YamlNode, parallel: int | None = None) -> None:
        found = entries(node, _COMPONENT, {"name", "class"})
        refuse(found, _REFUSED)
        name, class_name = self._claim(found["name"]), text(found["class"])
        if not flag(found.get("enabled"), self.scope, default=True):
            return
        attributes = self.inherited | self._attributes(found.get("attributes"))
        scope = self.scope | attributes
        mesh = self._mesh(found.get("spatial"), scope)
        self.scope[name] = {"attributes": attributes, "spatial": {"meshX": mesh[0], "meshY": mesh[1]}}
        subclass = text(found["subclass"]) if "subclass" in found else None
        self.components[name] = Component(name, class_name, subclass, 1, attributes)
        constraints = read_constraints(found.get("constraints"), self.targets.get(name, ()), scope, self.names)
        if mesh != (1, 1):
            self.nodes.append(Fanout(f"inter_{name}_spatial", *mesh, spatial=constraints.spatial))
        elif constraints.spatial != NodeConstraints().spatial and "spatial" not in found:
            raise node.at(["constraints", "spatial"]).error(
                "spatial constraints stand where the fanout is", suggestion="move them to the container, or add spatial"
            )
        if any(word in class_name for word in _STORAGE):
            self.nodes.append(self._storage(node, found, attributes, constraints, parallel))
        elif any(word in class_name for word in _COMPUTE):
            self.nodes.append(self._compute(node, found, attributes))
        elif any(word in class_name for word in _NETWORK):
            raise found["class"].error("networks are not modelled", value=class_name)
        elif "nothing" not in class_name:
            raise self._unknown_class(found["class"], class_name)

    def _unknown_class(self, node: YamlNode, class_name: str) -> SpecError:
        if "edram" in class_name.lower():
            hint = "use class: storage, subclass: edram"
        else:
            hint = f"the class of a storage holds {', '.join(_STORAGE)}, that of a compute unit {', '.join(_COMPUTE)}"
        return node.error("Timeloop knows no such class", value=class_name, suggestion=hint)

    def _storage(
        self,
        node: YamlNode,
        found: Mapping[str, YamlNode],
        attributes: Mapping[str, Any],
        constraints: NodeConstraints,
        parallel: int | None,
    ) -> Storage:
        name, class_name = text(found["name"]), text(found["class"])
        if "edram" in class_name.lower():
            raise found["class"].error(
                "Timeloop takes this class for DRAM", value=class_name, suggestion="use class: storage, subclass: edram"
            )
        is_dram = "DRAM" in class_name
        technology = _technology(class_name, found)
        shape = geometry(node, attributes, is_dram=is_dram)
        cost = None
        if name not in self.ert or technology == "edram":
            cost = self._estimate(node, found, attributes)
        table, place, leakage = self._table(name, node, cost, attributes)
        scale = self._scale(found, "energy_scale", attributes)
        return Storage(
            name=name,
            class_name=class_name,
            technology=technology,
            width_bits=shape.width_bits,
            datawidth_bits=shape.datawidth_bits,
            depth=shape.depth,
            cluster_size=shape.cluster_size,
            row_bits=shape.row_bits,
            read_bandwidth=shape.read_bandwidth,
            write_bandwidth=shape.write_bandwidth,
            keep=constraints.keep,
            bypass=constraints.bypass,
            temporal=constraints.temporal,
            parallel=parallel,
            energy=StorageEnergy(
                read_J=ert_file.energy(table, ert_file.READ, place) * scale,
                write_J=ert_file.energy(table, ert_file.WRITE, place) * scale,
                update_J=ert_file.energy(table, ert_file.UPDATE, place) * scale,
                leakage_J_per_cycle=leakage * scale,
            ),
            area_m2=cost.area_m2 * self._scale(found, "area_scale", attributes) if cost else 0.0,
            edram=cost.edram if cost and technology == "edram" else None,
            is_dram=is_dram,
        )

    def _compute(self, node: YamlNode, found: Mapping[str, YamlNode], attributes: Mapping[str, Any]) -> Compute:
        name = text(found["name"])
        cost = None if name in self.ert else self._estimate(node, found, attributes)
        table, place, leakage = self._table(name, node, cost, attributes)
        scale = self._scale(found, "energy_scale", attributes)
        return Compute(
            name=name,
            class_name=text(found["class"]),
            energy_J=ert_file.energy(table, ert_file.COMPUTE, place) * scale,
            leakage_W=leakage * scale / self._cycle_s(attributes, node),
            area_m2=cost.area_m2 * self._scale(found, "area_scale", attributes) if cost else 0.0,
        )

    def _estimate(self, node: YamlNode, found: Mapping[str, YamlNode], attributes: Mapping[str, Any]) -> ComponentCost:
        """Cost of one instance; the subclass is what Accelergy prefers."""
        kind = text(found.get("subclass") or found["class"])
        timed = {"global_cycle_seconds": self._cycle_s(attributes, node), **attributes}
        cost = estimate_component(kind, timed, self.spec.classes, node)
        self._note(text(found["name"]), cost)
        return cost

    def _table(
        self, name: str, node: YamlNode, cost: ComponentCost | None, attributes: Mapping[str, Any]
    ) -> tuple[ert_file.Table, YamlNode, float]:
        """Energies in J, where they stand, and leakage in J per cycle: from the ERT if it has the component."""
        if name in self.ert:
            table, place = self.ert[name]
            return table, place, table.get("leak", 0.0)
        assert cost is not None
        return cost.actions_J, node, cost.leakage_W * self._cycle_s(attributes, node)

    def _note(self, name: str, cost: ComponentCost) -> None:
        self.unconfirmed += [f"{name}: {note}" for note in cost.unconfirmed]

    def _cycle_s(self, attributes: Mapping[str, Any], node: YamlNode) -> float:
        value = attributes.get("global_cycle_seconds", _DEFAULT_CYCLE_S)
        return as_number(value, node.at(["attributes", "global_cycle_seconds"]), above=0)

    def _global(self, key: str, default: float, **bounds: float) -> float:
        return as_number(self.inherited.get(key, default), self.spec.architectures[-1].at(["nodes"]), **bounds)

    def _scale(self, found: Mapping[str, YamlNode], key: str, attributes: Mapping[str, Any]) -> float:
        if key not in found or found[key].value is None:
            return 1.0
        return number(found[key], self.scope | dict(attributes), minimum=0)

    def _attributes(self, node: YamlNode | None) -> dict[str, Any]:
        if node is None or not mapping(node):
            return {}
        scope, result = self.scope | self.inherited, dict[str, Any]()
        for key, child in mapping(node).items():
            scope[key] = result[key] = resolve(child, scope)
        return result

    def _mesh(self, node: YamlNode | None, scope: Mapping[str, Any]) -> tuple[int, int]:
        if node is None:
            return 1, 1
        found = entries(node, {"meshX", "meshY"})
        x, y = (integer(found[key], scope, minimum=1) if key in found else 1 for key in ("meshX", "meshY"))
        return x, y

    def _claim(self, node: YamlNode) -> str:
        name = text(node)
        if name in self.places:
            first = self.places[name]
            raise node.error("this name is taken", value=name, suggestion=f"see {first.file}:{first.line}")
        self.places[name] = node
        return name


def _technology(class_name: str, found: Mapping[str, YamlNode]) -> str:
    """``dram``, ``edram``, ``sram``, ``regfile`` or ``other``, by what the component is called."""
    if "DRAM" in class_name:
        return "dram"
    kind = text(found.get("subclass") or found["class"]).lower()
    for technology, words in (("edram", ("edram",)), ("sram", ("sram",)), ("regfile", ("regfile", "register", "_rf"))):
        if any(word in kind for word in words):
            return technology
    return "other"
