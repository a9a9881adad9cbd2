"""YAML written: plain data, nodes as they were read, and tagged mappings, in the scalars of YAML 1.2."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

import yaml

from camel_plugin.files.yaml_source import RESOLVERS, YamlNode

_WIDTH = 120
_BRACKETS = re.compile(r"[\[\]{},\n]")
_SCALARS = yaml.representer.SafeRepresenter()
_MAP, _SEQ, _STR = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))


@dataclass(frozen=True)
class Tagged:
    """A mapping with a local tag, ``!Component`` say."""

    tag: str
    value: Mapping[str, object]


@dataclass(frozen=True)
class Quoted:
    """Text that stands in quotes, for readers that evaluate what does not."""

    text: str


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """PyYAML's emitter, in C where it was built with it."""

    yaml_implicit_resolvers = RESOLVERS


def dump_yaml(data: object, parts: int = 2) -> str:
    """The text of data.

    Args:
        data: mappings, lists, tuples, sets, scalars, enums, :class:`Tagged`, :class:`Quoted` and :class:`YamlNode`, of
            which tags, quotes and the words of scalars are kept.
        parts: levels from the top that stand in block style; below, what fits on one line stands on one.
    """
    return str(yaml.serialize(_node(data, 0, parts), Dumper=_Dumper, width=4 * _WIDTH))


def _node(value: object, column: int, parts: int) -> yaml.Node:
    tag = ""
    if isinstance(value, YamlNode):
        if not isinstance(value.value, dict | list):
            kind = _SCALARS.represent_data(value.value).tag if value.tag is None else f"!{value.tag}"
            plain = value.text.strip()
            style = '"' if value.quoted else "|" if "\n" in plain else None
            return yaml.ScalarNode(kind, value.text if value.quoted else plain, style=style)
        tag, value = f"!{value.tag}" if value.tag not in (None, "nomerge") else "", value.value
    elif isinstance(value, Tagged):
        tag, value = f"!{value.tag}", value.value
    elif isinstance(value, Quoted):
        return yaml.ScalarNode(_STR, value.text, style='"')
    elif isinstance(value, frozenset):
        value = sorted(value)
    if isinstance(value, float) and math.isfinite(value):
        return yaml.ScalarNode("tag:yaml.org,2002:float", repr(value))
    if not isinstance(value, Mapping | list | tuple):
        return _SCALARS.represent_data(value.value if isinstance(value, Enum) else value)
    flow = not value or (parts < 1 and column + _length(value) + len(tag) <= _WIDTH and _flows(value))
    if isinstance(value, Mapping):
        pairs = [(_node(key, 0, 0), _node(item, column + len(str(key)) + 2, parts - 1)) for key, item in value.items()]
        return yaml.MappingNode(tag or _MAP, pairs, flow_style=flow)
    return yaml.SequenceNode(tag or _SEQ, [_node(item, column + 2, parts - 1) for item in value], flow_style=flow)


def _flows(value: object) -> bool:
    """Nothing in it would need quotes to stand between brackets: there an expression became a text."""
    if isinstance(value, YamlNode):
        inner = value.value
        return _flows(inner) if isinstance(inner, dict | list) else value.quoted or not _BRACKETS.search(value.text)
    if isinstance(value, Tagged):
        return _flows(value.value)
    if isinstance(value, Mapping):
        return all(map(_flows, value.values()))
    return not isinstance(value, list | tuple) or all(map(_flows, value))


def _length(value: object) -> int:
    """Characters of a value on one line."""
    if isinstance(value, YamlNode):
        return _length(value.value if isinstance(value.value, dict | list) else value.text)
    if isinstance(value, Tagged):
        return len(value.tag) + 2 + _length(value.value)
    if isinstance(value, Mapping):
        return 2 + sum(len(str(key)) + 4 + _length(item) for key, item in value.items())
    if isinstance(value, Collection) and not isinstance(value, str):
        return 2 + sum(2 + _length(item) for item in value)
    return len(str(value.text if isinstance(value, Quoted) else value))
