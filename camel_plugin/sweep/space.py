"""The points of a sweep: every combination of the values of its axes."""

import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.files.recipe_text import read_training

_OPTION = "--axis"

_ARGUMENTS = {
    "arch": "arch",
    "net": "net",
    "schedule": "schedule",
    "refresh": "refresh",
    "objective": "objective",
    "engine": "engine",
    "batch": "batch",
    "micro-batch": "micro_batch",
    "temperature": "temperature_C",
}
"""Axis as the command line names it -> keyword argument of ``evaluate``."""

_TRAINING = "training."
"""What an axis over a setting of the training recipe begins with."""

_WHOLE = {"batch", "micro_batch"}
_NUMBERS = {*_WHOLE, "temperature_C"}


@dataclass(frozen=True)
class Axis:
    """One thing that is varied.

    Attributes:
        key: keyword argument of ``evaluate``, ``training.`` and a setting of the recipe, or a machine parameter.
        values: in the order given, none twice.
        is_parameter: whether ``key`` is a machine parameter, given to ``evaluate`` among its ``overrides``.
    """

    key: str
    values: tuple[object, ...]
    is_parameter: bool = False


@dataclass(frozen=True)
class Point:
    """One evaluation of a sweep.

    Attributes:
        arguments: keyword arguments of ``evaluate``, the machine parameters under ``overrides``.
        varied: axis -> value, machine parameters as ``set.NAME``: what tells it from the others.
    """

    arguments: Mapping[str, object]
    varied: Mapping[str, object] = field(compare=False)

    def key(self, versions: Mapping[str, str] | None = None) -> str:
        """Content hash: the same for the same evaluation, in any sweep and any order of its axes.

        Args:
            versions: whatever else the result hangs on: of the code, content hashes of the files read.
        """
        content = json.dumps([self.arguments, versions or {}], sort_keys=True, allow_nan=False)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def parse_axis(text: str, parameters: Collection[str], choices: Mapping[str, Collection[str]] | None = None) -> Axis:
    """An axis as the command line writes it, ``KEY=v1,v2,v3`` or ``KEY=first:last:count`` (evenly spaced).

    Args:
        text: of the axis. Machine parameters keep their values as written, like ``--set``.
        parameters: names of machine parameters.
        choices: the valid values of arguments that have a fixed list of them.

    Raises:
        InputError: not an axis, a value that the key cannot take, or a value twice.
        UnknownNameError: the key, or a value of a fixed list, is not known; carries the nearest valid one.
    """
    name, separator, written = text.partition("=")
    name = name.strip()
    if not separator or not name or not written.strip():
        raise InputError(
            "not an axis", field=_OPTION, value=text, suggestion="write KEY=v1,v2,v3 or KEY=first:last:count"
        )
    key = _ARGUMENTS.get(name.replace("_", "-").removesuffix("-C"))
    if key is None and name.startswith(_TRAINING):
        read_training({name.removeprefix(_TRAINING): _entries(name, written)[0]})
        key = name
    if key is None and name not in parameters:
        raise UnknownNameError("axis", name, {*_ARGUMENTS, *parameters}, field=_OPTION)
    entries = _entries(name, written)
    if key is not None:
        values = tuple(_argument(key, name, entry, choices or {}) for entry in entries)
    else:
        values = tuple(entries)
    twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
    if twice is not None:
        raise InputError(f"a value of {name} stands twice", field=_OPTION, value=twice, suggestion="give it once")
    return Axis(key or name, values, is_parameter=key is None)


def product(axes: Sequence[Axis], fixed: Mapping[str, object]) -> list[Point]:
    """Every combination of the axes' values; the last axis varies fastest.

    Args:
        axes: what is varied.
        fixed: keyword arguments of ``evaluate`` for all points (plain data).

    Raises:
        InputError: two axes have the same key.
    """
    labels = [f"set.{axis.key}" if axis.is_parameter else axis.key for axis in axes]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            raise InputError("two axes have the same key", field=_OPTION, value=axes[index].key)
    points = []
    for values in itertools.product(*(axis.values for axis in axes)):
        arguments, overrides = dict(fixed), _mapping(fixed.get("overrides"))
        for axis, value in zip(axes, values, strict=True):
            if axis.is_parameter:
                overrides[axis.key] = value
            elif axis.key.startswith(_TRAINING):
                arguments["training"] = _mapping(arguments.get("training")) | {axis.key.removeprefix(_TRAINING): value}
            else:
                arguments[axis.key] = value
        points.append(Point({**arguments, "overrides": overrides}, dict(zip(labels, values, strict=True))))
    return points


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _entries(name: str, written: str) -> list[str]:
    """The values of an axis as text."""
    bounds = written.split(":")
    if len(bounds) == 3 and "," not in written:
        try:
            return _evenly_spaced(Fraction(bounds[0]), Fraction(bounds[1]), int(bounds[2]))
        except ValueError:
            pass
        raise InputError(
            f"not a range of {name}",
            field=_OPTION,
            value=written,
            suggestion="write first:last:count with two numbers and a count of 2 or more",
        )
    entries = [entry.strip() for entry in written.split(",")]
    if "" in entries:
        raise InputError(f"an empty value of {name}", field=_OPTION, value=written)
    return entries


def _evenly_spaced(first: Fraction, last: Fraction, count: int) -> list[str]:
    # Fractions: steps of 0.1 must not come out as 0.30000000000000004, which would be another point.
    if count < 2:
        raise ValueError(count)
    steps = [first + (last - first) * index / (count - 1) for index in range(count)]
    return [str(int(step)) if step.denominator == 1 else repr(float(step)) for step in steps]


def _argument(key: str, name: str, entry: str, choices: Mapping[str, Collection[str]]) -> object:
    if key in _NUMBERS:
        try:
            return _positive(entry) if key in _WHOLE else float(Fraction(entry))
        except ValueError:
            expected = "a positive whole number" if key in _WHOLE else "a number"
            raise InputError(f"{name} takes {expected}", field=_OPTION, value=entry) from None
    if key in choices and entry not in choices[key]:
        raise UnknownNameError(name, entry, choices[key], field=_OPTION)
    return entry


def _positive(entry: str) -> int:
    number = int(entry)
    if number < 1:
        raise ValueError(entry)
    return number
