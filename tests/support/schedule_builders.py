"""Small machines and steps for the tests of the schedule."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from hypothesis import strategies as st

from camel_plugin.schedule.order import ORDERS, ordered
from camel_plugin.schedule.partition import best_cut
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.machine import Compute, EdramCells, Fanout, Machine, Storage, StorageEnergy, VectorUnit
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.plan import ChosenMapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.step import Coverage, Loop, Operation, Pass, Step, Tensor, TensorKind

CYCLE_S = 2e-9
ALL_ORDERS = (*ORDERS, "cut")
VECTOR = VectorUnit(lanes=8, energy_J=1e-12)

# CAMEL's activation memory: 12 banks of 48 KB in rows of 58 bits (FACTS 1 and 2), 20.3 fJ/bit, 3.35 us at 100 C.
CAMEL_REFRESH = EdramCells(
    banks=12,
    arrays_per_bank=7,
    rows_per_array=1024,
    row_bits=58,
    row_energy_J=58 * 20.3e-15,
    row_cycles=1,
    retention_s=3.35e-6,
    retention_median_s=10e-6,
    retention_sigma_ln=0.35,
)


def machine(act_depth=8192, weight_depth=4096, edram=None, act_bandwidth=None, unit=VECTOR):
    """DRAM; parallel activation and weight buffers (8-bit words, 6 and 9 to a row); 4 x 2 MAC units."""
    dram = Storage(
        "dram",
        "DRAM",
        "dram",
        64,
        8,
        None,
        row_bits=64,
        is_dram=True,
        read_bandwidth=16,
        write_bandwidth=8,
        energy=StorageEnergy(512e-12, 512e-12, 512e-12),
    )
    act = Storage(
        "act",
        "storage",
        "edram" if edram else "sram",
        48,
        8,
        act_depth,
        row_bits=48,
        keep=frozenset({"Inputs", "Outputs"}),
        parallel=0,
        read_bandwidth=act_bandwidth,
        write_bandwidth=act_bandwidth,
        energy=StorageEnergy(6e-12, 8e-12, 9e-12, 5e-15),
        edram=edram,
    )
    weights = Storage(
        "wbuf",
        "SRAM",
        "sram",
        72,
        8,
        weight_depth,
        row_bits=72,
        keep=frozenset({"Weights"}),
        parallel=0,
        energy=StorageEnergy(3e-12, 4e-12, 5e-12, 2e-15),
    )
    oreg = Storage(
        "oreg",
        "regfile",
        "regfile",
        16,
        16,
        4,
        keep=frozenset({"Outputs"}),
        bypass=frozenset({"Inputs", "Weights"}),
        energy=StorageEnergy(1e-12, 1e-12, 1e-12, 1e-15),
    )
    nodes = (dram, act, weights, Fanout("pe", 4, 2), oreg, Compute("mac", "intmac", 0.4e-12, 1e-7))
    return Machine("tiny", nodes, CYCLE_S, 25.0, unit)


def conv(c, m, p, r=1, stride=1, read_write="Outputs"):
    """Convolution of one sample, square; C M R S P Q. ``read_write="Weights"`` makes it the weight gradient."""
    projection = {
        "Weights": ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),)),
        "Inputs": ((("C", 1),), (("P", stride), ("R", 1)), (("Q", stride), ("S", 1))),
        "Outputs": ((("M", 1),), (("P", 1),), (("Q", 1),)),
    }
    spaces = tuple(Dataspace(name, ranks, name == read_write) for name, ranks in projection.items())
    return Problem(("C", "M", "R", "S", "P", "Q"), (c, m, r, r, p, p), spaces, "conv")


def mac(name, problem, inputs, weights, outputs, pass_=Pass.FORWARD, repeats=1, reads=(), read_write="Outputs"):
    """A multiply-accumulate operation; ``read_write`` names the dataspace that it writes."""
    roles = {"Inputs": inputs, "Weights": weights, "Outputs": outputs}
    written = roles[read_write]
    others = tuple(tensor for space, tensor in roles.items() if space != read_write)
    return _repeated(Operation(name, pass_, "conv2d", others + reads, (written,), problem, roles), repeats)


def vector(name, reads, writes, ops=1, pass_=Pass.FORWARD, repeats=1, kind="relu", partner=None):
    """A vector operation."""
    return _repeated(Operation(name, pass_, kind, reads, writes, vector_ops=ops, partner=partner), repeats)


def _repeated(operation, repeats):
    return Loop("samples", repeats, (operation,)) if repeats > 1 else operation


def step(members, **tensors):
    """A step; neighbouring loops of as many trips become one; tensors as ``name=(kind, shape)``."""
    body = []
    for trips, alike in groupby(members, key=lambda member: getattr(member, "trips", 1)):
        if trips == 1:
            body += alike
        else:
            body.append(Loop("samples", trips, tuple(operation for loop in alike for operation in loop.body)))
    made = {name: Tensor(name, TensorKind(kind), shape) for name, (kind, shape) in tensors.items()}
    return Step("net", "store-all", 4, 1, tuple(body), made, Coverage())


def training_step(c=4, p=6, repeats=4):
    """conv, relu, conv; input gradient, weight gradients and updates: one layer pair trained store-all."""
    layer, gradient, activation = conv(c, c, p), conv(c, c, p, read_write="Weights"), (c, p, p)
    forward = [
        mac("conv1", layer, "x", "w1", "a", repeats=repeats),
        vector("relu", ("a",), ("b",), c * p * p, repeats=repeats),
        mac("conv2", layer, "b", "w2", "y", repeats=repeats),
        vector("loss", ("y",), ("dy",), c * p * p, repeats=repeats),
    ]
    backward = [
        mac("conv2:wg", gradient, "b", "dw2", "dy", Pass.WEIGHT_GRAD, repeats, ("dw2",), "Weights"),
        mac("conv2:ig", layer, "dy", "w2", "db", Pass.INPUT_GRAD, repeats),
        vector("relu:ig", ("db", "b"), ("da",), c * p * p, Pass.INPUT_GRAD, repeats),
        mac("conv1:wg", gradient, "x", "dw1", "da", Pass.WEIGHT_GRAD, repeats, ("dw1",), "Weights"),
    ]
    updates = [vector(f"sgd{i}", (f"w{i}", f"dw{i}"), (f"w{i}",), 2 * c * c, Pass.UPDATE, kind="sgd") for i in (1, 2)]
    return step(
        forward + backward + updates,
        x=("input", activation),
        w1=("weight", (c, c)),
        w2=("weight", (c, c)),
        dw1=("weight_grad", (c, c)),
        dw2=("weight_grad", (c, c)),
        a=("activation", activation),
        b=("activation", activation),
        y=("activation", activation),
        dy=("gradient", activation),
        db=("gradient", activation),
        da=("gradient", activation),
    )


def mapped(placed, mappings):
    """A plan with a mapping for some of its operations."""
    return replace(placed, mappings={name: ChosenMapping(mapping) for name, mapping in mappings.items()})


def mapping(loops, oreg_keeps=True):
    """``loops``: node -> [(dimension, factor), ...], outermost first."""
    keeps = {
        "dram": {"Inputs", "Weights", "Outputs"},
        "act": {"Inputs", "Outputs"},
        "wbuf": {"Weights"},
        "oreg": {"Outputs"} if oreg_keeps else set(),
    }
    order = ("dram", "act", "wbuf", "pe", "oreg")
    return Mapping(
        tuple(
            NodeMapping(
                name,
                dict(loops.get(name, [])),
                tuple(dimension for dimension, _ in loops.get(name, [])),
                keep=frozenset(keeps.get(name, ())),
            )
            for name in order
        )
    )


def plain(problem):
    """All loops at the activation buffer, reduction innermost."""
    reduction = [d for d in ("C", "R", "S") if problem.size[d] > 1]
    others = [d for d in ("M", "P", "Q") if problem.size[d] > 1]
    return mapping({"act": [(d, problem.size[d]) for d in others + reduction]})


@st.composite
def random_steps(draw, runs=(1, 2, 3)):
    """Chains with skips in numbered blocks; weights of different size, some accumulated into."""
    runs, count = draw(st.sampled_from(runs)), draw(st.integers(2, 9))
    tensors, ops, made = {"x": ("input", (draw(st.integers(1, 30)),))}, [], ["x"]
    for i in range(count):
        shape = (draw(st.integers(1, 30)),)
        tensors[f"v{i}"] = ("activation", shape)
        tensors[f"w{i}"] = ("weight", (draw(st.integers(1, 30)),))
        reads = {made[-1], draw(st.sampled_from(made)), f"w{draw(st.integers(0, i))}"}
        writes = [f"v{i}"]
        if draw(st.booleans()):
            tensors[f"dw{i}"] = ("weight_grad", tensors[f"w{i}"][1])
            reads.add(f"dw{i}")
            writes.append(f"dw{i}")
        ops.append(vector(f"s.{i // 2}.op{i}", tuple(sorted(reads)), tuple(writes), 1, repeats=runs))
        made.append(f"v{i}")
    for i in range(count):
        if f"dw{i}" in tensors:
            ops.append(vector(f"sgd{i}", (f"w{i}", f"dw{i}"), (f"w{i}",), 1, Pass.UPDATE, kind="sgd"))
    return step(ops, **tensors)


def placed_in(arch, work, order):
    """The plan of a step in one of ALL_ORDERS."""
    return plan(arch, best_cut(arch, work) if order == "cut" else ordered(work, order))
