"""Frozen dataclasses as YAML and back: one form for steps, plans, tasks and mappings, whatever they hold."""

from typing import TypeVar

from pydantic import ValidationError

from camel_plugin.cache import adapter
from camel_plugin.files.validated import explained
from camel_plugin.files.yaml_source import load_yaml_text
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
        return adapter(kind).validate_python(root.plain())
    except ValidationError as error:
        raise explained(error, root) from error
