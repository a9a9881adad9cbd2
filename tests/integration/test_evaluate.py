"""The whole pipeline, as a user's script would call it."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from camel_plugin import compare, evaluate
from camel_plugin.cache import Cache
from camel_plugin.engine.native import NativeEngine
from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.files.plan_file import write_plan
from camel_plugin.report.notes import notes
from camel_plugin.result import ENERGY_PARTS

POLICIES = ("none", "lifetime", "occupied", "conventional")

QUICK = {"budget_s": 0.0, "pad": False, "workers": 1}
"""The first round of the mapper alone, in this process, for what holds whatever the mappings."""


SMALL = str(Path(__file__).parents[1] / "support" / "small_revnet.yaml")


@pytest.fixture(
    scope="module", params=[SMALL, pytest.param("revresnet", marks=pytest.mark.slow)], ids=["small", "revresnet"]
)
def net(request):
    return request.param


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def by_policy(cache, net, tmp_path_factory):
    """Every policy on the same plan, homes and mappings."""
    file = tmp_path_factory.mktemp("plan") / "plan.yaml"
    file.write_text(write_plan(evaluate("camel", net, cache=cache, **QUICK).plan))
    return {policy: evaluate("camel", net, refresh=policy, plan=file, cache=cache, **QUICK) for policy in POLICIES}


@pytest.fixture(scope="module")
def sram(cache, net):
    return evaluate("camel-sram", net, refresh="conventional", cache=cache, **QUICK)


def test_totals_are_sums_over_operations(by_policy):
    for result in by_policy.values():
        for key in (*ENERGY_PARTS, "energy_J", "latency_s", "cycles", "macs", "refresh_count", "dram_bytes"):
            summed = math.fsum(getattr(operation.totals, key) for operation in result.operations)
            assert getattr(result.totals, key) == pytest.approx(summed, rel=1e-12), key


def test_energy_parts_add_up(by_policy):
    for result in by_policy.values():
        for entry in (result.totals, *(operation.totals for operation in result.operations)):
            assert entry.energy_J == pytest.approx(math.fsum(getattr(entry, part) for part in ENERGY_PARTS), rel=1e-12)


def test_refresh_policies_are_ordered_on_the_same_plan(by_policy):
    mappings = [[each.mapping and each.mapping.text for each in result.operations] for result in by_policy.values()]
    assert all(each == mappings[0] for each in mappings)
    energies = [by_policy[policy].totals.refresh_J for policy in POLICIES]
    assert energies == sorted(energies)
    assert energies[0] == 0.0
    assert energies[1] < energies[3]


@pytest.mark.slow
def test_a_mapper_that_knows_of_refresh_does_better(cache, monkeypatch):
    aware = evaluate("camel", "revresnet", cache=cache).totals
    monkeypatch.setattr(NativeEngine, "weighs_refresh", False)
    blind = evaluate("camel", "revresnet", cache=cache).totals
    assert aware.edp_Js < blind.edp_Js
    assert aware.energy_J < blind.energy_J


def test_padding_saves_time_and_is_no_work(cache, net):
    plain = evaluate("camel", net, cache=cache, **QUICK)
    padded = evaluate("camel", net, cache=cache, **QUICK | {"pad": True})
    assert any(operation.mapping and operation.mapping.padded for operation in padded.operations)
    assert not any(operation.mapping and operation.mapping.padded for operation in plain.operations)
    assert padded.totals.latency_s < plain.totals.latency_s
    assert padded.totals.macs == plain.totals.macs
    assert any("padded sizes" in note for note in notes(padded))


def test_refresh_rises_with_temperature(cache, net):
    energies = [
        evaluate("camel", net, temperature_C=temperature, cache=cache, **QUICK).totals.refresh_J
        for temperature in (25.0, 60.0, 100.0)
    ]
    assert energies == sorted(energies)
    assert energies[0] < energies[-1]


def test_sram_needs_no_refresh(sram):
    assert sram.totals.refresh_J == 0.0
    assert sram.totals.refresh_count == 0
    assert all(operation.refresh.stall_cycles == 0 for operation in sram.operations)


def test_data_that_last_an_hour_need_no_refresh(cache, net):
    result = evaluate("camel", net, overrides={"edram_retention": "3600"}, cache=cache, **QUICK)
    assert result.totals.refresh_count == 0


def test_macs_do_not_depend_on_the_machine(by_policy, sram):
    assert sram.totals.macs == by_policy["lifetime"].totals.macs


def test_reversible_runs_more_and_keeps_less(cache, net, by_policy):
    stored = evaluate("camel", net, schedule="store-all", cache=cache, **QUICK)
    assert stored.totals.macs < by_policy["lifetime"].totals.macs
    assert stored.totals.dram_bytes > 0


def test_baselines_stand_in_the_result_and_in_its_json(cache, net):
    result = compare(["camel", "camel-sram", "eyeriss-16nm"], net, cache=cache, **QUICK)
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["schema"] == 3
    assert [baseline["arch"] for baseline in data["baselines"]] == ["camel-sram", "eyeriss-16nm"]
    assert {"arch", "net", "settings", "recipe", "versions", "totals", "operations", "tensors", "coverage"} <= set(data)


def test_the_number_of_cores_does_not_matter(net):
    one, two = (evaluate("camel", net, **QUICK | {"workers": workers}) for workers in (1, 2))
    assert one.to_dict() == two.to_dict()


def test_a_second_run_needs_no_torch(tmp_path):
    script = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from camel_plugin import evaluate",
            "from camel_plugin.cache import Cache",
            "evaluate('camel', 'lenet5', cache=Cache(Path(sys.argv[1])), budget_s=0.0, pad=False, workers=1)",
            "print('torch' in sys.modules)",
        ]
    )
    runs = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.strip() for run in runs] == ["True", "False"]


@pytest.mark.parametrize(
    ("choices", "error", "said"),
    [
        ({"arch": "camle"}, UnknownNameError, "camle"),
        ({"net": "revresnt"}, UnknownNameError, "revresnt"),
        ({"refresh": "lifetimes"}, UnknownNameError, "lifetimes"),
        ({"engine": "nativ"}, UnknownNameError, "nativ'"),
        ({"overrides": {"array_colums": "6"}}, UnknownNameError, "array_colums"),
        ({"objective": "edpp"}, InputError, "edpp"),
        ({"overrides": {"temperature": "900"}}, InputError, "900"),
        ({"batch": 64, "micro_batch": 7}, InputError, "7"),
        ({"input": (3, 32)}, InputError, "3, 32"),
    ],
)
def test_bad_choices_are_refused_by_name(choices, error, said):
    with pytest.raises(error) as caught:
        evaluate(**{"arch": "camel", "net": "revresnet"} | choices)
    assert said in str(caught.value)
