"""Several files as one specification, merged as Timeloop's front end merges them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camel_plugin.errors import SpecError, nearest
from camel_plugin.files.expressions import resolve
from camel_plugin.files.schema import check_version, entries, items, mapping, text
from camel_plugin.files.templating import load_specification
from camel_plugin.files.yaml_source import YamlNode, read_text

Source = Path | str | tuple[str, str]
"""A file, or (label, text) for one in memory."""

_EXACT = ("architecture", "problem", "variables", "mapper", "sparse_optimizations", "mapspace", "ERT", "ART")
_PARTIAL = ("components", "constraints", "mapping", "globals")  # compound_components, architecture_constraints ...


@dataclass
class Specification:
    """The sections of all sources together; what is absent is empty.

    Attributes:
        architectures: every ``architecture`` section, their nodes follow one another.
        classes: compound component classes by name.
        variables: evaluated.
        targets: constraints given outside the architecture.
        mapping: directives of the mapping.
        problem: the ``problem`` section.
    """

    architectures: list[YamlNode] = field(default_factory=list)
    classes: dict[str, YamlNode] = field(default_factory=dict)
    variables: dict[str, object] = field(default_factory=dict)
    targets: list[YamlNode] = field(default_factory=list)
    mapping: list[YamlNode] = field(default_factory=list)
    problem: YamlNode | None = None


def load_sources(sources: Sequence[Source]) -> list[YamlNode]:
    """Read all sources.

    Raises:
        SpecError: one cannot be read, is broken YAML or no mapping, or none is given.
    """
    if not sources:
        raise SpecError("no file is given")
    texts = [source if isinstance(source, tuple) else (str(source), read_text(source)) for source in sources]
    trees = [load_specification(text, name) for name, text in texts]
    for tree in trees:
        if not isinstance(tree.value, dict):
            raise tree.error("holds no specification, which is a mapping with keys such as architecture or problem")
    return trees


def merge(trees: Sequence[YamlNode]) -> Specification:
    """Merge the trees of all sources.

    Raises:
        SpecError: unknown section, a section that may stand once stands twice, sparse optimizations.
    """
    spec = Specification()
    for key, node in _sections(trees):
        match key:
            case "architecture":
                check_version(entries(node, {"version", "nodes"}, {"nodes"}).get("version"))
                spec.architectures.append(node)
            case "components":
                section = entries(node, {"version", "classes"})
                check_version(section.get("version"))
                _add_classes(spec.classes, items(section.get("classes")))
            case "constraints":
                spec.targets += _targets(node)
            case "mapping":
                spec.mapping += items(node)
            case "problem":
                if spec.problem is not None:
                    raise node.error(f"a problem is given already in {spec.problem.file}:{spec.problem.line}")
                spec.problem = node
            case "variables":
                _add_variables(spec.variables, node)
            case "sparse_optimizations":
                if items(mapping(node).get("targets")):
                    raise node.error("sparse optimizations are not modelled")
    return spec


def _sections(trees: Sequence[YamlNode]) -> Iterator[tuple[str, YamlNode]]:
    for tree in trees:
        for key, node in mapping(tree).items():
            if key in _EXACT:
                yield key, node
                continue
            partial = next((part for part in _PARTIAL if part in key), None)
            if partial is None:
                raise node.error("unknown section", value=key, suggestion=nearest(key, sorted(_EXACT + _PARTIAL)))
            yield partial, node


def _targets(node: YamlNode) -> list[YamlNode]:
    if isinstance(node.value, list):
        return node.value
    section = entries(node, {"version", "targets"})
    check_version(section.get("version"))
    return items(section.get("targets"))


def _add_classes(classes: dict[str, YamlNode], nodes: Sequence[YamlNode]) -> None:
    for node in nodes:
        if isinstance(node.value, list):
            _add_classes(classes, node.value)
            continue
        name = mapping(node).get("name")
        if name is None:
            raise node.error("name is missing")
        if text(name) in classes and classes[text(name)].plain() != node.plain():
            first = classes[text(name)]
            raise node.error(f"this class is defined already in {first.file}:{first.line}", value=text(name))
        classes[text(name)] = node


def _add_variables(variables: dict[str, object], node: YamlNode) -> None:
    for key, child in mapping(node).items():
        if key == "version":
            check_version(child)
            continue
        value = resolve(child, variables)
        if key in variables and variables[key] != value:
            raise child.error(f"this variable has the value {variables[key]!r} already", value=value)
        variables[key] = value
