"""Timeloop v0.4 architectures, read: nodes with their attributes and constraints, before anybody prices them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

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
    named,
    number,
    refuse,
    text,
)
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source
from camel_plugin.files.specification import Specification, read_specification
from camel_plugin.files.v04.constraints import Names, NodeConstraints, read_constraints, read_keep
from camel_plugin.files.v04.problem_file import instance_values, parse_problem
from camel_plugin.files.v04.storage_attributes import OWN, read_storage
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage
from camel_plugin.spec.problem import Problem

_STORAGE = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
_COMPUTE = ("mac", "intmac", "fpmac", "compute")
_NETWORK = ("XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast")
_TAGS = ("Component", "Container", "Hierarchical", "Nothing", "Parallel", "Pipelined")
_LEAF = {"name", "attributes", "spatial", "constraints", "sparse_optimizations", "enabled"}
_COMPONENT = _LEAF | {"class", "subclass", "required_actions", "area_scale", "energy_scale"}
_REFUSED = {
    "sparse_optimizations": "sparse optimizations are not modelled; --dense leaves them out",
    "networks": "networks are not modelled",
}
_DEFAULT_CYCLE_S = 1e-9  # what Timeloop's own latency assumes
_DEFAULT_TEMPERATURE_C = 25.0


@dataclass(frozen=True)
class Component:
    """A storage, compute or vector unit as the files describe it.

    Attributes:
        node: where it stands.
        unit: without energies and area.
        kind: what an estimator takes it for.
        subclass: that, where it is not what Timeloop takes it for.
        attributes: evaluated, its own and those that it inherits.
        cycle_s: of its clock.
        energy_scale: factor of all its energies.
        area_scale: factor of its area.
    """

    node: YamlNode
    unit: Storage | Compute
    kind: str
    subclass: str | None
    attributes: Mapping[str, object]
    cycle_s: float = _DEFAULT_CYCLE_S
    energy_scale: float = 1.0
    area_scale: float = 1.0


@dataclass(frozen=True)
class Architecture:
    """What files say of a machine.

    Attributes:
        machine: without energies, area and cells.
        components: storage or compute unit -> what an estimator is told of it.
        vector: the vector unit, and its lanes.
        classes: compound component classes by name.
        ert: the ``ERT`` section in the files.
    """

    machine: Machine
    components: Mapping[str, Component]
    vector: tuple[Component, int] | None
    classes: Mapping[str, YamlNode]
    ert: YamlNode | None = None


def read_architecture(
    sources: Sequence[Source], problem: Problem | None = None, reading: Reading = AS_THEY_LIE
) -> Architecture:
    """The architecture in Timeloop v0.4 files, which are merged as Timeloop's front end merges them.

    Args:
        sources: files, or (label, text) pairs.
        problem: gives the names of dataspaces and dimensions that constraints may use; by default the problem in
            the sources, and without one Weights, Inputs, Outputs and any dimension.
        reading: how the files are read.

    Raises:
        SpecError: with file, line, field, value and the nearest valid name.
    """
    spec = read_specification(sources, reading)
    if "architecture" not in spec.sections:
        raise spec.without("architecture")
    sparse = spec.sections.get("sparse_optimizations")
    if sparse is not None and items(mapping(sparse).get("targets")):
        raise sparse.error(_REFUSED["sparse_optimizations"])
    if problem is None and spec.problem is not None:
        problem = parse_problem(spec.problem, spec.variables)
    reader = _Reader(spec, problem)
    reader.read_nodes(spec.architecture)
    found = reader.architecture(_name(spec.sections["architecture"].file), spec.text)
    if not reading.dense:
        return found
    note = "sparse optimizations and densities in its files are left out"
    return replace(found, machine=replace(found.machine, unconfirmed=(*found.machine.unconfirmed, note)))


def _name(file: str) -> str:
    path = Path(file)
    return path.parent.name if path.stem in ("arch", "architecture") and path.parent.name else path.stem


@dataclass
class _Reader:
    """Walks the nodes outermost first and collects them."""

    spec: Specification
    problem: Problem | None
    nodes: list[Fanout | Component] = field(default_factory=list)
    places: dict[str, YamlNode] = field(default_factory=dict)
    inherited: dict[str, object] = field(default_factory=dict)
    visible: dict[str, object] = field(default_factory=dict)
    vector: tuple[Component, int] | None = None
    groups: int = 0
    carried: frozenset[str] | None = None

    def __post_init__(self) -> None:
        self.inherited = dict(self.spec.variables)
        self.names = Names()
        known: dict[str, object] = {"variables": self.spec.variables}
        if self.problem is not None:
            dataspaces = tuple(dataspace.name for dataspace in self.problem.dataspaces)
            self.names = Names(dataspaces, self.problem.dimensions, known=True)
            known["problem"] = {"instance": self._instance(self.problem)}
        self.scope: dict[str, object] = {**self.spec.variables, "variables": self.spec.variables, "spec": known}
        self.targets: dict[str, list[YamlNode]] = {}
        for target in self.spec.targets:
            found = mapping(target)
            if "target" not in found:
                raise target.error("target is missing")
            self.targets.setdefault(text(found["target"]), []).append(target)

    def _node(self) -> str:
        """Technology of the components on the chip, as they name it."""
        named = (
            each.attributes.get("technology") for each in self.nodes if isinstance(each, Component) and _on_chip(each)
        )
        found = dict.fromkeys(str(name).lower().removesuffix("nm").strip() for name in named if name is not None)
        return ", ".join(f"{name} nm" for name in found if name.replace(".", "").isdigit())

    def _instance(self, problem: Problem) -> dict[str, object]:
        """What ``spec.problem.instance`` is in expressions: all that a file gives there, dimensions or not."""
        if self.spec.problem is None:
            return dict(problem.size)
        node = self.spec.problem.at(["instance"])
        values = instance_values(node, self.spec.variables)
        return {**{name: values[name] for name in mapping(node)}, **problem.size, "densities": {}}

    def architecture(self, name: str, yaml: str) -> Architecture:
        """Everything, after the checks that need all nodes."""
        last = self.spec.architecture[-1] if self.spec.architecture else self.spec.sections["architecture"]
        units = [each.unit for each in self.nodes if isinstance(each, Component)]
        if not self.nodes or isinstance(self.nodes[-1], Fanout) or not isinstance(self.nodes[-1].unit, Compute):
            raise last.error(
                "the last node must be a compute unit", suggestion=f"its class holds {', '.join(_COMPUTE)}"
            )
        for unit in units[:-1]:
            if isinstance(unit, Compute):
                raise self.places[unit.name].error("only the last node can be a compute unit", value=unit.class_name)
        if not any(isinstance(unit, Storage) for unit in units):
            raise last.error("there is no storage")
        for target, nodes in self.targets.items():
            if target not in self.places:
                raise nodes[0].error("unknown target", value=target, suggestion=nearest(target, sorted(self.places)))
        cycle_s = self._global("global_cycle_seconds", _DEFAULT_CYCLE_S, above=0)
        assumed = f"global_cycle_seconds is not given: {_DEFAULT_CYCLE_S:g} s assumed"
        machine = Machine(
            name,
            tuple(each if isinstance(each, Fanout) else each.unit for each in self.nodes),
            cycle_s,
            self._global("temperature", _DEFAULT_TEMPERATURE_C),
            yaml=yaml,
            technology=self._node(),
            unconfirmed=() if "global_cycle_seconds" in self.inherited else (assumed,),
        )
        components = {each.unit.name: each for each in self.nodes if isinstance(each, Component)}
        return Architecture(machine, components, self.vector, self.spec.classes, self.spec.sections.get("ERT"))

    def read_nodes(self, nodes: Sequence[YamlNode]) -> None:
        """One branch, outermost first."""
        for node in nodes:
            match node.tag:
                case "Container":
                    self._container(node)
                case "Component":
                    self._component(node)
                case "Hierarchical" | "Pipelined":
                    self._nested(node)
                case "Parallel":
                    self._parallel(node)
                case "Nothing":
                    continue
                case _:
                    raise self._untagged(node)

    def _nested(self, node: YamlNode) -> None:
        """The nodes of a branch, whose containers give no names to what comes after it."""
        visible = dict(self.visible)
        self.read_nodes(items(entries(node, {"nodes"}).get("nodes")))
        self.visible = visible

    def _untagged(self, node: YamlNode) -> SpecError:
        tags = ", ".join(f"!{tag}" for tag in _TAGS)
        if node.tag is None:
            return node.error("a node needs a tag", suggestion=f"put one of {tags} before it")
        return node.error("unknown tag", value=f"!{node.tag}", suggestion=nearest(node.tag, _TAGS))

    def _parallel(self, node: YamlNode) -> None:
        """Peers: each dataspace goes through one of them, or past all where a !Nothing keeps it."""
        first, past, keepers = len(self.nodes), frozenset[str](), dict[str, YamlNode]()
        self.groups += 1
        group = self.groups
        for child in items(entries(node, {"nodes"}, {"nodes"})["nodes"]):
            if child.tag == "Nothing":
                constraints = mapping(child).get("constraints")
                kept = read_constraints(constraints, (), self.scope, self.names).keep
                past |= kept
            elif child.tag == "Component":
                before = len(self.nodes)
                self._component(child, parallel=group)
                storages = [each.unit for each in self.nodes[before:] if isinstance(each, Component)]
                kept = frozenset(name for unit in storages if isinstance(unit, Storage) for name in unit.keep)
                if len(storages) < len(self.nodes) - before or not all(isinstance(unit, Storage) for unit in storages):
                    raise child.error("only storage without a fanout can stand in !Parallel")
                kept |= self._kept_in(child)
            elif child.tag in ("Hierarchical", "Pipelined", "Parallel"):
                kept = self._branch(child)
                past |= kept
            else:
                raise child.error("a !Container cannot stand in !Parallel", value=f"!{child.tag}")
            for name in kept:
                if name in keepers:
                    raise child.error("a peer keeps this dataspace already", value=name)
                keepers[name] = child
        carried = frozenset(self.names.dataspaces) if self.carried is None else self.carried
        if self.names.known and (lost := sorted(carried - set(keepers))):
            hint = f"keep them in one, or add - !Nothing {{constraints: {{dataspace: {{keep: [{', '.join(lost)}]}}}}}}"
            raise node.error("no branch keeps some dataspaces", value=lost, suggestion=hint)
        for index, each in enumerate(self.nodes[first:], first):
            if isinstance(each, Component) and isinstance(each.unit, Storage) and each.unit.parallel == group:
                self.nodes[index] = replace(each, unit=replace(each.unit, bypass=each.unit.bypass | past))

    def _branch(self, node: YamlNode) -> frozenset[str]:
        """A branch of several nodes: what one of its storages keeps goes through it, everything else past it."""
        first, carried = len(self.nodes), self.carried
        self.carried = kept = self._kept_in(node)
        if node.tag == "Parallel":
            self._parallel(node)
        else:
            self._nested(node)
        self.carried = carried
        past = frozenset(self.names.dataspaces) - kept
        for index, each in enumerate(self.nodes[first:], first):
            if isinstance(each, Component) and isinstance(each.unit, Storage):
                self.nodes[index] = replace(each, unit=replace(each.unit, bypass=each.unit.bypass | past))
        return kept

    def _kept_in(self, node: YamlNode) -> frozenset[str]:
        """What the constraints of a node, or of any node in a branch, keep."""
        found = mapping(node)
        if "nodes" in found:
            return frozenset(name for child in items(found["nodes"]) for name in self._kept_in(child))
        group = mapping(found["constraints"]) if "constraints" in found else {}
        parts = [group["dataspace"]] if "dataspace" in group else []
        for target in self.targets.get(text(found["name"]), ()) if "name" in found else ():
            if "type" in mapping(target) and text(mapping(target)["type"]) in ("dataspace", "bypass", "datatype"):
                parts.append(target)
        return frozenset(name for part in parts for name in read_keep(part, self.names)[0])

    def _container(self, node: YamlNode) -> None:
        found = entries(node, _LEAF | {"networks"}, {"name"})
        refuse(found, _REFUSED)
        name = self._claim(found["name"])
        if not flag(found.get("enabled"), self.scope, default=True):
            return
        attributes = self._attributes(found.get("attributes"))
        mesh = self._mesh(found.get("spatial"), self._scope_of(found, "spatial", attributes))
        scope = self._scope_of(found, "constraints", attributes)
        constraints = read_constraints(found.get("constraints"), self.targets.get(name, ()), scope, self.names)
        self.inherited |= attributes
        self.visible |= attributes
        if constraints.keep or constraints.bypass or constraints.temporal != NodeConstraints().temporal:
            raise found.get("constraints", node).error("a container takes spatial constraints only")
        self.scope[name] = {"attributes": self.inherited | attributes, "spatial": {"meshX": mesh[0], "meshY": mesh[1]}}
        if mesh != (1, 1):
            self.nodes.append(Fanout(name, *mesh, spatial=constraints.spatial))
        if "vector_lanes" in attributes:
            self._vector(node, found["attributes"])

    def _vector(self, node: YamlNode, attributes: YamlNode) -> None:
        lanes = as_integer(self.inherited["vector_lanes"], attributes.at(["vector_lanes"]), minimum=1)
        unit = Compute("vector unit", "vector_alu")
        self.vector = Component(node, unit, unit.class_name, None, dict(self.inherited)), lanes

    def _component(self, node: YamlNode, parallel: int | None = None) -> None:
        found = entries(node, _COMPONENT, {"name", "class"})
        refuse(found, _REFUSED)
        name, class_name = self._claim(found["name"]), text(found["class"])
        is_storage = any(word in class_name for word in _STORAGE)
        passed_on = {key: value for key, value in self.inherited.items() if not (is_storage and key in OWN)}
        own = self._attributes(found.get("attributes"))
        if not flag(found.get("enabled"), self._scope_of(found, "enabled", own), default=True):
            return
        attributes = own | {key: value for key, value in passed_on.items() if key not in own}
        mesh = self._mesh(found.get("spatial"), self._scope_of(found, "spatial", own))
        self.scope[name] = {"attributes": attributes, "spatial": {"meshX": mesh[0], "meshY": mesh[1]}}
        subclass = _subclass(found)
        scope = self._scope_of(found, "constraints", own)
        constraints = read_constraints(found.get("constraints"), self.targets.get(name, ()), scope, self.names)
        if mesh != (1, 1):
            self.nodes.append(Fanout(f"inter_{name}_spatial", *mesh, spatial=constraints.spatial))
        elif constraints.spatial != NodeConstraints().spatial and "spatial" not in found:
            raise node.at(["constraints", "spatial"]).error(
                "spatial constraints stand where the fanout is", suggestion="move them to the container, or add spatial"
            )
        self._check_instances(node, attributes)
        if is_storage:
            storage = self._storage(node, found, attributes, constraints, parallel)
            size = {"width": storage.width_bits, "datawidth": storage.datawidth_bits, "depth": storage.depth}
            attributes |= {key: value for key, value in size.items() if value is not None and key not in attributes}
            unit: Storage | Compute = storage
        elif any(word in class_name for word in _COMPUTE):
            unit = Compute(name, class_name)
        elif any(word in class_name for word in _NETWORK):
            raise found["class"].error("networks are not modelled", value=class_name)
        elif "nothing" not in class_name:
            raise self._unknown_class(found["class"], class_name)
        else:
            return
        scales = (self._scale(found, key, own) for key in ("energy_scale", "area_scale"))
        cycle_s = as_number(
            attributes.get("global_cycle_seconds", _DEFAULT_CYCLE_S),
            node.at(["attributes", "global_cycle_seconds"]),
            above=0,
        )
        self.nodes.append(Component(node, unit, subclass or class_name, subclass, attributes, cycle_s, *scales))

    def _check_instances(self, node: YamlNode, attributes: Mapping[str, object]) -> None:
        """Their number follows from the meshes, and clusters of them are whole."""
        instances = math.prod(each.size for each in self.nodes if isinstance(each, Fanout))
        for key, hint in (("instances", "give it as meshes"), ("cluster_size", "clusters must be whole")):
            if attributes.get(key) is None:
                continue
            place = node.at(["attributes", key])
            given = as_integer(attributes[key], place, minimum=1)
            if given != instances if key == "instances" else instances % given:
                raise place.error(f"the meshes make {instances} instances", value=given, suggestion=hint)

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
        attributes: Mapping[str, object],
        constraints: NodeConstraints,
        parallel: int | None,
    ) -> Storage:
        name, class_name = text(found["name"]), text(found["class"])
        if "edram" in class_name.lower():
            raise found["class"].error(
                "Timeloop takes this class for DRAM", value=class_name, suggestion="use class: storage, subclass: edram"
            )
        shape = read_storage(node, name, class_name, _technology(class_name, found), attributes)
        return replace(
            shape, keep=constraints.keep, bypass=constraints.bypass, temporal=constraints.temporal, parallel=parallel
        )

    def _global(self, key: str, default: float, **bounds: float) -> float:
        return as_number(self.inherited.get(key, default), self.spec.sections["architecture"], **bounds)

    def _scale(self, found: Mapping[str, YamlNode], key: str, attributes: Mapping[str, object]) -> float:
        if key not in found or found[key].value is None:
            return 1.0
        return number(found[key], self._scope_of(found, key, attributes), minimum=0)

    def _scope_of(
        self, found: Mapping[str, YamlNode], key: str, attributes: Mapping[str, object]
    ) -> Mapping[str, object]:
        """Names for the expressions of a field: what containers before the node give, and fields before this one."""
        keys = list(found)
        known = "attributes" in keys and key in keys and keys.index("attributes") < keys.index(key)
        return self.scope | self.visible | {"attributes": attributes if known else {}}

    def _attributes(self, node: YamlNode | None) -> dict[str, object]:
        if node is None or not named(node):
            return {}
        scope, result = self.scope | self.visible, dict[str, object]()
        for key, child in named(node).items():
            scope[key] = result[key] = resolve(child, scope)
        return result

    def _mesh(self, node: YamlNode | None, scope: Mapping[str, object]) -> tuple[int, int]:
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


def _on_chip(component: Component) -> bool:
    return not (isinstance(component.unit, Storage) and component.unit.is_dram)


def _subclass(found: Mapping[str, YamlNode]) -> str | None:
    return None if "subclass" not in found or found["subclass"].value is None else text(found["subclass"])


def _technology(class_name: str, found: Mapping[str, YamlNode]) -> str:
    """``dram``, ``edram``, ``sram``, ``regfile`` or ``other``, by what the component is called."""
    if "DRAM" in class_name:
        return "dram"
    kind = (_subclass(found) or text(found["class"])).lower()
    for technology, words in (("edram", ("edram",)), ("sram", ("sram",)), ("regfile", ("regfile", "register", "_rf"))):
        if any(word in kind for word in words):
            return technology
    return "other"
