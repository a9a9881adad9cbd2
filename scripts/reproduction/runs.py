"""Evaluations, each done once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from camel_plugin.cache import Cache, default_folder
from camel_plugin.pipeline import evaluate
from camel_plugin.result import StepResult


class Runs:
    """Evaluations by their arguments.

    Args:
        budget_s: of the mapper for a distinct problem.
    """

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self.cache = Cache(default_folder())
        self.done: dict[str, StepResult] = {}

    def __call__(self, arch: str, net: str, **choices: Any) -> StepResult:
        """One training step; arguments as for :func:`camel_plugin.pipeline.evaluate`."""
        key = repr((arch, net, sorted(choices.items())))
        if key not in self.done:
            start = time.perf_counter()
            self.done[key] = evaluate(arch, net, budget_s=self.budget_s, cache=self.cache, **choices)
            told = " ".join(f"{name}={value}" for name, value in choices.items())
            sys.stderr.write(f"{time.perf_counter() - start:6.1f} s  {arch} {net} {told}\n")
        return self.done[key]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([_cell(entry) for entry in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(entry: object) -> str:
    return figure(entry) if isinstance(entry, float) else str(entry)


def figure(value: float) -> str:
    """Three significant digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def compared(
    published: float | str, ours: float, hangs_on: str, what: str, *, factor: bool = False
) -> tuple[object, ...]:
    """A row: what, published, ours, ratio, verdict, assumption.

    Args:
        published: figure, or empty if there is none.
        ours: computed.
        hangs_on: the assumption.
        what: the figure in words.
        factor: the figure is an advantage, so that the other side of 1 is the opposite.
    """
    if isinstance(published, str):
        return what, published, ours, "", "", hangs_on
    ratio = ours / published
    opposite = factor and (published - 1) * (ours - 1) < 0
    return what, published, ours, ratio, "**opposite**" if opposite else verdict(ratio), hangs_on


def verdict(ratio: float) -> str:
    """How near ours is to the published figure, in words."""
    away = max(ratio, 1 / ratio) if ratio > 0 else float("inf")
    return "agrees" if away <= 1.2 else "same order" if away <= 3 else "**differs**"


HEAD = ("figure", "published", "ours", "ours / published", "", "hangs on")
