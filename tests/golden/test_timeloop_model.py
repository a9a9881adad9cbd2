"""The native model against every case that real Timeloop computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from timeloop_cases import ARCHS, PJ, Case, cases

from camel_plugin.engine.native.model import Model, evaluate
from camel_plugin.engine.native.model_rules import TIMELOOP
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.evaluation import Evaluation
from camel_plugin.spec.task import Task

COUNTS = ("utilized_capacity", "reads", "fills", "updates", "temporal_reductions")
ALL = [case for arch in ARCHS for case in cases(arch)]


def differences(got: Evaluation, case: Case) -> list[str]:
    """Everything that is not as Timeloop says; counts exactly, energies to 1e-9."""
    expected = case.expected
    found = []

    def compare(what: str, value: float, reference: float, tolerance: float = 0.0) -> None:
        if abs(value - reference) > tolerance * abs(reference):
            found.append(f"{what}: {value!r}, Timeloop says {reference!r}")

    compare("cycles", got.cycles, expected["cycles"])
    compare("computes", got.computes, expected["computes"])
    compare("utilization", got.utilization, expected["utilization"], 1e-12)
    compare("energy", got.energy_J / PJ, expected["energy_pJ"], 1e-9)
    compare("compute energy", got.compute_J / PJ, expected["compute_pJ"], 1e-9)
    assert list(got.levels) == [node.name for node in case.machine.storages]
    for name, level in expected["levels"].items():
        mine = got.levels[name]
        compare(f"{name} cycles", mine.cycles, level["cycles"])
        compare(f"{name} instances", mine.instances, level["instances"])
        compare(f"{name} utilized instances", mine.utilized_instances, level["utilized_instances"])
        compare(f"{name} energy", mine.energy_J / PJ, level["energy_pJ"], 1e-9)
        compare(f"{name} leakage", mine.leakage_J / PJ, level["leakage_pJ"], 1e-9)
        assert mine.tensors.keys() == level["tensors"].keys()
        for tensor, stats in level["tensors"].items():
            for count in COUNTS:
                compare(f"{name} {tensor} {count}", getattr(mine.tensors[tensor], count), stats[count])
            compare(f"{name} {tensor} energy", mine.tensors[tensor].energy_J / PJ, stats["energy_pJ"], 1e-9)
    return found


def test_there_are_cases() -> None:
    assert len(ALL) == 278


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_every_figure_is_timeloops(case: Case) -> None:
    assert differences(evaluate(Task(case.machine, case.problem), case.mapping), case) == []


@pytest.mark.parametrize("arch", ARCHS)
def test_a_batch_gives_what_each_mapping_gives_alone(arch: str) -> None:
    groups: dict[object, list[Case]] = {}
    for case in cases(arch):
        groups.setdefault(case.problem, []).append(case)
    for problem, group in groups.items():
        model = Model(Task(group[0].machine, problem))
        mappings = [case.mapping for case in group] * 3
        result = model.evaluate(MappingBatch.from_mappings(model.machine, problem, mappings))
        for index, case in enumerate(group * 3):
            assert differences(model.report(result, index), case) == []
            assert result.batch.mapping(index) == case.mapping


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_what_timeloop_accepted_fits(case: Case) -> None:
    model = Model(Task(case.machine, case.problem))
    assert model.evaluate(MappingBatch.from_mappings(case.machine, case.problem, [case.mapping])).fits.all()


def test_halo_case_without_the_forgetting() -> None:
    """A step-by-step replay of these loops loads 864 input words from DRAM; Timeloop says 1080."""
    case = next(case for case in cases("dev_camel_pereg") if case.id == "dev_camel_pereg-016-conv")
    exact = evaluate(Task(case.machine, case.problem), case.mapping, replace(TIMELOOP, forget_halo=False))
    assert exact.levels["dram"].tensors["Inputs"].reads == 864


def test_links_case_without_the_links() -> None:
    """768 weight reads are needed when no MAC forwards to its neighbour; Timeloop says 48."""
    case = next(case for case in cases("dev_camel_pereg") if case.id == "dev_camel_pereg-003-depthwise")
    exact = evaluate(Task(case.machine, case.problem), case.mapping, replace(TIMELOOP, link_transfers=False))
    assert exact.levels["w_sram"].tensors["Weights"].reads == 768
