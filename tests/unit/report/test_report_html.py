"""The HTML report: one file, well formed, escaped, with the numbers of the result."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from camel_plugin.report import export, html
from camel_plugin.result import LevelLifetimes
from camel_plugin.spec.step import Coverage

_VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tables as text, and every tag that is opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def test_tags_are_balanced_and_rows_are_whole(make):
    page = Page(html.render(make(baselines=[make(arch="camel-sram")], published="2.5x faster")))
    assert page.open == []
    assert len(page.tables) == 4
    for table in page.tables:
        assert {len(row) for row in table} == {len(table[0])}


def test_passes_and_operations_stand_in_tables(result):
    passes, _, operations = Page(html.render(result)).tables
    assert passes[-1] == ["total", "40.00", "60.00", "4.000", "8.000", "12.00", "16.00", "20.00", "3.000", "8.000"]
    assert [row[0] for row in operations[1:]] == [operation.name for operation in result.operations]


def test_names_are_escaped(make, operation):
    evil = "<script>alert('1')</script>&\"x\""
    result = make(
        [operation(evil, evil, kind=evil, bound_by=evil)],
        arch=evil,
        net=evil,
        mapped_anew=[evil],
        overrides={evil: evil},
        lifetimes=(LevelLifetimes(evil, 1.0, (), ()),),
        versions={evil: evil},
        coverage=Coverage(unsupported=(evil,), modelled=(evil,)),
    )
    text = html.render(make(result.operations, **_changes(result), baselines=[result], published=evil))
    assert [tag for tag, _ in Page(text).tags].count("script") == 1
    assert "<script>alert" not in text
    assert evil in Page(text).text


def _changes(result):
    return {
        name: getattr(result, name)
        for name in ("arch", "net", "mapped_anew", "overrides", "coverage", "lifetimes", "versions")
    }


def test_nothing_is_fetched(result):
    text = html.render(result)
    assert not {tag for tag, _ in Page(text).tags} & {"link", "img", "iframe", "object"}
    assert not re.search(r"https?://|url\(|@import|src=", text)


def test_bars_are_shares_of_the_longest(make, operation):
    operations = [operation("a"), operation("b", "update", dram_J=0.0, refresh_J=0.0)]
    text = html.render(make(operations))
    # 15 uJ is the longest bar: 1, 2, 3, 4, 5 fifteenths; the update has only the first three.
    widths = [float(width) for width in re.findall(r'<i style="width:([\d.]+)%', text)]
    assert widths == pytest.approx([100 * part / 15 for part in (1, 2, 3, 4, 5, 1, 2, 3, 0, 0)], abs=1e-3)


def test_what_is_missing_stands_before_any_number(make):
    text = Page(html.render(make(coverage=Coverage(unsupported=("aten::fft",))))).text
    assert text.index("NOT IN THESE NUMBERS") < text.index("energy-delay")


def test_published_figures_only_on_demand(make):
    result = make(baselines=[make(arch="eyeriss")])
    assert "published" not in html.render(result)
    assert "published, not a target" in html.render(replace(result, published="2.5x faster"))


def test_results_without_operations_or_edram_render(make):
    assert "Longest lifetimes" not in html.render(make([], lifetimes=()))


def test_written_beside_the_result(result, tmp_path):
    export.write(result, tmp_path / "out")
    (path,) = export.add(tmp_path / "out", {html.FILE_NAME: html.render(result)})
    assert path == tmp_path / "out/report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    export.write(result, tmp_path / "out")
    assert not path.exists()
