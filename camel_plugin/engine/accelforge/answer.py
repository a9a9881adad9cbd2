"""What AccelForge's mapper answered, as a mapping and its cost in our terms."""

import math
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any

from camel_plugin.engine.accelforge.specification import EINSUM, axes, variable
from camel_plugin.engine.native.tile_times import tile_stays
from camel_plugin.errors import EngineError
from camel_plugin.spec.evaluation import Evaluation, LevelStats, TensorStats
from camel_plugin.spec.machine import Fanout, Machine, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem


def read_nodes(nodes: Sequence[MappingType[str, Any]], machine: Machine, problem: Problem) -> Mapping:
    """The mapping with the same loops.

    There each tensor has its own place between the loops, here a level has one: a temporal loop is given to the
    innermost level that holds anything outside it, which is never further in than where it stands. A dimension that
    lies along both axes of a container, which Timeloop cannot say, is along X here with the product of both.

    Raises:
        EngineError: the loops do not multiply to the problem, or a tensor is held nowhere.
    """
    order = [storage.name for storage in machine.storages]
    containers = {axis: node for node in machine.nodes if isinstance(node, Fanout) for axis in axes(node)}
    left = problem.size
    dimensions = {variable(name): name for name in problem.dimensions}
    loops: dict[str, list[tuple[str, int]]] = {}
    along_x: dict[str, set[str]] = {}
    keep: dict[str, set[str]] = {name: set() for name in order}
    level = 0
    for node in nodes:
        if node["kind"] == "Storage":
            level = max(level, order.index(node["component"]))
            keep[node["component"]] |= set(node["tensors"])
        elif node["kind"] in ("Temporal", "Spatial"):
            dimension, tile = dimensions[node["variable"]], node["tile"]
            if left[dimension] % tile:
                raise EngineError(f"AccelForge splits {dimension} = {left[dimension]} into tiles of {tile}")
            factor, left[dimension] = left[dimension] // tile, tile
            target = order[level] if node["kind"] == "Temporal" else containers[node["axis"]].name
            if factor > 1:
                loops.setdefault(target, []).append((dimension, factor))
                if node.get("axis", "").endswith("_x"):
                    along_x.setdefault(target, set()).add(dimension)
    if any(bound != 1 for bound in left.values()):
        raise EngineError(f"AccelForge's loops leave { ({k: v for k, v in left.items() if v != 1}) } of the problem")
    for space in problem.dataspaces:
        if not any(space.name in kept for kept in keep.values()):
            raise EngineError(f"AccelForge dropped {space.name}: no level holds it")
    return Mapping(
        tuple(
            _node(node, loops.get(node.name, []), along_x.get(node.name, set()), keep.get(node.name, set()))
            for node in machine.nodes
            if isinstance(node, Storage | Fanout)
        )
    )


def _node(node: Storage | Fanout, loops: list[tuple[str, int]], along_x: set[str], keep: set[str]) -> NodeMapping:
    factors: dict[str, int] = {}
    for dimension, factor in loops:
        factors[dimension] = factors.get(dimension, 1) * factor
    return NodeMapping(node.name, factors, tuple(factors), frozenset(along_x), frozenset(keep))


def read_figures(figures: MappingType[str, float], mapping: Mapping, machine: Machine, problem: Problem) -> Evaluation:
    """The cost of one of its mappings.

    AccelForge counts accesses, not words, and knows reads and writes only: writes of a tensor that is read are its
    fills, those of one that is written are all called updates here. All instances of a level leak there.

    Raises:
        EngineError: an operation or a tensor is missing, or a figure cannot be true.
    """
    for name, value in figures.items():
        if not math.isfinite(value) or value < 0:
            raise EngineError(f"AccelForge's {name} cannot be true: {value}")
    computes = _of(figures, f"{EINSUM}/action/{machine.compute.name}/None/compute")
    if round(computes) != problem.macs:
        raise EngineError(f"AccelForge counted {computes:g} multiply-accumulates, the problem has {problem.macs}")
    levels = {storage.name: _level(storage, figures, mapping, machine, problem) for storage in machine.storages}
    cycles = _cycles(_of(figures, "Total/latency"), machine)
    slowest = max(levels, key=lambda name: levels[name].cycles)
    own = _cycles(_of(figures, f"{EINSUM}/latency/{machine.compute.name}"), machine)
    return Evaluation(
        cycles=cycles,
        computes=problem.macs,
        utilization=problem.macs / (cycles * machine.units),
        energy_J=_of(figures, "Total/energy"),
        compute_J=_of(figures, f"{EINSUM}/energy/{machine.compute.name}/None/compute"),
        bound_by="compute" if own == cycles else slowest,
        levels=levels,
        tiles=tile_stays(machine, problem, mapping),
    )


def _level(
    storage: Storage, figures: MappingType[str, float], mapping: Mapping, machine: Machine, problem: Problem
) -> LevelStats:
    used = 1
    for node in machine.nodes[: machine.nodes.index(storage)]:
        if isinstance(node, Fanout):
            used *= math.prod(mapping.at(node.name).factors.values())
    tensors = {}
    for space in problem.dataspaces:
        if space.name not in mapping.at(storage.name).keep:
            continue
        what = f"{storage.name}/{space.name}"
        words = storage.block_words / used
        reads = _of(figures, f"{EINSUM}/action/{what}/read") * words
        writes = _of(figures, f"{EINSUM}/action/{what}/write") * words
        share = figures.get(f"{EINSUM}/usage/memory/{what}", 0.0)
        tensors[space.name] = TensorStats(
            utilized_capacity=problem.volume(space.name)
            if storage.is_dram or storage.capacity_words is None
            else round(share * (storage.capacity_words + 0.5)),
            reads=round(reads),
            fills=0 if space.read_write else round(writes),
            updates=round(writes) if space.read_write else 0,
            temporal_reductions=0,
            energy_J=sum(figures.get(f"{EINSUM}/energy/{what}/{action}", 0.0) for action in ("read", "write")),
        )
    return LevelStats(
        instances=machine.instances(storage.name),
        utilized_instances=used,
        cycles=_cycles(figures.get(f"{EINSUM}/latency/{storage.name}", 0.0), machine),
        energy_J=sum(tensor.energy_J for tensor in tensors.values()),
        leakage_J=figures.get(f"{EINSUM}/energy/{storage.name}/leak", 0.0),
        tensors=tensors,
    )


def _cycles(seconds: float, machine: Machine) -> int:
    """Whole cycles; its figures are single precision."""
    return math.ceil(seconds / machine.cycle_s * (1 - 1e-6))


def _of(figures: MappingType[str, float], name: str) -> float:
    if name not in figures:
        raise EngineError(f"AccelForge's answer lacks {name}")
    return figures[name]
