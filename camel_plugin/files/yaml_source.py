"""YAML with positions: safe loading that remembers the line of every key and item.

YAML 1.2 scalars (``1e-9`` is a float, ``on`` and ``N`` are strings), anchors, the merge key ``<<``, and Timeloop's
hierarchical merge key ``<<<`` with its ``!nomerge``. Local tags such as ``!Component`` are kept, never constructed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from camel_plugin.errors import SpecError

Scalar = str | int | float | bool | None

_MERGE, _DEEP_MERGE = "<<", "<<<"
_NODE_LIMIT = 100_000  # aliases of aliases grow exponentially; no specification comes near this


@dataclass(frozen=True)
class YamlNode:
    """A value of a YAML file and where it stands.

    Attributes:
        value: a scalar, a list of nodes or a dict of nodes (keys are the text of the YAML key).
        file: label of the source, its path as a rule.
        line: 1-based line of the key in a mapping, of the item in a list.
        field: dotted path from the top of the file, ``architecture.nodes[2].name``.
        tag: local tag without its ``!``, ``Component`` say, or None.
        quoted: a scalar written in quotes.
        text: a scalar as it is written.
    """

    value: Scalar | list[YamlNode] | dict[str, YamlNode]
    file: str
    line: int
    field: str = ""
    tag: str | None = None
    quoted: bool = False
    text: str = ""

    def plain(self) -> Any:
        """The same as dicts, lists and scalars; tags are dropped."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def at(self, path_of_keys: Sequence[str | int]) -> YamlNode:
        """The node under these keys and indices, or the deepest one above it that exists."""
        node = self
        for key in path_of_keys:
            if isinstance(node.value, dict) and str(key) in node.value:
                node = node.value[str(key)]
            elif isinstance(node.value, list) and isinstance(key, int) and -len(node.value) <= key < len(node.value):
                node = node.value[key]
            else:
                break
        return node

    def error(self, message: str, *, value: object = None, suggestion: str | None = None) -> SpecError:
        """An error that points here."""
        return SpecError(
            message, file=self.file, line=self.line, field=self.field or None, value=value, suggestion=suggestion
        )


Instead = Callable[[YamlNode], YamlNode | None]


def load_yaml(path: Path | str) -> YamlNode:
    """Read a YAML file.

    Raises:
        SpecError: it cannot be read, or is no valid YAML; with file and line.
    """
    return load_yaml_text(read_text(path), str(path))


