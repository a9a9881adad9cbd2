"""Small random machines, problems and mappings."""

from __future__ import annotations

import math
from random import Random

from camel_plugin.spec.machine import Compute, Fanout, Machine, Node, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem

Example = tuple[Machine, Problem, Mapping]


def random_machine(rng: Random) -> Machine:
    """Up to four storages with up to three containers anywhere below the first."""
    nodes: list[Node] = []
    containers = 0
    for storage in range(rng.randint(1, 4)):
        nodes.append(Storage(f"s{storage}", "SRAM", "sram", 64, 8, None))
        while containers < 3 and rng.random() < 0.55:
            nodes.append(Fanout(f"f{containers}", rng.randint(1, 5), rng.choice([1, 1, 2, 3, 4])))
            containers += 1
    return Machine("random", (*nodes, Compute("mac", "mac")), 1e-9)


def random_dataspaces(rng: Random, dims: str, one_rank_each: bool) -> tuple[Dataspace, ...]:
    """A read-only and a read-write tensor with sliding windows, strides and, if allowed, shared dimensions."""
    spaces = []
    for name in ("Input", "Output"):
        free = rng.sample(dims, len(dims))
        ranks = []
        for _ in range(rng.randint(1, 3)):
            terms = min(rng.choice([1, 1, 1, 2, 2, 3]), len(free if one_rank_each else dims))
            chosen = [free.pop() for _ in range(terms)] if one_rank_each else rng.sample(dims, terms)
            if chosen:
                ranks.append(tuple((dim, rng.choice([1, 1, 1, 2, 3])) for dim in chosen))
        spaces.append(Dataspace(name, tuple(ranks), read_write=name == "Output"))
    return tuple(spaces)


def random_example(rng: Random, loops: int, primes: list[int], one_rank_each: bool = False) -> Example:
    """A machine, a problem and a mapping of about ``loops`` loops, with factors made of ``primes``."""
    machine = random_machine(rng)
    nodes = machine.nodes[:-1]
    dims = "ABCDE"[: rng.randint(2, 5)]
    factors: list[dict[str, int]] = [{} for _ in nodes]
    for _ in range(rng.randint(0, loops)):
        here, dim = rng.choice(factors), rng.choice(dims)
        here[dim] = here.get(dim, 1) * rng.choice(primes)
    spaces = random_dataspaces(rng, dims, one_rank_each)
    first = {space.name for space in spaces}
    result = []
    for node, here in zip(nodes, factors, strict=True):
        along_x: set[str] = set()
        keep: set[str] = set()
        if isinstance(node, Fanout):
            room = {"x": node.mesh_x, "y": node.mesh_y}
            for dim in list(here):
                axis = rng.choice("xy")
                if room[axis] < here[dim]:
                    del here[dim]
                    continue
                room[axis] //= here[dim]
                if axis == "x":
                    along_x.add(dim)
        else:
            keep = {space.name for space in spaces if rng.random() < 0.6}
        permutation = rng.sample(sorted(here), len(here))
        result.append((node.name, here, tuple(permutation), frozenset(along_x), keep))
    stored = [keep for (*_, keep), node in zip(result, nodes, strict=True) if isinstance(node, Storage)]
    for name in first:
        if not any(name in keep for keep in stored):
            stored[0].add(name)
    mapping = Mapping(tuple(NodeMapping(*head, frozenset(keep)) for *head, keep in result))
    bounds = tuple(math.prod(here.get(dim, 1) for here in factors) for dim in dims)
    return machine, Problem(tuple(dims), bounds, spaces), mapping
