"""Timeloop v0.4 mappings: the ``mapping`` list, read, checked against machine and problem, and written."""

import math
import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, field

from camel_plugin.errors import SpecError, nearest
from camel_plugin.files.schema import entries, integer, mapping, refuse, text
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source
from camel_plugin.files.specification import read_specification
from camel_plugin.files.v04.constraints import Names, dataspaces, read_factors, read_permutation
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.constraint_macros import spelt_out, with_unit_loops
from camel_plugin.spec.machine import Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem

_KEEP_TYPES = ("dataspace", "datatype", "bypass", "storage")
_TYPES = (*_KEEP_TYPES, "temporal", "spatial")
Directive = dict[str, str | int | list[str]]
"""One item of a mapping as it is written."""

_IMPLIED = re.compile(r"inter_(.+)_spatial")
_NOT_MODELLED = {
    "no_reuse": "no_reuse is not modelled in a mapping",
    "no_temporal_reuse": "no_temporal_reuse is not modelled",
    "no_link_transfer": "no_link_transfer is not modelled per level",
    "rmw_first_update": "rmw_first_update is not modelled",
    "no_coalesce": "no_coalesce is not modelled",
}


def read_mapping(
    sources: Sequence[Source], machine: Machine, problem: Problem, reading: Reading = AS_THEY_LIE
) -> Mapping:
    """The mapping in Timeloop v0.4 files; other sections in them are ignored.

    As in Timeloop a level may be left out (all factors 1), so may a dimension (factor 1, outermost in the order of the
    shape), ``split`` (everything along X) and ``keep`` (everything that the machine does not bypass); fixed factors
    and orders of the machine's constraints fill what the mapping leaves open. A factor 0 is whatever remains.
    Constraints are not enforced.

    Raises:
        SpecError: unknown target or name, factors that do not multiply to the problem, a fanout or a capacity that is
            exceeded, a dataspace that no level keeps; with file, line and field.
    """
    spec = read_specification(sources, reading)
    if not spec.mapping:
        raise spec.without("mapping")
    reader = _Reader(machine, problem, spec.mapping)
    result = reader.mapping()
    reader.check(result)
    reader.check_capacities(result)
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
        implied = _IMPLIED.fullmatch(name)
        fanout = implied is not None and (name in self.levels or implied[1] in self.levels)
        if kind == "spatial":
            for candidate in (f"inter_{name}_spatial", name, implied[1] if implied else name):
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
        names = sorted(_outer_name(each, self.machine) for each in self.levels)
        raise node.error("unknown target", value=name, suggestion=nearest(name, names))

    def _valid(self, kind: type[Node]) -> str:
        names = [_outer_name(name, self.machine) for name, level in self.levels.items() if isinstance(level.node, kind)]
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
        for node in result.nodes:
            level = self.levels[node.target]
            if isinstance(level.node, Fanout):
                self._check_fanout(level.node, node, level.loops or self.first)
        kept = {name for node in result.nodes for name in node.keep}
        for name in self.names.dataspaces:
            if name not in kept:
                raise self.first.error("no level keeps this dataspace", value=name)

    def check_capacities(self, result: Mapping) -> None:
        """Refuse tiles that a level cannot hold."""
        tile = dict.fromkeys(self.problem.dimensions, 1)
        for node in reversed(result.nodes):
            level = self.levels[node.target]
            for name, factor in node.factors.items():
                tile[name] *= factor
            if isinstance(level.node, Storage):
                self._check_capacity(level.node, node, tile, level.loops or level.keep or self.first)

    def _check_fanout(self, fanout: Fanout, node: NodeMapping, place: YamlNode) -> None:
        for axis, available in (("X", fanout.mesh_x), ("Y", fanout.mesh_y)):
            used = math.prod(node.factors[name] for name in node.factors if (name in node.x_dims) == (axis == "X"))
            if used > available:
                other = fanout.mesh_y if axis == "X" else fanout.mesh_x
                hint = f"split says how many of the innermost dimensions run along X, the other axis has {other}"
                raise place.at(["factors"]).error(
                    f"the factors need {used} instances along {axis}, {fanout.name} has {available}",
                    value=used,
                    suggestion=hint,
                )

    def _check_capacity(
        self, storage: Storage, node: NodeMapping, tile: MappingType[str, int], place: YamlNode
    ) -> None:
        words = {name: self.problem.dataspace(name).volume(tile) for name in sorted(node.keep)}
        if storage.capacity_words is not None and sum(words.values()) > storage.capacity_words:
            parts = ", ".join(f"{name} {count}" for name, count in words.items())
            raise place.error(
                f"the tiles need {sum(words.values())} words ({parts}), {storage.name} holds {storage.capacity_words}",
                suggestion="move factors outwards or bypass a dataspace",
            )


def write_mapping(mapping: Mapping, machine: Machine, problem: Problem) -> str:
    """The mapping as a v0.4 file that goes with the machine's own files.

    Timeloop's front end joins a mapping with the constraints of the machine and takes both only where they are the
    same in letters: an order or a split that is constrained is repeated as it stands there. What a constraint leaves
    open can only be said in the machine's place; a comment at the top names such nodes.
    """
    writer = _Writer(mapping, machine, problem)
    directives = writer.directives()
    notes = [
        f"# {name}: its {what} is not all that the machine's constraints say there, so that Timeloop's front end takes "
        "this mapping only without them\n"
        for name, what in writer.beyond.items()
    ]
    return "".join(notes) + dump_yaml({"mapping": directives})


