"""Figures for a paper or a slide. Needs the extra ``report`` (matplotlib); leaves its global state alone."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from camel_plugin.errors import InputError
from camel_plugin.report import export, summary
from camel_plugin.report.summary import PART_COLOURS
from camel_plugin.report.units import column
from camel_plugin.result import ENERGY_PARTS, StepResult, Totals
from camel_plugin.spec.meaning import meanings

_DPI = 150
_BINS = 40


def write_plots(result: StepResult, directory: Path, *, file_format: str = "png") -> list[Path]:
    """Draw a result into ``directory/plots``.

    Energy by part and pass; energy by part and machine, with baselines; lifetimes, with eDRAM.

    Args:
        result: of an evaluation.
        directory: of the result; made if absent.
        file_format: ``png``, ``svg`` or ``pdf``.

    Returns:
        The files written.

    Raises:
        InputError: matplotlib is missing, or the directory cannot be written.
    """
    figures = {"energy_by_pass": _energy_by_pass(result)}
    if result.baselines:
        figures["energy_by_machine"] = _energy_by_machine(result)
    if any(operation.lifetimes for operation in result.operations):
        figures["lifetimes"] = _lifetimes(result)
    contents: dict[str, str | bytes] = {}
    for name, figure in figures.items():
        image = io.BytesIO()
        figure.savefig(image, format=file_format, dpi=_DPI)
        contents[f"plots/{name}.{file_format}"] = image.getvalue()
    return export.add(directory, contents)


def _energy_by_pass(result: StepResult) -> Any:
    rows = summary.passes(result)
    title = f"Energy of a training step: {result.net} on {result.arch}"
    return _stacked([name for name, _ in rows], [totals.parts_J for _, totals in rows], title)


def _energy_by_machine(result: StepResult) -> Any:
    rows = summary.machines(result)
    parts = [machine.totals.parts_J for _, machine in rows]
    return _stacked([label for label, _ in rows], parts, f"Energy of a training step: {result.net}")


def _stacked(names: Sequence[str], parts_J: Sequence[dict[str, float]], title: str) -> Any:
    """Horizontal bars of energy by part, one a name."""
    chosen = column([sum(parts.values()) for parts in parts_J], "J")
    figure, axes = _figure(height=1.6 + 0.45 * len(names))
    lefts = [0.0] * len(names)
    positions = range(len(names))
    for part in ENERGY_PARTS:
        widths = [parts[part] / chosen.scale for parts in parts_J]
        axes.barh(positions, widths, left=lefts, color=PART_COLOURS[part], label=meanings(Totals)[part].head)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.set_yticks(positions, [_literal(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"energy [{chosen.unit}]")
    axes.set_title(_literal(title))
    figure.legend(loc="outside lower center", ncols=len(ENERGY_PARTS), frameon=False)
    return figure


def _lifetimes(result: StepResult) -> Any:
    """Histogram over all data, on a logarithmic axis: lifetimes span orders of magnitude."""
    import numpy as np

    entries = [entry for operation in result.operations for entry in operation.lifetimes]
    retentions = {entry.level: entry.retention_s for entry in entries}
    positive = [entry.lifetime_s for entry in entries if entry.lifetime_s > 0]
    chosen = column(retentions.values(), "s")
    seconds = [*positive, *retentions.values()]
    # Half a decade of margin keeps the outermost values off the frame.
    edges = np.geomspace(min(seconds) / 3, max(seconds) * 3, _BINS + 1) / chosen.scale
    figure, axes = _figure(height=3.6)
    axes.hist([second / chosen.scale for second in positive], bins=edges, color=PART_COLOURS["dynamic_J"])
    for level, retention_s in retentions.items():
        label = f"retention of {level}, {chosen.format(retention_s)} {chosen.unit}"
        axes.axvline(retention_s / chosen.scale, color=PART_COLOURS["refresh_J"], label=_literal(label))
    axes.set_xscale("log")
    axes.set_xlabel(f"lifetime [{chosen.unit}]")
    axes.set_ylabel("data (tensor, operation)")
    axes.set_title(_literal(f"Lifetimes in eDRAM: {result.net} on {result.arch}"))
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def _figure(*, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "plots need matplotlib, which is not installed", suggestion="pip install 'camel-plugin[report]'"
        ) from error
    # A bare Figure draws with Agg and is unknown to pyplot.
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _literal(text: str) -> str:
    """Keep a dollar sign in a name from starting a formula."""
    return text.replace("$", r"\$")
