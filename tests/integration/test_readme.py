"""README's sample and table are those that scripts/reproduce_camel.py makes."""

import re
from pathlib import Path

import pytest

from camel_plugin import evaluate

ROOT = Path(__file__).parents[2]


def block(mark):
    found = re.findall(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(found) == 1
    return found[0]


def rows(text):
    lines = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines() if "|" in line]
    head, _, *body = lines
    return head, body


def test_every_network_stands_beside_its_store_all_counterpart_on_three_machines():
    head, body = rows(block("networks"))
    assert [cell.partition(" ms")[0] for cell in head if cell.endswith(" ms")] == [
        "camel",
        "camel-sram",
        "eyeriss-16nm",
    ]
    assert [row[1] for row in body] == ["reversible", "store-all"] * 3
    assert [row[0].split(",")[0] for row in body[::2]] == ["RevNet-38", "RevNet-110", "DuDNN"]
    assert all(float(cell.replace(",", "")) > 0 for row in body for cell in row[2:])


def test_the_table_agrees_with_the_validation_page():
    # Both come from one run of the command: the page's rows are one machine each.
    page = (ROOT / "docs" / "validation.md").read_text()
    _, overview = rows(page[page.index("## Networks and machines") : page.index("## Sensitivity")])
    listed = {(row[0], row[1], row[2]): row[3:] for row in overview}
    nets = {"RevNet-38": "revresnet", "RevNet-110": "revnet110", "DuDNN": "dudnn-branch6-resnet50"}
    _, body = rows(block("networks"))
    for row in body:
        ms, mJ, refresh_mJ, _, mB = listed[nets[row[0].split(",")[0]], row[1], "camel"]
        assert row[2:6] == [ms, mJ, refresh_mJ, mB]


@pytest.mark.slow
def test_a_row_of_the_table_is_what_the_code_computes():
    _, body = rows(block("networks"))
    row = next(row for row in body if row[0] == "RevNet-38" and row[1] == "reversible")
    found = evaluate("camel-sram", "revresnet", schedule="reversible", depth_first="cut", budget_s=0.2).totals
    ours = [found.latency_s * 1e3, found.energy_J * 1e3, found.dram_bytes / 1e6]
    # A short search: mappings may be a little worse than those of the table.
    assert [float(cell.replace(",", "")) for cell in row[6:9]] == pytest.approx(ours, rel=0.05)
