"""Figures: they are drawn, hold the numbers of the result, and leave matplotlib's global state alone."""

import re
import subprocess
import sys

import pytest

from camel_plugin.errors import InputError
from camel_plugin.report import export
from camel_plugin.report.plots import write_plots

pytest.importorskip("matplotlib")


def test_one_figure_for_each_question(make, tmp_path):
    paths = write_plots(make(baselines=[make(arch="camel-sram")]), tmp_path)
    assert [path.name for path in paths] == ["energy_by_pass.png", "energy_by_machine.png", "lifetimes.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_nothing_to_compare_and_no_edram_is_one_figure(make, operation, tmp_path):
    assert [path.name for path in write_plots(make([operation()]), tmp_path)] == ["energy_by_pass.png"]


def test_odd_names_and_lifetimes_are_drawn(make, operation, lifetime, tmp_path):
    lifetimes = [lifetime("t$1", seconds, "buf$", 1e-6) for seconds in (0.0, 1e-6)]
    result = make([operation("$a$", "we$ird_pass$", lifetimes=lifetimes)], arch="$x_{", baselines=[make(arch="^$y")])
    (svg, *_) = write_plots(result, tmp_path, file_format="svg")
    assert "we$ird_pass$" in svg.read_text()


def test_figures_belong_to_the_result_beside_them(make, tmp_path):
    result = make()
    export.write(result, tmp_path / "out")
    write_plots(result, tmp_path / "out")
    export.write(result, tmp_path / "out")
    assert not (tmp_path / "out/plots").exists()


def test_bars_are_as_long_as_the_energies(result, tmp_path):
    from camel_plugin.report.plots import _energy_by_pass

    (axes,) = _energy_by_pass(result).axes
    # Each pass takes 1 + 2 + 3 + 4 + 5 uJ in the order of the parts.
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert widths == [pytest.approx([part] * 4) for part in (1, 2, 3, 4, 5)]
    assert [bar.get_x() for bar in axes.containers[-1]] == pytest.approx([10] * 4)
    assert re.search("uJ", axes.get_xlabel())


def test_global_state_is_left_alone():
    code = (
        "import sys; import camel_plugin.report.plots; assert 'matplotlib' not in sys.modules;"
        "camel_plugin.report.plots._figure(height=1); assert 'matplotlib.pyplot' not in sys.modules;"
        "from matplotlib import rcParams, rcParamsDefault as default;"
        "assert all(rcParams[key] == default[key] for key in default if 'backend' not in key)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_matplotlib_names_the_extra(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install 'camel-plugin\[report\]'"):
        write_plots(result, tmp_path)
