"""Timeloop v0.4 mappings, written: directives that can be joined with the constraints of the machine."""

from collections.abc import Sequence

from camel_plugin.errors import SpecError, nearest
from camel_plugin.files.v04.names import outer_name
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.constraint_macros import with_unit_loops
from camel_plugin.spec.machine import Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem

Directive = dict[str, str | int | list[str]]
"""One item of a mapping as it is written."""


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
            target = outer_name(node.target, self.machine)
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
        if bound.value == factor:
            return True
        if bound.value == 0 and factor == self.problem.size[name]:
            return False
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


def _level(machine: Machine, name: str) -> Node:
    try:
        return machine.node(name)
    except KeyError:
        names = [node.name for node in machine.nodes]
        raise SpecError("the machine has no such node", value=name, suggestion=nearest(name, names)) from None
