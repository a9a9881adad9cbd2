"""Machine files: a template, its parameters, and a machine that they extend."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from camel_plugin import resources
from camel_plugin.errors import SpecError, UnknownNameError
from camel_plugin.files.parameters import Declaration, Layer, Parameter, resolve
from camel_plugin.files.validated import explained
from camel_plugin.files.yaml_source import YamlNode, load_yaml


class _Schema(BaseModel):
    """The top level of a machine file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    extends: str | None = None
    description: str | None = None
    source: str | None = None
    published: str | None = None
    template: str | None = None
    parameters: dict[str, object] = {}


@dataclass(frozen=True)
class MachineFile:
    """A machine file with everything that it extends, resolved.

    Attributes:
        name: stem of the file.
        path: of the file.
        description: what the machine is.
        source: where it was published.
        published: what its authors report of it, printed beside comparisons as a reference.
        template: name of the Timeloop template.
        folder: folder of the file that named the template; searched first.
        parameters: by name, in the order in which the chain declares them.
    """

    name: str
    path: Path
    description: str
    source: str
    published: str
    template: str
    folder: Path
    parameters: Mapping[str, Parameter]

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Every assumed or recalled parameter, in words for the report."""
        return tuple(f"{each} ({each.source})" for each in self.parameters.values() if not each.confirmed)


@dataclass(frozen=True)
class _Written:
    """One file of the chain as written."""

    path: Path
    node: YamlNode
    schema: _Schema
    layer: Layer


def read_machine_file(path: Path, overrides: Mapping[str, str | float] | None = None) -> MachineFile:
    """Read a machine file and all that it extends.

    Args:
        path: of the file.
        overrides: parameter name -> number or text of a YAML scalar.

    Raises:
        SpecError: the file or one it extends is malformed, the chain is circular, or a value is refused.
        UnknownNameError: an unknown field, parameter or machine to extend.
    """
    chain = _chain(path)

    def latest(field: str) -> str:
        return next((value for each in reversed(chain) if (value := getattr(each.schema, field)) is not None), "")

    folder = next((each.path.parent for each in reversed(chain) if each.schema.template is not None), None)
    if folder is None:
        raise chain[-1].node.error("names no template", suggestion="give 'template', or 'extends' a machine")
    return MachineFile(
        name=path.stem,
        path=path,
        description=latest("description"),
        source=latest("source"),
        published=latest("published"),
        template=latest("template"),
        folder=folder,
        parameters=resolve([written.layer for written in chain], overrides),
    )


def _chain(path: Path) -> list[_Written]:
    """The files from the root of the ``extends`` chain to ``path``."""
    chain: list[_Written] = []
    seen: list[Path] = []
    while True:
        seen.append(path.resolve())
        written = _read(path)
        chain.insert(0, written)
        if written.schema.extends is None:
            return chain
        where = written.node.at(["extends"])
        path = _parent(written.schema.extends, path.parent, where)
        if path.resolve() in seen:
            loop = " -> ".join(each.stem for each in (*seen[seen.index(path.resolve()) :], path))
            raise where.error(f"extends itself: {loop}")


def _parent(name: str, folder: Path, where: YamlNode) -> Path:
    beside = folder / name
    if name.endswith((".yaml", ".yml")):
        if beside.is_file():
            return beside
        raise where.error("no such file", value=str(beside))
    try:
        return resources.find("arch_specs", name)
    except UnknownNameError as error:
        raise UnknownNameError(
            "machine", name, error.valid, file=where.file, line=where.line, field=where.field
        ) from error


def _read(path: Path) -> _Written:
    node = load_yaml(path)
    if not isinstance(node.value, dict):
        raise SpecError("is no machine file: a mapping is wanted at its top", file=str(path), line=node.line)
    schema = _validated(_Schema, node)
    entries = node.at(["parameters"])
    declarations: dict[str, Declaration] = {}
    bare: set[str] = set()
    for name in schema.parameters:
        entry = entries.at([name])
        if not name.isidentifier():
            raise entry.error("is no valid parameter name", value=name, suggestion="letters, digits and _")
        if isinstance(entry.value, dict):
            declarations[name] = _validated(Declaration, entry)
        else:
            declarations[name] = Declaration(value=entry.value)
            bare.add(name)
    layer = Layer(declarations, frozenset(bare), entries, extends=schema.extends is not None)
    return _Written(path, node, schema, layer)


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], node: YamlNode) -> Model:
    """``node`` as ``model``; the first mistake becomes an error that points to its line."""
    try:
        return model.model_validate(node.plain())
    except ValidationError as error:
        raise explained(error, node, model) from error
