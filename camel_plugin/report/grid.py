"""Columns of a table, before they are drawn in a terminal or as HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from camel_plugin.report.units import column


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes:
        head: its name.
        unit: of all its numbers, empty for words and plain numbers.
        cells: as written, one a row.
        values: what they stand for, in SI units; None where there is nothing.
        numeric: whether the values are numbers.
    """

    head: str
    unit: str
    cells: tuple[str, ...]
    values: tuple[float | str | None, ...]
    numeric: bool


def words(head: str, values: Iterable[str]) -> Field:
    """A column of names."""
    cells = tuple(values)
    return Field(head, "", cells, cells, numeric=False)


def numbers(head: str, values: Sequence[float], base: str) -> Field:
    """A column of numbers in one engineering unit of ``base`` (see :func:`camel_plugin.report.units.column`)."""
    chosen = column(values, base)
    return Field(head, chosen.unit, tuple(map(chosen.format, values)), tuple(values), numeric=True)


def formatted(head: str, values: Iterable[float | None], pattern: str) -> Field:
    """A column of numbers written with a format specification, a dash where there is none."""
    values = tuple(values)
    cells = tuple("-" if value is None else format(value, pattern) for value in values)
    return Field(head, "", cells, values, numeric=True)
