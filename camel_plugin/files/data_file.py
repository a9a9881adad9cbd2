"""Frozen dataclasses as YAML and back: one form for steps, plans, tasks and mappings, whatever they hold."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from pydantic import ValidationError

from camel_plugin.cache import adapter
from camel_plugin.errors import SpecError
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text
from camel_plugin.files.yaml_text import dump_yaml

T = TypeVar("T")


def write_data(value: object) -> str:
    """A dataclass as YAML text; :func:`read_data` makes an equal one of it."""
    return dump_yaml(adapter(type(value)).dump_python(value))


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
