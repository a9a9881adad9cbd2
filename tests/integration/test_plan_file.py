"""``camel-eval --out`` writes plan.yaml, ``--plan`` runs it: unedited, edited, and refused."""

import json
import re

import pytest

from camel_plugin import cli, compare
from camel_plugin.cache import Cache
from camel_plugin.errors import InputError, SpecError
from camel_plugin.files.plan_file import PLAN_FILE, write_plan
from camel_plugin.report.notes import notes

QUICK = {"budget_s": 0.0, "pad": False, "workers": 1}
"""The first round of the mapper alone, in this process."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


def run(**choices):
    return compare(["camel"], "lenet5", **{"batch": 8, **QUICK, **choices})


def again(file, **choices):
    return compare(["camel"], "lenet5", plan=file, **{**QUICK, **choices})


@pytest.fixture(scope="module")
def searched(cache):
    return run(cache=cache)


@pytest.fixture
def file(tmp_path):
    return tmp_path / PLAN_FILE


@pytest.mark.parametrize(
    "choices",
    [{}, {"depth_first": "none"}, {"depth_first": "cut", "micro_batch": 2}, {"pad": True, "refresh": "occupied"},
     {"objective": "energy", "training": {"precision.activation": "fp16"}}],
    ids=str,
)  # fmt: skip
def test_an_unedited_plan_gives_the_identical_result_and_plan(cache, file, choices):
    first = run(cache=cache, **choices)
    file.write_text(write_plan(first.plan))
    kept = {key: value for key, value in choices.items() if key not in ("depth_first", "micro_batch")}
    second = again(file, **kept)
    assert second.to_dict() == first.to_dict()
    assert write_plan(second.plan) == write_plan(first.plan)


def base(operation):
    """What one operation costs, whenever it runs and whatever is refreshed meanwhile."""
    return operation.cost, operation.mapping and operation.mapping.text


@pytest.mark.parametrize(
    ("tensor", "users"),
    [
        # Read by its own convolution and by the gradients of its input and itself; in place by its update.
        ("c3.weight", {"c3", "c3:input_grad", "c3.weight:update"}),
        ("c3.out", {"c3", "tanh3"}),
        ("f6.out:grad", {"tanh6:input_grad", "f6:bias_grad", "f6:weight_grad", "f6:input_grad"}),
    ],
)
def test_one_home_edited_changes_exactly_the_rows_of_its_users(searched, file, tensor, users):
    text = write_plan(searched.plan)
    file.write_text(re.sub(rf"\n  {re.escape(tensor)}: .*", f"\n  {tensor}: {{level: dram}}", text))
    edited = again(file)
    changed = {a.name for a, b in zip(searched.operations, edited.operations, strict=True) if base(a) != base(b)}
    assert changed == users
    homes = {a.name for a, b in zip(searched.tensors, edited.tensors, strict=True) if a.home != b.home}
    assert homes == {tensor}
    anew = next(note for note in notes(edited) if "mapped anew" in note)
    named = set(anew.partition(": ")[2].split(", "))
    assert named == {
        operation.name for operation in searched.operations if operation.name in users and operation.mapping
    }


def test_other_rows_of_one_level_change_no_row_of_the_result(searched, file):
    text = write_plan(searched.plan)
    first = min(int(start) for start in re.findall(r"level: w_sram, rows: \[(\d+), \d+\]", text))
    start, stop = map(int, re.search(r"\n  c1\.weight: {level: w_sram, rows: \[(\d+), (\d+)\]}", text).groups())
    assert first >= stop - start
    moved = f"c1.weight: {{level: w_sram, rows: [0, {stop - start}]}}"
    file.write_text(re.sub(r"c1\.weight: {level: w_sram[^}]*}", moved, text))
    edited = again(file)
    assert moved in write_plan(edited.plan)
    assert edited.to_dict() == searched.to_dict()


def test_an_operation_without_a_mapping_is_mapped_anew(searched, file):
    file.write_text(write_plan(searched.plan).partition("\nmappings:")[0] + "\nmappings: []\n")
    assert again(file).to_dict() == searched.to_dict()


def test_a_plan_holds_for_the_first_machine_alone(searched, file):
    file.write_text(write_plan(searched.plan))
    both = compare(["camel", "camel-sram"], "lenet5", plan=file, **QUICK)
    alone = run()
    assert both.totals == alone.totals
    assert both.baselines[0].totals == compare(["camel-sram"], "lenet5", batch=8, **QUICK).totals


@pytest.mark.parametrize(
    ("arguments", "edit", "reason"),
    [
        (["--net", "revresnet"], ("", ""), r"belongs_to\.net: this plan belongs to another net"),
        (["--net", "lenet5", "--micro-batch", "2"], ("", ""), r"belongs_to\.micro_batch: this plan belongs to another"),
        (["--net", "lenet5"], ("c3.weight: {level: w_sram", "c3.weight: {level: w_sran"), r"unknown level.*'w_sram'"),
        (["--net", "lenet5"], ("M=6, R=5", "M=5, R=5"), r"factors of M multiply to 5, the problem has M = 6"),
        (
            ["--net", "lenet5", "--engine", "timeloop"],
            ("", ""),
            r"mappings of a plan are evaluated by the native model",
        ),
    ],
    ids=str,
)
def test_the_command_refuses_with_exit_code_2(searched, file, capsys, arguments, edit, reason):
    text = write_plan(searched.plan)
    assert edit[0] in text
    file.write_text(text.replace(*edit, 1) if edit[0] else text)
    with pytest.raises(SystemExit) as caught:
        cli.main(["eval", "--arch", "camel", *arguments, "--plan", str(file), "--no-cache"])
    assert caught.value.code == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert re.search(reason, printed), printed


def test_the_command_writes_and_runs_a_plan(tmp_path, capsys, searched):
    out = tmp_path / "out"
    first = ["--batch", "8", "--out", str(out)]
    results = []
    for arguments in (first, ["--plan", str(out / PLAN_FILE)]):
        common = [
            "--arch",
            "camel",
            "--net",
            "lenet5",
            "--budget",
            "0",
            "--no-pad",
            "--jobs",
            "1",
            "--no-cache",
            "--json",
        ]
        with pytest.raises(SystemExit, match="0"):
            cli.main(["eval", *common, "--json", *arguments])
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1] == json.loads(json.dumps(searched.to_dict()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The output of c3 rests in the eDRAM, which must keep it then.
        ("{target: act_edram, type: dataspace, keep: [Inputs, Outputs], bypass: [Weights]}",
         "{target: act_edram, type: dataspace, keep: [Inputs], bypass: [Weights, Outputs]}"),
        # 16 channels, 10 x 10 outputs each, in the registers of one unit.
        ("{target: oreg, type: dataspace, keep: [Outputs], bypass: [Weights, Inputs]}",
         "{target: oreg, type: dataspace, keep: [Outputs, Weights, Inputs], bypass: []}"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused_with_its_line(searched, file, old, new):
    text = write_plan(searched.plan)
    place = text.index("- operations: [c3]")
    assert old in text[place:]
    file.write_text(text[:place] + text[place:].replace(old, new, 1))
    with pytest.raises(SpecError, match=r"the mapping of c3 exceeds a level, or keeps data where") as caught:
        again(file)
    line = file.read_text().splitlines()[caught.value.line - 1]
    assert caught.value.file == str(file) and line == "  mapping:"


def test_a_bound_holds_for_the_task_it_was_found_for_alone(searched, file):
    file.write_text(write_plan(searched.plan))
    # All rows are refreshed now: mappings cost more, and how far from the best they are is not known any more.
    other = again(file, refresh="conventional")
    texts = [[each.mapping and each.mapping.text for each in found.operations] for found in (other, searched)]
    assert texts[0] == texts[1]
    assert {operation.mapping.optimality_gap for operation in other.operations if operation.mapping} == {1.0}
    assert min(operation.mapping.optimality_gap for operation in searched.operations if operation.mapping) < 1.0


def test_an_order_beside_a_plan_is_refused(searched, file):
    file.write_text(write_plan(searched.plan))
    with pytest.raises(InputError, match="depth_first"):
        again(file, depth_first="block")
