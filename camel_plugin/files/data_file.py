"""Frozen dataclasses as YAML and back: one form for steps, plans, tasks and mappings, whatever they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from enum import Enum
from typing import TypeVar

import yaml
from pydantic import ValidationError

from camel_plugin.cache import adapter
from camel_plugin.errors import SpecError
from camel_plugin.files.yaml_source import YAML12Dumper, YamlNode, load_yaml_text

T = TypeVar("T")

_WIDTH = 120
_SCALARS = yaml.representer.SafeRepresenter()


def write_data(value: object) -> str:
    """A dataclass as YAML text; :func:`read_data` makes an equal one of it."""
    return dump_plain(adapter(type(value)).dump_python(value))


def read_data(kind: type[T], text: str, name: str) -> T:
    """The dataclass ``kind`` that :func:`write_data` wrote as ``text``; ``name`` stands for the file in messages.

    Raises:
        SpecError: broken YAML, or a field is missing or wrong; with file, line and field.
    """
    root = load_yaml_text(text, name)
    try:
        found: T = adapter(kind).validate_python(root.plain())
        return found
    except ValidationError as error:
        raise _located(error, root) from error


def _located(error: ValidationError, root: YamlNode) -> SpecError:
    """The error that lies deepest; of a choice of forms, that of the form with the fewest errors."""
    errors = error.errors()
    forms = Counter(each["loc"][:-1] for each in errors)

    def place(loc: tuple[int | str, ...]) -> YamlNode:
        node = root
        for key in loc:  # names of forms stand between the keys
            node = node.at([key])
        return node

    each = max(errors, key=lambda each: (place(each["loc"]).field.count("."), -forms[each["loc"][:-1]]))
    message = f"{each['loc'][-1]}: {each['msg']}"
    return place(each["loc"]).error(message, value=None if each["type"] == "missing" else each["input"])


def dump_plain(data: object) -> str:
    """Plain data as YAML; below its parts, a list or mapping that fits on one line stands on one."""
    return str(yaml.serialize(_node(data, 0, parts=2), Dumper=YAML12Dumper, width=4 * _WIDTH))


def _node(value: object, column: int, parts: int = 0) -> yaml.Node:
    if isinstance(value, frozenset):
        value = sorted(value)
    if not isinstance(value, Mapping | list | tuple):
        return _SCALARS.represent_data(value.value if isinstance(value, Enum) else value)
    flow = not value or (parts < 1 and column + len(str(value)) - 2 * _words(value) <= _WIDTH)
    if isinstance(value, Mapping):
        pairs = [(_node(key, 0), _node(entry, column + len(str(key)) + 2, parts - 1)) for key, entry in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)
    entries = [_node(entry, column + 2, parts - 1) for entry in value]
    return yaml.SequenceNode("tag:yaml.org,2002:seq", entries, flow_style=flow)


def _words(value: Collection[object]) -> int:
    """Words inside plain data, which Python quotes and YAML does not."""
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value
    return sum(1 if isinstance(entry, str) else _words(entry) for entry in inner if isinstance(entry, Collection))
