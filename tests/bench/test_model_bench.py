"""Mappings that the native model evaluates per second on one core; figures only, no limit is asserted."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from camel_plugin.engine.native.model import Model
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

ROWS = 20_000


def conv() -> Problem:
    """A ResNet layer with seven dimensions."""
    return Problem(
        ("N", "C", "M", "P", "Q", "R", "S"),
        (4, 64, 64, 56, 56, 3, 3),
        (
            Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
            Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("P", 1), ("R", 1)), (("Q", 1), ("S", 1)))),
            Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
        ),
    )


def storage(name: str, depth: int | None) -> Storage:
    return Storage(name, "SRAM", "sram", 64, 8, depth, read_bandwidth=16.0, write_bandwidth=16.0)


def machine(lanes: bool) -> Machine:
    """Four storage levels and an array; with lanes, a second container between the registers and the MACs."""
    nodes = [
        storage("dram", None),
        storage("buffer", 16384),
        Fanout("pe", 14, 12),
        storage("pad", 64),
        storage("register", 8),
    ]
    return Machine("bench", (*nodes, *([Fanout("lane", 4, 4)] if lanes else []), Compute("mac", "mac")), 1e-9)


def random_batch(machine: Machine, problem: Problem, rows: int) -> MappingBatch:
    """Random mappings that respect the meshes: every prime factor of every bound goes to some node."""
    generator = np.random.default_rng(0)
    nodes = machine.nodes[:-1]
    dims = len(problem.dimensions)
    shape = (rows, len(nodes), dims)
    factors = np.ones(shape, np.int64)
    along_x = generator.random(shape) < 0.5
    room = np.array([(node.mesh_y, node.mesh_x) if isinstance(node, Fanout) else (2**62, 2**62) for node in nodes])
    room = np.repeat(room[None], rows, axis=0)
    row = np.arange(rows)
    for d, bound in enumerate(problem.bounds):
        for prime in primes(bound):
            place = generator.integers(len(nodes), size=rows)
            axis = along_x[row, place, d].astype(int)
            place = np.where(room[row, place, axis] < prime, 0, place)
            room[row, place, axis] //= prime
            factors[row, place, d] *= prime
    order = generator.permuted(np.broadcast_to(np.arange(dims, dtype=np.int8), shape), axis=2)
    storages = sum(isinstance(node, Storage) for node in nodes)
    keep = generator.random((rows, storages, len(problem.dataspaces))) < 0.7
    keep[:, 0] = True
    return MappingBatch(machine, problem, factors, order, along_x, keep)


def primes(number: int) -> list[int]:
    found = []
    for candidate in range(2, math.isqrt(number) + 1):
        while number % candidate == 0:
            found.append(candidate)
            number //= candidate
    return found + ([number] if number > 1 else [])


@pytest.mark.parametrize("lanes", [False, True], ids=["array", "array+lanes"])
def test_random_mappings(benchmark: Any, lanes: bool) -> None:
    problem = conv()
    model = Model(Task(machine(lanes), problem))
    batch = random_batch(model.machine, problem, ROWS)
    model.evaluate(batch)
    tracemalloc.start()
    model.evaluate(batch)
    benchmark.extra_info["peak_MB"] = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    benchmark(model.evaluate, batch)
    benchmark.extra_info["mappings_per_second"] = ROWS / benchmark.stats.stats.mean
