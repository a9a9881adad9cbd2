"""Timeloop v0.4 problems: ``problem.{instance, shape}``, read and written."""

from collections.abc import Mapping, Sequence

from camel_plugin.errors import nearest
from camel_plugin.files.expressions import resolve
from camel_plugin.files.schema import check_version, entries, flag, integer, items, mapping, refuse, text
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source
from camel_plugin.files.specification import read_specification
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.problem import Dataspace, Problem, Term

_NO_NAMES: Mapping[str, object] = {}


def read_problem(sources: Sequence[Source], reading: Reading = AS_THEY_LIE) -> Problem:
    """The problem in Timeloop v0.4 files; other sections in them are ignored.

    Args:
        sources: files, or (label, text) pairs.
        reading: how the files are read.

    Raises:
        SpecError: none is given, or it is wrong; with file, line and field.
    """
    spec = read_specification(sources, reading)
    if spec.problem is None:
        raise spec.without("problem")
    return parse_problem(spec.problem, spec.variables)


def parse_problem(node: YamlNode, variables: Mapping[str, object] = _NO_NAMES) -> Problem:
    """The problem of a ``problem`` section."""
    found = entries(node, {"version", "instance", "shape", "name"}, {"instance", "shape"})
    check_version(found.get("version"))
    shape = entries(
        found["shape"], {"name", "dimensions", "coefficients", "data_spaces"}, {"dimensions", "data_spaces"}
    )
    dimensions = _unique(items(shape["dimensions"]))
    if not dimensions:
        raise shape["dimensions"].error("a problem needs a dimension")
    instance = mapping(found["instance"])
    refuse(instance, {"densities": "sparse tensors are not modelled; --dense leaves densities out"})
    names = instance_values(found["instance"], variables)
    coefficients = _coefficients(shape.get("coefficients"), instance, names)
    bounds = []
    for dimension in dimensions:
        if dimension not in instance:
            raise found["instance"].error(f"{dimension} is missing, the shape has this dimension")
        bounds.append(integer(instance[dimension], names, minimum=1))
    spaces = items(shape["data_spaces"])
    dataspaces = tuple(_dataspace(space, dimensions, coefficients, variables) for space in spaces)
    _unique([mapping(space)["name"] for space in spaces])
    if not any(dataspace.read_write for dataspace in dataspaces):
        raise shape["data_spaces"].error("no dataspace is written", suggestion="add read_write: true to the output")
    return Problem(
        dimensions=dimensions,
        bounds=tuple(bounds),
        dataspaces=dataspaces,
        shape=text(shape["name"]) if "name" in shape and shape["name"].value else "problem",
        name=text(found["name"]) if "name" in found else "problem",
    )


def instance_values(node: YamlNode, variables: Mapping[str, object]) -> dict[str, object]:
    """What stands in an ``instance``, and the names that its expressions may use."""
    names: dict[str, object] = {**variables, "variables": variables}
    for name, child in mapping(node).items():
        names[name] = resolve(child, names)
    return names


def _unique(nodes: Sequence[YamlNode]) -> tuple[str, ...]:
    names: list[str] = []
    for node in nodes:
        if text(node) in names:
            raise node.error("this name stands twice", value=node.value)
        names.append(text(node))
    return tuple(names)


def _coefficients(
    node: YamlNode | None, instance: Mapping[str, YamlNode], variables: Mapping[str, object]
) -> dict[str, int]:
    values = {}
    for item in items(node):
        found = entries(item, {"name", "default"}, {"name"})
        name = text(found["name"])
        value = instance.get(name) or found.get("default")
        if value is None:
            raise item.error("the instance gives no value and there is no default", value=name)
        values[name] = integer(value, variables, minimum=0)
    return values


def _dataspace(
    node: YamlNode, dimensions: Sequence[str], coefficients: Mapping[str, int], variables: Mapping[str, object]
) -> Dataspace:
    found = entries(node, {"name", "projection", "read_write"}, {"name", "projection"})
    return Dataspace(
        name=text(found["name"]),
        projection=tuple(_rank(rank, dimensions, coefficients) for rank in items(found["projection"])),
        read_write=flag(found.get("read_write"), variables, default=False),
    )


def _rank(node: YamlNode, dimensions: Sequence[str], coefficients: Mapping[str, int]) -> tuple[Term, ...]:
    """One rank: a list of terms ``[dimension]`` or ``[dimension, coefficient]``, or a dimension alone."""
    terms = []
    for term in [node] if isinstance(node.value, str) else items(node):
        words = [term] if isinstance(node.value, str) else items(term)
        if not 1 <= len(words) <= 2:
            raise term.error("a term is [dimension] or [dimension, coefficient]", value=term.plain())
        name = text(words[0])
        if name not in dimensions:
            raise words[0].error("unknown dimension", value=name, suggestion=nearest(name, dimensions))
        terms.append((name, _coefficient(words[1], coefficients) if len(words) == 2 else 1))
    if not terms:
        raise node.error("a rank needs a term")
    return tuple(terms)


def _coefficient(node: YamlNode, coefficients: Mapping[str, int]) -> int:
    if isinstance(node.value, int):
        return integer(node, minimum=0)
    name = text(node)
    if name not in coefficients:
        raise node.error("unknown coefficient", value=name, suggestion=nearest(name, sorted(coefficients)))
    return coefficients[name]


def write_problem(problem: Problem) -> str:
    """The problem as a v0.4 file; coefficients other than 1 are named after their value."""
    values = sorted({coef for space in problem.dataspaces for rank in space.projection for _, coef in rank} - {1})
    spaces = [
        {"name": space.name, "projection": [[_term(term) for term in rank] for rank in space.projection]}
        | ({"read_write": True} if space.read_write else {})
        for space in problem.dataspaces
    ]
    shape = {
        "name": problem.shape,
        "dimensions": problem.dimensions,
        "coefficients": [{"name": _label(value), "default": value} for value in values],
        "data_spaces": spaces,
    }
    instance = {**problem.size, **{_label(value): value for value in values}}
    return dump_yaml({"problem": {"version": 0.4, "instance": instance, "shape": shape}})


def _label(value: int) -> str:
    return f"Coefficient{value}"


def _term(term: Term) -> list[str]:
    dimension, coefficient = term
    return [dimension] if coefficient == 1 else [dimension, _label(coefficient)]
