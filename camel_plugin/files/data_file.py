"""Frozen dataclasses as YAML and back: one form for steps, plans, tasks and mappings, whatever they hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from camel_plugin.files.yaml_source import YAML12Dumper, load_yaml_text

T = TypeVar("T")

_WIDTH = 120
_SCALARS = yaml.representer.SafeRepresenter()


def write_data(value: object) -> str:
    """A dataclass as YAML text; :func:`read_data` makes an equal one of it."""
    return dump_plain(TypeAdapter(type(value)).dump_python(value))


def read_data(kind: type[T], text: str, name: str) -> T:
    """The dataclass ``kind`` that :func:`write_data` wrote as ``text``; ``name`` stands for the file in messages.

    Raises:
        SpecError: broken YAML, or a field is missing or wrong; with file, line and field.
    """
    root = load_yaml_text(text, name)
    try:
        return TypeAdapter(kind).validate_python(root.plain())
    except ValidationError as error:
        first = error.errors()[0]
        raise root.at(first["loc"]).error(first["msg"], value=first["input"]) from error


def dump_plain(data: object) -> str:
    """Plain data as YAML; a list or mapping that fits on one line stands on one."""
    return str(yaml.serialize(_node(data, 0, top=True), Dumper=YAML12Dumper, width=4 * _WIDTH))


def _node(value: Any, column: int, *, top: bool = False) -> yaml.Node:
    if isinstance(value, frozenset):
        value = sorted(value)
    if not isinstance(value, Mapping | list | tuple):
        return _SCALARS.represent_data(value.value if isinstance(value, Enum) else value)
    flow = not top and (not value or column + len(str(value)) - 2 * _words(value) <= _WIDTH)
    if isinstance(value, Mapping):
        pairs = [(_node(key, 0), _node(entry, column + len(str(key)) + 2)) for key, entry in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)
    entries = [_node(entry, column + 2) for entry in value]
    return yaml.SequenceNode("tag:yaml.org,2002:seq", entries, flow_style=flow)


def _words(value: Collection[Any]) -> int:
    """Words inside plain data, which Python quotes and YAML does not."""
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value
    return sum(1 if isinstance(entry, str) else _words(entry) for entry in inner if isinstance(entry, Collection))