def mapping_directives(mapping: Mapping, machine: Machine, problem: Problem) -> list[Directive]:
    """The directives of a v0.4 mapping, see :func:`write_mapping`.

    Raises:
        SpecError: the mapping names nodes that the machine does not have.
    """
    return _Writer(mapping, machine, problem).directives()


class _Writer:
    """Writes a mapping in such words that the constraints of a machine can be joined with it.

    Attributes:
        beyond: nodes whose loops the front end cannot join with the machine's constraints -> what of them.
    """

    def __init__(self, mapping: Mapping, machine: Machine, problem: Problem) -> None:
        self.mapping, self.machine, self.problem = mapping, machine, problem
        self.beyond: dict[str, str] = {}

    def directives(self) -> list[Directive]:
        """All of them, outermost node first."""
        found: list[Directive] = []
        for node in self.mapping.nodes:
            level = _level(self.machine, node.target)
            target = _outer_name(node.target, self.machine)
            if isinstance(level, Storage):
                spaces = [space.name for space in self.problem.dataspaces]
                keep = [name for name in spaces if name in node.keep]
                bypass = [name for name in spaces if name not in node.keep]
                found.append({"target": target, "type": "dataspace", "keep": keep, "bypass": bypass})
                found.append({"target": target, "type": "temporal", **self._loops(node, level.temporal)})
            elif isinstance(level, Fanout):
                found.append({"target": target, "type": "spatial", **self._loops(node, level.spatial, spatial=True)})
        return found

    def _loops(self, node: NodeMapping, loops: LoopConstraints, *, spatial: bool = False) -> Directive:
        inner_first = [name for name in reversed(node.permutation) if node.factor(name) > 1]
        if spatial:
            inner_first.sort(key=lambda name: name not in node.x_dims)
        along_x = sum(name in node.x_dims for name in inner_first) if spatial else 0
        unit = [name for name in self.problem.dimensions if name not in inner_first]
        factors = [
            f"{name}={node.factor(name)}" for name in self.problem.dimensions if self._written(name, node, loops)
        ]
        if not loops.permutation:
            idle = max(0, min(loops.split if loops.split is not None else along_x, len(unit) + along_x) - along_x)
            order = unit[:idle] + inner_first + unit[idle:]
        else:
            kept = tuple(name for name in loops.permutation if name in self.problem.dimensions)
            full = self._full(kept, unit)
            real = [name for name in full if node.factor(name) > 1]
            order = list(kept) if real == inner_first else inner_first + unit
            if real != inner_first:
                self.beyond[node.target] = "order of loops"
        found: Directive = {"factors": factors, "permutation": order}
        if spatial:
            found["split"] = self._split(node, loops, order, along_x)
        return found

    def _full(self, order: tuple[str, ...], unit: Sequence[str]) -> tuple[str, ...]:
        """All dimensions in the order in which Timeloop takes them."""
        found = with_unit_loops(order, unit)
        return found + tuple(name for name in self.problem.dimensions if name not in found)

    def _written(self, name: str, node: NodeMapping, loops: LoopConstraints) -> bool:
        """False for a factor that the machine's constraints say in another way."""
        bound, factor = loops.factors.get(name), node.factor(name)
        if bound is None:
            return not any(name in group for group in loops.maximize)
        if bound.value in (0, factor):
            return bound.value != 0
        if bound.relation == "<=" and factor == 1:
            return False
        self.beyond[node.target] = f"factor of {name}"
        return True

    def _split(self, node: NodeMapping, loops: LoopConstraints, order: list[str], along_x: int) -> int:
        """How many of the innermost dimensions run along X, those of factor 1 counted where the front end puts them."""
        unit = [name for name in self.problem.dimensions if node.factor(name) == 1]
        full = self._full(tuple(order), unit)
        real = [name for name in full if node.factor(name) > 1]
        fewest = full.index(real[along_x - 1]) + 1 if along_x else 0
        most = full.index(real[along_x]) if along_x < len(real) else len(full)
        if loops.split is None:
            return fewest
        if fewest <= loops.split and (loops.split <= most or most == len(full)):
            return loops.split
        self.beyond[node.target] = "split"
        return fewest


def _constraints(node: Storage | Fanout) -> LoopConstraints:
    return node.temporal if isinstance(node, Storage) else node.spatial


def _level(machine: Machine, name: str) -> Node:
    try:
        return machine.node(name)
    except KeyError:
        names = [node.name for node in machine.nodes]
        raise SpecError("the machine has no such node", value=name, suggestion=nearest(name, names)) from None


def _outer_name(name: str, machine: Machine) -> str:
    """A fanout that belongs to a component is targeted under the component's name."""
    implied = _IMPLIED.fullmatch(name)
    return implied[1] if implied and any(node.name == implied[1] for node in machine.nodes) else name
