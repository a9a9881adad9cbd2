"""The table in a terminal: what stands in it adds up, fits, and comes in the right order."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from camel_plugin.report.summary import how
from camel_plugin.report.table import render
from camel_plugin.result import ActionEnergy
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.step import Coverage


def printed(result, width=80) -> str:
    stream = io.StringIO()
    render(result, Console(file=stream, width=width))
    return stream.getvalue()


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return line.removeprefix(name).split()


def test_rows_of_the_passes_add_up_to_the_totals(result):
    text = printed(result)
    names = ["forward", "input_grad", "weight_grad", "update"]
    passes = [[float(number) for number in row(text, name)] for name in names]
    assert [float(number) for number in row(text, "total")] == [sum(numbers) for numbers in zip(*passes, strict=True)]


def test_columns_stand_in_engineering_units(result):
    # 4 operations of 10 us, 15 uJ = 1 + 2 + 3 + 4 + 5 uJ, 2 MB; three of them have 1 MMAC.
    text = printed(result)
    assert row(text, "pass") == ["us", *["uJ"] * 6, "MMAC", "MB"]
    expected = [40, 60, 4, 8, 12, 16, 20, 3, 8]
    assert [float(number) for number in row(text, "total")] == expected


def test_shares_are_of_the_energy(result):
    assert row(printed(result), "of energy") == ["100%", "6.7%", "13.3%", "20.0%", "26.7%", "33.3%"]


def test_passes_without_operations_are_left_out(result):
    assert "reconstruct" not in printed(result)


@pytest.mark.parametrize("width", [80, 120])
def test_fits_the_console_however_long_the_names(make, operation, lifetime, width):
    name = "backbone.stage1.0.branch.f.conv1_with_a_rather_long_name:weight_grad" * 2
    lifetimes = [lifetime(name, 123.456e-6, "activation_buffer")]
    result = make([operation(name, "reconstruct", lifetimes=lifetimes)])
    result = make(result.operations, baselines=[make(arch="a-machine-whose-name-" * 6)])
    lines = printed(replace(result, published="2.5x faster"), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_numbers_stay_whole_on_a_narrow_console(result):
    assert row(printed(result, width=30), "total") == row(printed(result, width=80), "total")


def test_headline_then_what_is_missing_then_tables(make):
    coverage = Coverage(unsupported=("aten::fft: 3 nodes",), not_reached=("head[0]",))
    lines = printed(make(coverage=coverage), width=200).splitlines()
    assert lines[0] == (
        "revresnet on camel: reversible schedule, batch 64, micro-batch 1, refresh lifetime, 100 C, native engine"
    )
    assert "NOT IN THESE NUMBERS" in lines[1] and "aten::fft: 3 nodes" in lines[1]
    assert "NOT REACHED" in lines[2] and "head[0]" in lines[2]
    assert lines[3] == ""


def test_no_escape_codes_in_a_pipe(make):
    assert "\x1b" not in printed(make(coverage=Coverage(unsupported=("x",))))


def test_ratios_are_baseline_over_machine(make, operation):
    slow = make([operation(latency_s=8e-5, dram_J=80e-6)], arch="camel-sram")
    text = printed(make(baselines=[slow]))
    # The machine itself takes 40 us and 60 uJ.
    assert row(text, "camel-sram")[-2:] == ["2.00", "1.50"]
    assert row(text, "camel")[-2:] == ["1.00", "1.00"]


def test_machines_name_the_settings_they_do_not_share(make):
    other = make(arch="eyeriss", settings=Settings(refresh="none"), overrides={"banks": "6"})
    text = printed(make(baselines=[other]), width=200)
    assert "\ncamel (refresh=lifetime) " in text
    assert "\neyeriss (refresh=none, banks=6) " in text


def test_published_figures_only_on_demand_and_marked(make):
    result = make(baselines=[make(arch="eyeriss")])
    assert "published" not in printed(result)
    assert "published, not a target" in printed(replace(result, published="2.5x faster"))


def test_longest_lifetimes_come_first_with_their_refreshes(result):
    # Retention 3.35 us; 7.0 us crosses it twice, 3.4 us once, and of act1 only the longest life counts.
    text = printed(result)
    assert row(text, "act1")[1:] == ["7.000", "2"]
    assert row(text, "grad1")[1:] == ["3.400", "1"]
    assert text.index("act1 ") < text.index("grad1 ")


def test_eight_lifetimes_at_most(make, operation, lifetime):
    lifetimes = [lifetime(f"tensor{n}", n * 1e-6) for n in range(1, 20)]
    shown = re.findall(r"^tensor(\d+)", printed(make([operation(lifetimes=lifetimes)])), re.MULTILINE)
    assert [int(number) for number in shown] == [19, 18, 17, 16, 15, 14, 13, 12]


def test_no_lifetimes_without_edram(make, operation):
    without = make([operation()], lifetimes=())
    assert "lifetime" not in printed(without).split("\n", 2)[2]


def test_stalls_corruption_gaps_and_notes_are_told(make, operation):
    operations = [
        operation("a", cycles=4000, stall_cycles=1000, corrupted_share=0.002),
        operation("b", optimality_gap=0.05),
    ]
    text = printed(make(operations, unconfirmed=["DRAM bandwidth"], mapped_anew=["a"]), width=200)
    assert "refresh stalls: 1,000 of 10,000 cycles (10.0%)" in text
    assert "corrupted bits: expected share up to 0.002 (in a)" in text
    assert "1 of 2 operations proven optimal, largest gap 5.00% (in b)" in text
    assert "unconfirmed (1, sources in result.json): DRAM bandwidth" in text
    assert "1 operations are mapped anew beside the plan's mappings: a" in text


def test_small_parts_never_look_like_zero(make, operation):
    operations = [operation("a", refresh_J=1.0), operation("b", "update", refresh_J=1e-12)]
    assert row(printed(make(operations)), "update")[5] == "<0.001"


def test_a_result_without_operations_prints(make):
    assert row(printed(make([])), "total") == ["0"] * 9


def test_an_unusual_recipe_stands_in_the_headline(make, result):
    precision = {"default": "fp16", "weight": "fp8"}
    recipe = replace(result.recipe, optimizer="adam", trainable=("head", "*.g"), precision=precision)
    unusual = make(recipe=recipe)
    assert how(unusual).endswith(
        ", optimizer adam, trainable head *.g, precision default fp16 weight fp8, native engine"
    )
    usual = make(recipe=Recipe(schedule="reversible", batch=64, micro_batch=1, optimizer="sgd"))
    assert how(usual) == how(result)


def test_nodes_and_temperatures_stand_beside_the_areas_and_differences_are_said(make):
    other = make(arch="stock", technology="65 nm", temperature_C=25.0)
    text = printed(make(technology="16 nm", baselines=[other]), width=200)
    assert "at 16 nm, 100 C; stock " in text
    assert "at 65 nm, 25 C\n" in text
    assert "- nodes differ (camel: 16 nm; stock: 65 nm): the ratios compare technologies as well as machines" in text
    assert "nodes differ" not in printed(make(technology="16 nm", baselines=[make(arch="x", technology="16 nm")]))


def test_sources_of_energies_are_named_where_they_are_not_all_ours(make):
    row = ActionEnergy("glb", "read", 1e-12, "ERT row chip.glb[1..1]")
    ours = ActionEnergy("mac", "compute", 1e-12, "built-in model: bfp_mac")
    assert "energies: glb: ERT row chip.glb[1..1]; mac: built-in model: bfp_mac" in printed(
        make(energies=(row, ours)), width=200
    )
    assert "energies:" not in printed(make(energies=(ours,)), width=200)
