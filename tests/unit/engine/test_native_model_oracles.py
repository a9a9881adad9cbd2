"""The native model against two slow oracles on small random nests."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from nest_replay import physical_counts, timeloop_counts
from random_nests import random_example

from camel_plugin.engine.native.model import Model, evaluate
from camel_plugin.engine.native.model_rules import PHYSICAL, ModelRules
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.evaluation import Evaluation
from camel_plugin.spec.task import Task

randoms = st.randoms(use_true_random=True)


def counts(evaluation: Evaluation, dataspace: str) -> dict[str, dict[str, int]]:
    """Words per storage that keeps the dataspace."""
    found = {}
    for name, level in evaluation.levels.items():
        if dataspace in level.tensors:
            found[name] = {key: value for key, value in vars(level.tensors[dataspace]).items() if key != "energy_J"}
    return found


@settings(max_examples=400, deadline=None)
@given(randoms)
def test_timeloop_rules_are_followed_to_the_letter(rng: Random) -> None:
    machine, problem, mapping = random_example(rng, loops=12, primes=[2, 2, 3, 3, 4, 5])
    assume(sum(len(node.permutation) for node in mapping.nodes if not node.target.startswith("f")) <= 9)
    evaluation = evaluate(Task(machine, problem), mapping)
    expected = {space.name: timeloop_counts(machine, problem, mapping, space) for space in problem.dataspaces}
    known = {name: found for name, found in expected.items() if found is not None}
    assume(known)
    assert {name: counts(evaluation, name) for name in known} == known


@pytest.mark.parametrize("boxes", [False, True], ids=["words", "boxes"])
@settings(max_examples=200, deadline=None)
@given(randoms)
def test_with_the_rules_off_every_word_is_counted_as_it_moves(boxes: bool, rng: Random) -> None:
    machine, problem, mapping = random_example(rng, loops=6, primes=[2, 2, 3], one_rank_each=True)
    assume(problem.macs <= 600)
    rules = ModelRules(forget_halo=False, link_transfers=False, count_gaps=True) if boxes else PHYSICAL
    evaluation = evaluate(Task(machine, problem), mapping, rules)
    for space in problem.dataspaces:
        expected = physical_counts(machine, problem, mapping, space, boxes)
        got = counts(evaluation, space.name)
        if space.read_write and any(len(rank) > 1 or rank[0][1] > 1 for rank in space.projection):
            # Instances share words (or a box has gaps), so that no instance is in charge of a word: what is
            # elided on first contact is then an estimate.
            for level in (*expected.values(), *got.values()):
                for count in ("reads", "fills", "temporal_reductions"):
                    del level[count]
        assert got == expected


@settings(max_examples=100, deadline=None)
@given(randoms)
def test_a_forgotten_halo_never_loads_less_where_the_walk_is_exact(rng: Random) -> None:
    """Over loops of two iterations the indices 0 and 1 are all there are: only the forgetting is left."""
    machine, problem, mapping = random_example(rng, loops=10, primes=[2], one_rank_each=True)
    assume(all(factor == 2 for node in mapping.nodes for factor in node.factors.values()))
    name = problem.dataspaces[0].name
    exact = counts(evaluate(Task(machine, problem), mapping, ModelRules(forget_halo=False, link_transfers=False)), name)
    halo = counts(evaluate(Task(machine, problem), mapping, ModelRules(link_transfers=False)), name)
    for storage, words in exact.items():
        assert halo[storage]["reads"] >= words["reads"]
        assert halo[storage]["fills"] >= words["fills"]


@settings(max_examples=20, deadline=None)
@given(randoms)
def test_rows_of_a_batch_do_not_touch_each_other(rng: Random) -> None:
    machine, problem, mapping = random_example(rng, loops=14, primes=[2, 3])
    batch = MappingBatch.from_mappings(machine, problem, [mapping])
    generator = np.random.default_rng(rng.getrandbits(32))
    rows = 40
    many = MappingBatch(
        machine,
        problem,
        np.repeat(batch.factors, rows, axis=0),
        generator.permuted(np.repeat(batch.order, rows, axis=0), axis=2),
        np.repeat(batch.along_x, rows, axis=0),
        np.repeat(batch.keep, rows, axis=0),
    )
    model = Model(Task(machine, problem))
    together = model.evaluate(many)
    for row in range(rows):
        assert model.report(together, row) == evaluate(Task(machine, problem), many.mapping(row))