def read_text(path: Path | str) -> str:
    """The text of a file.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 text (byte {error.start})", file=str(path)) from error


def load_yaml_text(text: str, name: str, instead: Instead = lambda _: None) -> YamlNode:
    """Read YAML text.

    Args:
        text: to be read.
        name: stands for the file in messages.
        instead: what stands in the place of a scalar, if anything.

    Raises:
        SpecError: no valid YAML, a duplicate key, an unknown global tag, or aliases that never end.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        return _Builder(name, instead).build(root, "", 1) if root else YamlNode(None, name, 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        raise SpecError(f"broken YAML: {reason}", file=name, line=mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(f"broken YAML: {error.reason}", file=name, line=line) from error
    except RecursionError as error:
        raise SpecError("broken YAML: nested too deeply", file=name) from error


def joined(trees: Sequence[YamlNode]) -> YamlNode:
    """One tree with the keys of all; a list or mapping that several have is joined."""
    first, *others = trees
    for tree in others:
        first = _merge(first, tree, deep=True)
    return first


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """An anchor that is given again stands for its newest node from there on, as in YAML 1.2."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


RESOLVERS = _Loader.yaml_implicit_resolvers
"""What a plain scalar may be, by its first character."""

_INT = re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_OCTAL = re.compile(r"[-+]?0[0-9]+$")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
for _tag, _pattern, _firsts in (
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    for _first in _firsts:
        _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((f"tag:yaml.org,2002:{_tag}", _pattern))


class _Builder:
    """Turns the composed graph of one file into nodes."""

    def __init__(self, file: str, instead: Instead) -> None:
        self.file = file
        self.instead = instead
        self.open: set[int] = set()
        self.count = 0

    def build(self, node: yaml.Node, field: str, line: int) -> YamlNode:
        self.count += 1
        if self.count > _NODE_LIMIT or id(node) in self.open:
            raise SpecError("aliases never end", file=self.file, line=line, field=field or None)
        self.open.add(id(node))
        try:
            value = self._value(node, field)
        finally:
            self.open.discard(id(node))
        tag = node.tag[1:] if node.tag.startswith("!") else None
        quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        found = YamlNode(value, self.file, line, field, tag, quoted, text)
        return self.instead(found) or found if isinstance(node, yaml.ScalarNode) else found

    def _value(self, node: yaml.Node, field: str) -> Scalar | list[YamlNode] | dict[str, YamlNode]:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, field)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self.build(item, f"{field}[{index}]", item.start_mark.line + 1) for index, item in items]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, field)

    def _scalar(self, node: yaml.ScalarNode, field: str) -> Scalar:
        text: str = node.value
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    if _OCTAL.match(text):
                        raise self._fail("octal in YAML 1.1, decimal in 1.2: leave out the first 0", node, field)
                    return int(text, 0 if text[:2] in ("0x", "0o") else 10)
                case "float":
                    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
                case "str":
                    return text
        except ValueError as error:
            raise self._fail(f"is no {kind}", node, field) from error
        if kind.startswith("!"):
            return text or None
        raise self._fail(f"tag {node.tag!r} is not allowed", node, field)

    def _mapping(self, node: yaml.MappingNode, field: str) -> dict[str, YamlNode]:
        own: dict[str, YamlNode] = {}
        merged: list[tuple[str, YamlNode]] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fail("a key must be a plain word", key_node, field)
            key: str = key_node.value
            line = key_node.start_mark.line + 1
            path = f"{field}.{key}" if field else key
            if key in (_MERGE, _DEEP_MERGE) and key_node.style is None:
                merged.append((key, self._parents(value_node, field, line, deep=key == _DEEP_MERGE)))
            elif key in own:
                raise SpecError(
                    f"duplicate key, first given in line {own[key].line}", file=self.file, line=line, field=path
                )
            else:
                own[key] = self.build(value_node, path, line)
        result = YamlNode(own, self.file, node.start_mark.line + 1, field)
        for merge, parent in merged:
            result = _merge(result, parent, deep=merge == _DEEP_MERGE)
        assert isinstance(result.value, dict)
        return result.value

    def _parents(self, node: yaml.Node, field: str, line: int, *, deep: bool) -> YamlNode:
        """What a merge key names; of several mappings the first goes before the next."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        parents = [self.build(each, field, line) for each in nodes]
        if not parents or not all(isinstance(parent.value, dict) for parent in parents):
            raise self._fail("only mappings can be merged", node, field)
        first, *others = parents
        for other in others:
            first = _merge(first, other, deep=deep)
        return first

    def _fail(self, message: str, node: yaml.Node, field: str) -> SpecError:
        return SpecError(
            message, file=self.file, line=node.start_mark.line + 1, field=field or None, value=str(node.value)[:60]
        )


def _merge(child: YamlNode, parent: YamlNode, *, deep: bool) -> YamlNode:
    """``child`` with what only ``parent`` has; ``deep`` goes into dicts and appends to lists, but for ``!nomerge``."""
    if child.tag == "nomerge":
        return child
    if isinstance(child.value, dict) and isinstance(parent.value, dict):
        merged = dict(child.value)
        for key, value in parent.value.items():
            if key not in merged:
                merged[key] = value
            elif deep:
                merged[key] = _merge(merged[key], value, deep=True)
        return replace(child, value=merged)
    if isinstance(child.value, list) and isinstance(parent.value, list):
        return replace(child, value=child.value + parent.value)
    return child
