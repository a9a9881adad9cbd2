"""Timeloop v0.4 mappings: the ``mapping`` list, read and checked against machine and problem."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from camel_plugin.errors import nearest
from camel_plugin.files.schema import entries, integer, mapping, refuse, text
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source
from camel_plugin.files.specification import read_specification
from camel_plugin.files.v03_architecture import BELOW
from camel_plugin.files.v04.constraints import Names, dataspaces, read_factors, read_permutation
from camel_plugin.files.v04.mapping_checks import check_capacities, check_constraints, check_loops
from camel_plugin.files.v04.names import IMPLIED, outer_name
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.constraint_macros import spelt_out, with_unit_loops
from camel_plugin.spec.machine import Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem

_KEEP_TYPES = ("dataspace", "datatype", "bypass", "storage")
_TYPES = (*_KEEP_TYPES, "temporal", "spatial")
_NOT_MODELLED = {
    "no_reuse": "no_reuse is not modelled in a mapping",
    "no_temporal_reuse": "no_temporal_reuse is not modelled",
    "no_link_transfer": "no_link_transfer is not modelled per level",
    "rmw_first_update": "rmw_first_update is not modelled",
    "no_coalesce": "no_coalesce is not modelled",
}


def read_mapping(
    sources: Sequence[Source],
    machine: Machine,
    problem: Problem,
    reading: Reading = AS_THEY_LIE,
    *,
    ignore_constraints: bool = False,
) -> Mapping:
    """The mapping in Timeloop v0.4 files; other sections in them are ignored.

    As in Timeloop a level may be left out (all factors 1), so may a dimension (factor 1, outermost in the order of the
    shape), ``split`` (everything along X) and ``keep`` (everything that the machine does not bypass); fixed factors
    and orders of the machine's constraints fill what the mapping leaves open. A factor 0 is whatever remains.

    Raises:
        SpecError: unknown target or name, factors that do not multiply to the problem, a fanout or a capacity that is
            exceeded, a dataspace that no level keeps, unless ``ignore_constraints`` something that contradicts the
            machine's constraints; with file, line and field.
    """
    spec = read_specification(sources, reading)
    if not spec.mapping:
        raise spec.without("mapping")
    reader = _Reader(machine, problem, spec.mapping)
    result = reader.mapping()
    reader.check(result)
    check_capacities(result, reader.machine, problem, reader.place)
    if not ignore_constraints:
        check_constraints(result, reader.machine, problem, reader.place)
    return result


def parse_mapping(directives: Sequence[YamlNode], machine: Machine, problem: Problem) -> Mapping:
    """The mapping that directives of a v0.4 file give, see :func:`read_mapping`; capacities are not checked.

    Raises:
        SpecError: see :func:`read_mapping`.
    """
    reader = _Reader(machine, problem, directives)
    result = reader.mapping()
    reader.check(result)
    return result


@dataclass
class _Level:
    """What the directives say about one node."""

    node: Storage | Fanout
    keep: YamlNode | None = None
    loops: YamlNode | None = None
    factors: dict[str, int] = field(default_factory=dict)


class _Reader:
    def __init__(self, machine: Machine, problem: Problem, directives: Sequence[YamlNode]) -> None:
        self.machine, self.problem, self.first = spelt_out(machine, problem), problem, directives[0]
        self.names = Names(tuple(space.name for space in problem.dataspaces), problem.dimensions, known=True)
        self.levels = {node.name: _Level(node) for node in self.machine.nodes if isinstance(node, Storage | Fanout)}
        for directive in directives:
            self._add(directive)
        for level in self.levels.values():
            level.factors = self._factors(level)

    def _add(self, directive: YamlNode) -> None:
        found = mapping(directive)
        for key in ("target", "type"):
            if key not in found:
                raise directive.error(f"{key} is missing")
        kind = text(found["type"])
        if kind not in _TYPES:
            raise found["type"].error("unknown type", value=kind, suggestion=nearest(kind, _TYPES))
        level = self._target(found["target"], kind)
        if level is None:
            self._check_trivial(directive, kind)
            return
        slot = "keep" if kind in _KEEP_TYPES else "loops"
        if (earlier := getattr(level, slot)) is not None:
            raise directive.error(f"this target has a {kind} directive in line {earlier.line} already")
        setattr(level, slot, directive)

    def _target(self, node: YamlNode, kind: str) -> _Level | None:
        """The level meant; None for the storage that Timeloop puts at a fanout to hold its loops."""
        name = text(node)
        implied = IMPLIED.fullmatch(name)
        fanout = implied is not None and (name in self.levels or implied[1] in self.levels)
        if kind == "spatial":
            for candidate in (f"{BELOW}{name}", f"inter_{name}_spatial", name, implied[1] if implied else name):
                if candidate in self.levels and isinstance(self.levels[candidate].node, Fanout):
                    return self.levels[candidate]
            if name in self.levels:
                raise node.error("there is no fanout here", value=name, suggestion=self._valid(Fanout))
        elif fanout:
            return None
        elif name in self.levels:
            if isinstance(self.levels[name].node, Storage):
                return self.levels[name]
            raise node.error("a fanout holds nothing and has spatial loops only", value=name)
        names = sorted(outer_name(each, self.machine) for each in self.levels)
        raise node.error("unknown target", value=name, suggestion=nearest(name, names))

    def _valid(self, kind: type[Node]) -> str:
        names = [outer_name(name, self.machine) for name, level in self.levels.items() if isinstance(level.node, kind)]
        return "valid: " + ", ".join(names) if names else "there are none"

    def _check_trivial(self, directive: YamlNode, kind: str) -> None:
        found = mapping(directive)
        if kind in _KEEP_TYPES and "keep" in found and dataspaces(found["keep"], self.names):
            raise found["keep"].error("a fanout holds nothing", value=found["keep"].plain())
        if kind == "temporal" and "factors" in found:
            factors = read_factors(found["factors"], self.names)
            if any(bound.value != 1 for bound in factors.values()):
                raise found["factors"].error("a fanout has spatial loops only", value=found["factors"].plain())

    def _factors(self, level: _Level) -> dict[str, int]:
        """Factors of the directive, and fixed ones of the machine's constraints for dimensions it leaves out."""
        fixed = {
            name: bound.value
            for name, bound in _constraints(level.node).factors.items()
            if bound.relation == "=" and name in self.problem.dimensions
        }
        if level.loops is None:
            return fixed
        extra = {"split", *_NOT_MODELLED} if isinstance(level.node, Fanout) else set(_NOT_MODELLED)
        found = entries(level.loops, {"target", "type", "factors", "permutation"} | extra)
        refuse(found, _NOT_MODELLED)
        if "factors" not in found:
            return fixed
        given = read_factors(found["factors"], self.names)
        for name, bound in given.items():
            if bound.relation != "=":
                raise found["factors"].error(
                    "a mapping needs exact factors", value=f"{name}{bound.relation}{bound.value}"
                )
        return fixed | {name: bound.value for name, bound in given.items()}

    def mapping(self) -> Mapping:
        """The mapping, factors 0 replaced."""
        for dimension, bound in self.problem.size.items():
            self._complete(dimension, bound)
        return Mapping(tuple(self._node(level) for level in self.levels.values()))

    def _complete(self, dimension: str, bound: int) -> None:
        """Replace a factor 0 and check that the factors of a dimension multiply to its bound."""
        users = [level for level in self.levels.values() if dimension in level.factors]
        place = next((level.loops for level in users if level.loops and level.factors[dimension] != 1), self.first)
        rest = math.prod(level.factors[dimension] or 1 for level in users)
        for level in users:
            if level.factors[dimension] == 0:
                level.factors[dimension] = bound // rest if bound % rest == 0 else 1
                rest *= level.factors[dimension]
        if rest != bound:
            raise place.at(["factors"]).error(
                f"the factors of {dimension} multiply to {rest}, the problem has {dimension} = {bound}", value=rest
            )

    def _node(self, level: _Level) -> NodeMapping:
        order = self._order(level)
        factors = {name: level.factors[name] for name in order if level.factors.get(name, 1) > 1}
        looping = tuple(name for name in reversed(order) if name in factors)
        if isinstance(level.node, Storage):
            return NodeMapping(level.node.name, factors, looping, keep=self._keep(level.node, level.keep))
        along_x = frozenset(order[: self._split(level)]) & frozenset(factors)
        return NodeMapping(level.node.name, factors, looping, x_dims=along_x)

    def _order(self, level: _Level) -> tuple[str, ...]:
        """All dimensions, innermost first: loops of factor 1 that are not named, the named ones, the others."""
        found = mapping(level.loops) if level.loops else {}
        named = _constraints(level.node).permutation
        if "permutation" in found:
            named = read_permutation(found["permutation"], self.names)
        named = tuple(name for name in named if name in self.problem.dimensions)
        unit = [name for name, factor in level.factors.items() if factor == 1]
        unit += [name for name, bound in self.problem.size.items() if bound == 1]
        named = with_unit_loops(named, unit)
        return named + tuple(name for name in self.problem.dimensions if name not in named)

    def _split(self, level: _Level) -> int:
        found = mapping(level.loops) if level.loops else {}
        if "split" in found:
            return integer(found["split"], minimum=0)
        split = _constraints(level.node).split
        return len(self.problem.dimensions) if split is None else split

    def _keep(self, node: Storage, directive: YamlNode | None) -> frozenset[str]:
        every = frozenset(self.names.dataspaces)
        default = (node.keep if node.parallel is not None else every - node.bypass) & every
        if directive is None:
            return default
        found = entries(directive, {"target", "type", "keep", "bypass", *_NOT_MODELLED})
        refuse(found, _NOT_MODELLED)
        keep = dataspaces(found["keep"], self.names) if "keep" in found else frozenset()
        bypass = dataspaces(found["bypass"], self.names) if "bypass" in found else frozenset()
        if keep & bypass:
            raise directive.error("is both kept and bypassed", value=sorted(keep & bypass))
        return keep | (default - bypass)

    def check(self, result: Mapping) -> None:
        """Refuse loops that exceed a fanout, and dataspaces that no level keeps."""
        check_loops(result, self.machine, self.problem, self.place)

    def place(self, node: str, slot: str) -> YamlNode:
        """The directive that says something of a node, to point at."""
        level = self.levels.get(node)
        others = (level.keep, level.loops) if level and slot == "keep" else (level.loops, level.keep) if level else ()
        return next((directive for directive in others if directive is not None), self.first)


def _constraints(node: Storage | Fanout) -> LoopConstraints:
    return node.temporal if isinstance(node, Storage) else node.spatial
