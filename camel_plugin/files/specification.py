"""Several files as one specification, merged as Timeloop's front end merges them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from camel_plugin.errors import SpecError, nearest
from camel_plugin.files.expressions import resolve
from camel_plugin.files.schema import check_version, entries, items, mapping, named, text
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source, load_sources
from camel_plugin.files.templating import has_template
from camel_plugin.files.v03 import modern
from camel_plugin.files.v03_architecture import as_nodes, is_old
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.files.yaml_text import dump_yaml

_EXACT = ("architecture", "problem", "variables", "mapper", "sparse_optimizations", "mapspace", "ERT", "ART")
_PARTIAL = ("components", "constraints", "mapping", "globals")  # compound_components, architecture_constraints ...

_ORDER = (
    *("globals", "variables", "architecture", "components", "constraints", "problem", "mapping", "mapper", "mapspace"),
    *("sparse_optimizations", "ERT", "ART"),
)


@dataclass(frozen=True)
class Specification:
    """The sections of all sources together; what is absent is empty.

    Attributes:
        sections: name of the front end's -> the section, those of all sources in one.
        architecture: its nodes, outermost first.
        classes: compound component classes by name.
        variables: evaluated.
        targets: constraints given outside the architecture.
        mapping: directives of the mapping.
        problem: the ``problem`` section.
    """

    sections: Mapping[str, YamlNode]
    architecture: Sequence[YamlNode]
    classes: Mapping[str, YamlNode]
    variables: Mapping[str, object]
    targets: Sequence[YamlNode] = field(default_factory=tuple)
    mapping: Sequence[YamlNode] = field(default_factory=tuple)

    @property
    def problem(self) -> YamlNode | None:
        """The ``problem`` section."""
        return self.sections.get("problem")

    @property
    def text(self) -> str:
        """Everything as one plain v0.4 file: no template, anchor or merge key is left."""
        text = dump_yaml({key: self.sections[key] for key in _ORDER if key in self.sections}, parts=5)
        return f"{{% raw %}}{text}{{% endraw %}}" if has_template(text) else text

    def without(self, section: str) -> SpecError:
        """The error that says what is missing."""
        files = ", ".join(dict.fromkeys(node.file for node in self.sections.values()))
        article = "an" if section[0] in "aeiou" else "a"
        hint = f"add a file with {article} {section} section"
        return SpecError(f"no {section} is given", file=files or None, suggestion=hint)


def is_specification(keys: set[str]) -> bool:
    """True if a file with these keys at its top is one of Timeloop's, of any version."""
    return any(key in _EXACT or key in ("arch", "ERT_summary") or _partial(key) or "ignore" in key for key in keys)


def read_specification(sources: Sequence[Source], reading: Reading = AS_THEY_LIE) -> Specification:
    """What all sources say together.

    Raises:
        SpecError: one cannot be read, an unknown section, sections that contradict each other, an older version of
            the format.
    """
    sections: dict[str, YamlNode] = {}
    for key, node in _sections(load_sources(sources, reading)):
        part = _FORMS.get(key, _as_it_is)(node)
        sections[key] = _combined(sections[key], part, (key,)) if key in sections else part
    if "architecture" in sections and is_old(sections["architecture"]):
        sections = as_nodes(sections)

    def listed(section: str, key: str) -> list[YamlNode]:
        return items(sections[section].at([key])) if section in sections else []

    return Specification(
        sections,
        listed("architecture", "nodes"),
        _classes(listed("components", "classes")),
        _variables(sections["variables"]) if "variables" in sections else {},
        listed("constraints", "targets"),
        items(sections.get("mapping")),
    )


def _sections(trees: Sequence[YamlNode]) -> Iterator[tuple[str, YamlNode]]:
    for tree in trees:
        for key, node in mapping(modern(tree)).items():
            section = key if key in _EXACT else _partial(key)
            if section is None:
                raise node.error("unknown section", value=key, suggestion=nearest(key, sorted(_EXACT + _PARTIAL)))
            if node.value is not None:
                yield section, node


def _partial(key: str) -> str | None:
    return next((part for part in _PARTIAL if part in key), None)


def _as_it_is(node: YamlNode) -> YamlNode:
    return node


def _architecture(node: YamlNode) -> YamlNode:
    if is_old(node):
        return node
    found = entries(node, {"version", "nodes"}, {"nodes"})
    check_version(found.get("version"))
    return node


def _components(node: YamlNode) -> YamlNode:
    found = entries(node, {"version", "classes"})
    check_version(found.get("version"))
    classes = list(_flat(items(found.get("classes"))))
    return replace(node, value={**found, "classes": replace(node, value=classes)})


def _flat(nodes: Sequence[YamlNode]) -> Iterator[YamlNode]:
    for node in nodes:
        if isinstance(node.value, list):
            yield from _flat(node.value)
        else:
            yield node


def _constraints(node: YamlNode) -> YamlNode:
    if isinstance(node.value, list):
        return replace(node, value={"targets": node})
    found = entries(node, {"version", "targets"})
    check_version(found.get("version"))
    return replace(node, value={**found, "targets": replace(node, value=items(found.get("targets")))})


def _mapping(node: YamlNode) -> YamlNode:
    return replace(node, value=items(node))


_FORMS: Mapping[str, Callable[[YamlNode], YamlNode]] = {
    "architecture": _architecture,
    "components": _components,
    "constraints": _constraints,
    "mapping": _mapping,
}
_LISTS = {
    ("architecture", "nodes"),
    ("components", "classes"),
    ("constraints", "targets"),
    ("mapping",),
    ("globals", "expression_custom_functions"),
    ("globals", "accelergy_plug_ins"),
    ("ERT", "tables"),
    ("ART", "tables"),
}
"""Lists of several files that follow one another; anything else must be the same wherever it is given."""


_EMPTY: Sequence[object] = (None, "", [], {})


def _combined(first: YamlNode, second: YamlNode, path: tuple[str, ...]) -> YamlNode:
    """Both nodes together.

    Raises:
        SpecError: they contradict each other.
    """
    if isinstance(first.value, dict) and isinstance(second.value, dict):
        both = dict(first.value)
        for key, child in second.value.items():
            both[key] = _combined(both[key], child, (*path, key)) if key in both else child
        return replace(first, value=both)
    if path in _LISTS and isinstance(first.value, list) and isinstance(second.value, list):
        return replace(first, value=first.value + second.value)
    if first.plain() == second.plain() or second.plain() in _EMPTY:
        return first
    if first.plain() in _EMPTY:
        return second
    value = second.value if not isinstance(second.value, dict | list) else None
    raise second.error(f"this is given differently in {first.file}:{first.line}", value=value)


def _classes(nodes: Sequence[YamlNode]) -> dict[str, YamlNode]:
    classes: dict[str, YamlNode] = {}
    for node in nodes:
        name = mapping(node).get("name")
        if name is None:
            raise node.error("name is missing")
        if text(name) in classes and classes[text(name)].plain() != node.plain():
            first = classes[text(name)]
            raise node.error(f"this class is defined already in {first.file}:{first.line}", value=text(name))
        classes[text(name)] = node
    return classes


def _variables(node: YamlNode) -> dict[str, object]:
    variables: dict[str, object] = {}
    for key, child in named(node).items():
        if key == "version":
            check_version(child)
            continue
        variables[key] = resolve(child, variables)
    return variables
