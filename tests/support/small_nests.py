"""Machines and problems small enough that every mapping can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from camel_plugin.spec.machine import (
    Compute,
    EdramCells,
    FactorBound,
    Fanout,
    LoopConstraints,
    Machine,
    Node,
    Storage,
    StorageEnergy,
)
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.refresh import LifetimeRefresh, NoRefresh, OccupiedRefresh, tabulated
from camel_plugin.spec.task import RefreshDuty, Task


def matmul(m: int, k: int, n: int) -> Problem:
    """O[m, n] += W[m, k] * I[k, n]."""
    return Problem(
        ("M", "K", "N"),
        (m, k, n),
        (
            Dataspace("W", ((("M", 1),), (("K", 1),))),
            Dataspace("I", ((("K", 1),), (("N", 1),))),
            Dataspace("O", ((("M", 1),), (("N", 1),)), read_write=True),
        ),
    )


def batched_matmul(b: int, m: int, k: int) -> Problem:
    """A dimension that every tensor has, and vectors for one operand."""
    return Problem(
        ("B", "M", "K"),
        (b, m, k),
        (
            Dataspace("W", ((("B", 1),), (("M", 1),), (("K", 1),))),
            Dataspace("I", ((("B", 1),), (("K", 1),))),
            Dataspace("O", ((("B", 1),), (("M", 1),)), read_write=True),
        ),
    )


def conv(c: int, m: int, p: int, r: int, stride: int = 1, dilation: int = 1, result: str = "O") -> Problem:
    """A convolution along one axis, or one of its gradients: ``result`` is the tensor that is accumulated into."""
    return Problem(
        ("C", "M", "P", "R"),
        (c, m, p, r),
        (
            Dataspace("W", ((("M", 1),), (("C", 1),), (("R", 1),)), result == "W"),
            Dataspace("I", ((("C", 1),), (("P", stride), ("R", dilation))), result == "I"),
            Dataspace("O", ((("M", 1),), (("P", 1),)), result == "O"),
        ),
    )


def depthwise(c: int, p: int, r: int, stride: int = 1) -> Problem:
    """A depthwise convolution along one axis."""
    return Problem(
        ("C", "P", "R"),
        (c, p, r),
        (
            Dataspace("W", ((("C", 1),), (("R", 1),))),
            Dataspace("I", ((("C", 1),), (("P", stride), ("R", 1)))),
            Dataspace("O", ((("C", 1),), (("P", 1),)), read_write=True),
        ),
    )


def random_problem(rng: Random) -> Problem:
    """Any of these."""
    kind = rng.choice(["matmul", "batched", "depthwise", "O", "O", "W", "I"])
    if kind == "matmul":
        return matmul(rng.choice([2, 4, 6]), rng.choice([2, 3, 4]), rng.choice([2, 4]))
    if kind == "batched":
        return batched_matmul(2, rng.choice([2, 4]), rng.choice([2, 3, 6]))
    if kind == "depthwise":
        return depthwise(rng.choice([2, 4]), rng.choice([2, 4, 6]), rng.choice([2, 3]), rng.choice([1, 2]))
    return conv(
        rng.choice([1, 2, 3]),
        rng.choice([2, 3, 4]),
        rng.choice([2, 4, 6]),
        rng.choice([2, 3]),
        rng.choice([1, 1, 2, 3]),
        rng.choice([1, 1, 2]),
        kind,
    )


def storage(
    rng: Random,
    name: str,
    words: int | None,
    energy: float,
    keep: Sequence[str] = (),
    bypass: Sequence[str] = (),
    parallel: int | None = None,
) -> Storage:
    """A storage with random block, bandwidth and energies about ``energy``."""
    block = rng.choice([1, 2, 3])
    return Storage(
        name,
        "SRAM",
        "sram",
        width_bits=8 * block,
        datawidth_bits=8,
        depth=None if words is None else max(1, words // block),
        read_bandwidth=rng.choice([None, None, 1.0, 2.5]),
        write_bandwidth=rng.choice([None, None, 1.0, 0.5]),
        keep=frozenset(keep),
        bypass=frozenset(bypass),
        parallel=parallel,
        energy=StorageEnergy(
            energy * rng.uniform(0.8, 1.2),
            energy * rng.uniform(0.8, 1.3),
            energy * rng.uniform(0.9, 1.5),
            energy * rng.choice([0, 0.01, 0.3]),
        ),
    )


def random_machine(rng: Random) -> Machine:
    """A cache, an array with or without registers, lanes below registers, scratchpads, or parallel buffers."""
    words = rng.choice([4, 8, 16, 40])

    def mesh(name: str, constraints: LoopConstraints | None = None) -> Fanout:
        return Fanout(name, rng.choice([1, 2, 3, 4]), rng.choice([1, 2, 2]), constraints or LoopConstraints())

    shape = rng.choice(["cache", "array", "lanes", "cluster", "scratchpads", "parallel"])
    inner: list[Node] = {
        "cache": lambda: [storage(rng, "buf", words, 6.0)],
        "array": lambda: [
            storage(rng, "buf", words, 6.0, "WIO"),
            mesh("pe"),
            storage(rng, "reg", rng.choice([1, 2, 4]), 1.0, "O", "WI"),
        ],
        "lanes": lambda: [mesh("pe"), storage(rng, "reg", rng.choice([2, 4]), 1.0, "O", "WI"), mesh("lane")],
        "cluster": lambda: [mesh("pe"), storage(rng, "l1", words, 2.0, "W"), mesh("lane")],
        "scratchpads": lambda: [
            mesh("pe"),
            storage(rng, "ws", 4, 1.0, "W", parallel=1),
            storage(rng, "is", 4, 1.0, "I", parallel=1),
            storage(rng, "os", 2, 1.0, "O", parallel=1),
        ],
        "parallel": lambda: [
            storage(rng, "act", words, 6.0, "IO", parallel=1),
            storage(rng, "ws", rng.choice([4, 12]), 5.0, "W", parallel=1),
            mesh("pe"),
        ],
    }[shape]()
    return Machine(shape, (storage(rng, "dram", None, 100.0), *inner, Compute("mac", "mac", 0.5)), 1e-9)


def constrained(rng: Random, machine: Machine, problem: Problem) -> Machine:
    """The machine with some constraint of every kind at some node."""
    nodes = list(machine.nodes)
    for place in range(1, len(nodes) - 1):
        node = nodes[place]
        dims = rng.sample(problem.dimensions, 2)
        rules = rng.choice(
            [
                LoopConstraints(),
                LoopConstraints(factors={dims[0]: FactorBound("=", 1), "unknown": FactorBound("=", 7)}),
                LoopConstraints(factors={dims[0]: FactorBound("<=", 2), dims[1]: FactorBound("=", 0)}),
                LoopConstraints(factors={dims[0]: FactorBound(">=", 2)}),
                LoopConstraints(permutation=tuple(dims)),
                LoopConstraints(no_iteration_over=frozenset({"O"})),
            ]
        )
        if isinstance(node, Storage):
            nodes[place] = replace(node, temporal=rules)
        elif isinstance(node, Fanout):
            more = rng.choice([{}, {"split": 1}, {"split": 999}, {"min_parallelism": 0.5}])
            nodes[place] = replace(node, spatial=replace(rules, **more))
    return replace(machine, nodes=tuple(nodes))


def refreshing(rng: Random, task: Task) -> Task:
    """The task with an inner storage made of eDRAM: retention of a few cycles, refresh as dear as accesses."""
    machine = task.machine
    place = rng.choice([p for p, node in enumerate(machine.nodes) if p and isinstance(node, Storage)])
    node = machine.nodes[place]
    assert isinstance(node, Storage) and node.depth is not None
    rows = max(1, node.depth // 2)
    retention_s = rng.choice([2, 3.5, 8, 20, 60]) * machine.cycle_s
    refresh = EdramCells(
        banks=2,
        arrays_per_bank=1,
        rows_per_array=rows,
        row_bits=node.width_bits,
        row_energy_J=rng.choice([0.5, 3.0, 20.0]),
        row_cycles=rng.choice([0.0, 0.4]) * retention_s / machine.cycle_s / rows,
        retention_s=retention_s,
        retention_median_s=2 * retention_s,
        retention_sigma_ln=0.3,
    )
    nodes = (*machine.nodes[:place], replace(node, edram=refresh), *machine.nodes[place + 1 :])
    share = rng.choice([0.0, 0.0, 0.5])
    policy = rng.choice([NoRefresh(), OccupiedRefresh(), LifetimeRefresh()])
    tiles = tabulated(policy, refresh.banks, refresh.rows_per_bank, round(share * refresh.banks))
    duty = RefreshDuty(share * refresh.rows, share, tiles)
    return replace(task, machine=replace(machine, nodes=nodes), duties={node.name: duty})
