"""A machine and a problem as an AccelForge specification.

Its unit of data is the bit; here a word counts as one bit, because a machine's levels may have words of different
widths. What cannot be said there is left out: constraints on temporal loops, their order, and the split of an axis.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from camel_plugin.engine.protocol import refuse_formats
from camel_plugin.files.yaml_text import Tagged, dump_yaml
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

EINSUM = "Operation"
UNLIMITED = 1e30
"""Accesses a second of a port without a limit."""


def write_specification(task: Task) -> str:
    """YAML text of architecture and workload.

    Raises:
        InputError: a recipe has set formats.
    """
    refuse_formats("the AccelForge engine", task)
    machine, problem = task.constrained, task.problem
    nodes: list[Tagged] = []
    for node in machine.nodes:
        if isinstance(node, Storage):
            nodes.append(_memory(node, machine, problem))
        elif isinstance(node, Fanout):
            nodes += _container(node, problem)
        else:
            nodes.append(_compute(node, machine))
    workload = {
        "bits_per_value": {"All": 1},
        "iteration_space_shape": {
            variable(name): f"0 <= {variable(name)} < {bound}" for name, bound in problem.size.items()
        },
        "einsums": [{"name": EINSUM, "tensor_accesses": [_access(space) for space in problem.dataspaces]}],
    }
    return dump_yaml({"arch": {"nodes": nodes}, "workload": workload}, parts=3)


@dataclass(frozen=True)
class _Tile:
    """A tensor's tile in a level."""

    tensor: str
    level: str


@dataclass(frozen=True)
class _Loop:
    """A loop at a node; temporal if it has no axis."""

    dimension: str
    factor: int
    node: str
    axis: str


def write_mapping(mapping: Mapping, task: Task) -> str:
    """YAML text of a mapping, to stand behind a specification.

    There a tile is fetched anew in every iteration of every loop outside it, here only when it changes. Its place is
    therefore outside the loops that do not move it, and that of a tensor at home outside all loops.
    """
    machine, problem = task.constrained, task.problem
    left = problem.size
    nodes: list[Tagged] = []
    for item in _placed(_sequence(mapping, machine, problem), task):
        if isinstance(item, _Tile):
            nodes.append(Tagged("Storage", {"tensors": [item.tensor], "component": item.level}))
            continue
        left[item.dimension] //= item.factor
        what: dict[str, object] = {"rank_variable": variable(item.dimension), "tile_shape": left[item.dimension]}
        if item.axis:
            nodes.append(Tagged("Spatial", {**what, "name": item.axis, "component": item.node}))
        else:
            nodes.append(Tagged("Temporal", what))
    nodes.append(Tagged("Compute", {"einsum": EINSUM, "component": machine.compute.name}))
    return dump_yaml({"mapping": {"nodes": nodes}}, parts=3)


def _sequence(mapping: Mapping, machine: Machine, problem: Problem) -> Iterator[_Tile | _Loop]:
    """Tiles and loops as the machine's nodes have them."""
    for node in machine.nodes[:-1]:
        loops = mapping.at(node.name)
        if isinstance(node, Storage):
            yield from (_Tile(space.name, node.name) for space in problem.dataspaces if space.name in loops.keep)
        for name in loops.permutation:
            axis = f"{node.name}_{'x' if name in loops.x_dims else 'y'}" if isinstance(node, Fanout) else ""
            yield _Loop(name, loops.factor(name), node.name, axis)


def _placed(items: Iterable[_Tile | _Loop], task: Task) -> list[_Tile | _Loop]:
    """The same with everything as far out as it may stand."""
    result: list[_Tile | _Loop] = []
    for item in items:
        position = len(result)
        if isinstance(item, _Tile) and task.homes.get(item.tensor) == item.level:
            position = 0
        while position and _may_pass(item, result[position - 1], task.problem):
            position -= 1
        while position < len(result) and isinstance(result[position], _Tile):
            position += 1
        result.insert(position, item)
    return result


def _may_pass(item: _Tile | _Loop, outside: _Tile | _Loop, problem: Problem) -> bool:
    """The item may as well stand outside this neighbour."""
    if isinstance(item, _Loop):
        # Places in space and steps in time may be walked in either order.
        return (
            bool(item.axis) and isinstance(outside, _Loop) and not outside.axis and outside.dimension != item.dimension
        )
    if isinstance(outside, _Tile):
        return outside.tensor != item.tensor
    return not outside.axis and outside.dimension not in problem.dataspace(item.tensor).dimensions


def variable(dimension: str) -> str:
    """The rank variable of a dimension: AccelForge wants a small first letter."""
    return f"over_{dimension}"


def axes(fanout: Fanout) -> dict[str, int]:
    """Name -> instances of the axes that a container has there."""
    meshes = {f"{fanout.name}_x": fanout.mesh_x, f"{fanout.name}_y": fanout.mesh_y}
    return {name: size for name, size in meshes.items() if size > 1}


def _memory(node: Storage, machine: Machine, problem: Problem) -> Tagged:
    every = [space.name for space in problem.dataspaces]
    keep = [name for name in every if name in node.keep]
    free = [name for name in every if name not in node.keep | node.bypass and node.parallel is None]
    if node == machine.storages[0]:
        keep, free = keep + free, []
    unlimited = node.is_dram or node.capacity_words is None
    ports = (("read", node.energy.read_J, node.read_bandwidth), ("write", node.energy.write_J, node.write_bandwidth))
    actions = [
        {
            "name": action,
            "energy": energy_J,
            "throughput": UNLIMITED if bandwidth is None else bandwidth / node.block_words / machine.cycle_s,
            "bits_per_action": node.block_words,
        }
        for action, energy_J, bandwidth in ports
    ]
    return Tagged(
        "Memory",
        {
            "name": node.name,
            # A size that is a whole number of words makes utilizations integers, at which its mapper stops.
            "size": "inf" if unlimited else (node.capacity_words or 0) + 0.5,
            "leak_power": node.energy.leakage_J_per_cycle / machine.cycle_s,
            "area": 0,
            "total_latency": "max(a.n_calls / a.throughput for a in actions)",
            "tensors": {"keep": _set(keep), "may_keep": _set(free)},
            "actions": actions,
        },
    )


def _container(node: Fanout, problem: Problem) -> Iterator[Tagged]:
    fixed = {
        name for name, bound in node.spatial.factors.items() if (bound.relation, bound.value) in (("=", 1), ("<=", 1))
    }
    frozen = [name for name in problem.dimensions if name in fixed]
    one = {"loop_bounds": [{"expression": _set(map(variable, frozen)), "operator": "==", "value": 1}]} if frozen else {}
    if axes(node):
        spatial = [{"name": name, "fanout": size, **one} for name, size in axes(node).items()]
        yield Tagged("Container", {"name": node.name, "spatial": spatial})


def _compute(node: Compute, machine: Machine) -> Tagged:
    action = {"name": "compute", "energy": node.energy_J, "throughput": 1 / machine.cycle_s}
    return Tagged("Compute", {"name": node.name, "leak_power": 0, "area": 0, "actions": [action]})


def _access(space: Dataspace) -> dict[str, object]:
    projection = {
        f"{space.name.upper()}{index}": " + ".join(
            variable(name) if coefficient == 1 else f"{coefficient} * {variable(name)}" for name, coefficient in rank
        )
        for index, rank in enumerate(space.projection)
    }
    return {"name": space.name, "projection": projection, "output": space.read_write}


def _set(names: Iterable[str]) -> str:
    return " | ".join(names) or "Nothing"
