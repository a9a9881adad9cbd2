"""Which files are meant, and what stands in them."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from camel_plugin.errors import SpecError
from camel_plugin.files.templating import has_template, load_specification, matching
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text, read_text

Source = Path | str | tuple[str, str]
"""A file, or (label, text) for one in memory."""


@dataclass(frozen=True)
class Reading:
    """How Timeloop files are read.

    Attributes:
        values: of the names that Jinja2 templates use, by name.
        dense: sparse optimizations and the densities of tensors are left out.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    dense: bool = False


AS_THEY_LIE = Reading()

_SPARSE = ("sparse_optimizations", "densities", "commonDensity")
_YAML = (".yaml", ".yml")
_TEMPLATES = (".jinja", ".jinja2")
_BESIDE = "components"


def expand(text: str) -> list[Path]:
    """The files that a user means.

    Args:
        text: a file, a pattern, a folder (its YAML files and those of its folder ``components``), or several of
            these joined by commas.

    Raises:
        SpecError: a folder without YAML files, nothing of that name.
    """
    path = Path(text)
    if path.is_dir():
        found = [each for folder in (path, path / _BESIDE) if folder.is_dir() for each in sorted(folder.iterdir())]
        files = [each for each in found if each.suffix in _YAML]
        if not files:
            raise SpecError("the folder holds no YAML files", file=text)
        return files
    if path.is_file():
        return [path]
    if "," in text:
        return list(dict.fromkeys(file for part in text.split(",") if part for file in expand(part)))
    if matches := [Path(match) for match in matching(text) if Path(match).is_file()]:
        return matches
    raise SpecError("no such file", file=text)


def is_file_name(text: str) -> bool:
    """True if a user who writes this means files, not the name of something registered."""
    return (
        "," in text
        or len(Path(text).parts) > 1
        or Path(text).exists()
        or Path(text).suffix in (*_YAML, *_TEMPLATES)
        or glob.has_magic(text)
    )


def load_sources(sources: Sequence[Source], reading: Reading = AS_THEY_LIE) -> list[YamlNode]:
    """Read all sources; one that is given twice is read once.

    Raises:
        SpecError: one cannot be read, is broken YAML or no mapping, or none is given.
    """
    texts = {
        (source[0] if isinstance(source, tuple) else str(Path(source).resolve())): (
            source if isinstance(source, tuple) else (str(source), read_text(source))
        )
        for source in sources
    }
    if not texts:
        raise SpecError("no file is given")
    trees = [load_specification(text, name, reading.values) for name, text in texts.values()]
    if reading.dense:
        trees = [_dense(tree) for tree in trees]
    for tree in trees:
        if not isinstance(tree.value, dict):
            raise tree.error("holds no specification, which is a mapping with keys such as architecture or problem")
    return trees


def _dense(node: YamlNode) -> YamlNode:
    if isinstance(node.value, dict):
        return replace(node, value={key: _dense(child) for key, child in node.value.items() if key not in _SPARSE})
    if isinstance(node.value, list):
        return replace(node, value=[_dense(child) for child in node.value])
    return node


def top_keys(path: Path) -> set[str] | None:
    """The keys at the top of a YAML file; None where only Jinja2 will tell."""
    text = read_text(path)
    if has_template(text):
        return None
    tree = load_yaml_text(text, str(path))
    return set(tree.value) if isinstance(tree.value, dict) else set()
