"""What a mapping that was read must not do: exceed a mesh or a capacity, lose a dataspace, contradict a constraint."""

import math
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingType

from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import FactorBound, Fanout, LoopConstraints, Machine, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem

Place = Callable[[str, str], YamlNode]
"""(node, ``loops`` or ``keep``) -> the directive to point at."""


def check_loops(mapping: Mapping, machine: Machine, problem: Problem, place: Place) -> None:
    """Refuse loops that exceed a fanout, and dataspaces that no level keeps.

    Raises:
        SpecError: with the directive's file, line and field.
    """
    for node in mapping.nodes:
        fanout = machine.node(node.target)
        if isinstance(fanout, Fanout):
            _check_fanout(fanout, node, place(node.target, "loops"))
    kept = {name for node in mapping.nodes for name in node.keep}
    for space in problem.dataspaces:
        if space.name not in kept:
            raise place("", "keep").error("no level keeps this dataspace", value=space.name)


def check_capacities(mapping: Mapping, machine: Machine, problem: Problem, place: Place) -> None:
    """Refuse tiles that a level cannot hold.

    Raises:
        SpecError: with the directive's file, line and field.
    """
    tile = dict.fromkeys(problem.dimensions, 1)
    for node in reversed(mapping.nodes):
        storage = machine.node(node.target)
        for name, factor in node.factors.items():
            tile[name] *= factor
        if isinstance(storage, Storage):
            _check_capacity(storage, node, problem, tile, place(node.target, "loops"))


def check_constraints(mapping: Mapping, machine: Machine, problem: Problem, place: Place) -> None:
    """Refuse what contradicts the constraints of the machine, which are factors by now.

    Raises:
        SpecError: with the directive's file, line and field, the constraint in words.
    """
    for node in mapping.nodes:
        level = machine.node(node.target)
        if isinstance(level, Storage):
            for name in sorted(name for name in node.keep if not machine.may_keep(level, name)):
                raise _contradiction(level.name, f"bypass {name}", "keeps it", place(node.target, "keep"))
            for name in sorted(level.keep - node.keep):
                if any(space.name == name for space in problem.dataspaces):
                    raise _contradiction(level.name, f"keep {name}", "bypasses it", place(node.target, "keep"))
        loops = level.temporal if isinstance(level, Storage) else level.spatial if isinstance(level, Fanout) else None
        for constraint, instead in _broken(node, loops, problem) if loops is not None else ():
            raise _contradiction(level.name, constraint, instead, place(node.target, "loops"))
        if isinstance(level, Fanout):
            least, used = level.spatial.min_parallelism * level.size, math.prod(node.factors.values())
            if used < least:
                used_of = f"uses {used} of {level.size} instances"
                raise _contradiction(level.name, f"use at least {least:g}", used_of, place(node.target, "loops"))


def _contradiction(name: str, constraint: str, instead: str, place: YamlNode) -> Exception:
    return place.error(
        f"the machine's constraints of {name} say {constraint}, this mapping {instead}",
        suggestion="change either, or give --ignore-constraints",
    )


def _broken(node: NodeMapping, loops: LoopConstraints, problem: Problem) -> Iterator[tuple[str, str]]:
    """Constraints of loops that a node breaks, and what it does instead."""
    for name, bound in loops.factors.items():
        if name in problem.dimensions and not _within(node.factor(name), bound):
            yield f"{name}{bound.relation}{bound.value}", f"has {name}={node.factor(name)}"
    fixed = [name for name in loops.permutation if name in problem.dimensions]
    inner_first = [name for name in reversed(node.permutation) if node.factor(name) > 1]
    ranks = [fixed.index(name) if name in fixed else len(fixed) for name in inner_first]
    if not node.x_dims and ranks != sorted(ranks):
        yield f"permutation [{', '.join(fixed)}], innermost first", f"has [{', '.join(inner_first)}]"
    if loops.split is not None:
        free = sum(name not in fixed for name in inner_first if name in node.x_dims)
        astray = [name for name in fixed[: loops.split] if node.factor(name) > 1 and name not in node.x_dims]
        astray += [name for name in fixed[loops.split :] if node.factor(name) > 1 and name in node.x_dims]
        if astray or free > max(0, loops.split - len(fixed)):
            along = ", ".join(sorted(node.x_dims)) or "nothing"
            yield f"split {loops.split} of permutation [{', '.join(fixed)}]", f"has {along} along X"


def _within(factor: int, bound: FactorBound) -> bool:
    return {"=": factor == bound.value, "<=": factor <= bound.value, ">=": factor >= bound.value}[bound.relation]


def _check_fanout(fanout: Fanout, node: NodeMapping, place: YamlNode) -> None:
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
    storage: Storage, node: NodeMapping, problem: Problem, tile: MappingType[str, int], place: YamlNode
) -> None:
    words = {name: problem.dataspace(name).volume(tile) for name in sorted(node.keep)}
    if storage.capacity_words is not None and sum(words.values()) > storage.capacity_words:
        parts = ", ".join(f"{name} {count}" for name, count in words.items())
        raise place.error(
            f"the tiles need {sum(words.values())} words ({parts}), {storage.name} holds {storage.capacity_words}",
            suggestion="move factors outwards or bypass a dataspace",
        )
