"""Parameters of machines: what files declare, and the ONE place where they and the user's overrides become values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from camel_plugin.errors import SpecError, UnknownNameError, nearest
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text

Value = bool | int | float | str

USER = "user"
"""Source of a value that a user gave without naming one."""

_LARGEST = 1e300  # keeps every product and quotient of a template a finite float


class Declaration(BaseModel):
    """What one file says about one parameter; a field left out is inherited.

    Attributes:
        value: a number, a string or true/false. A number written with a point or an exponent may take any
            number later, one written without only whole ones.
        unit: of the value, empty for a pure number.
        source: publication, tool or derivation that it comes from.
        description: what it is, one or two sentences.
        confirmed: False for an assumed or recalled value; reports name those.
        min: least value allowed.
        max: largest value allowed.
        choices: the only strings allowed.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)

    value: object = None
    unit: str | None = None
    source: str | None = None
    description: str | None = None
    confirmed: bool | None = None
    min: int | float | None = None
    max: int | float | None = None
    choices: list[str] | None = None


@dataclass(frozen=True)
class Layer:
    """The parameters of one file.

    Attributes:
        declarations: by parameter name.
        bare: names whose entry is nothing but a value.
        node: the ``parameters`` mapping as written, for lines.
        extends: the file builds on another one, so that its bare values must name inherited parameters.
    """

    declarations: Mapping[str, Declaration]
    bare: frozenset[str]
    node: YamlNode
    extends: bool


@dataclass(frozen=True)
class Parameter:
    """A resolved parameter; the fields are those of :class:`Declaration`, and the place where it got its value."""

    name: str
    value: Value
    unit: str
    source: str
    description: str
    confirmed: bool
    file: str
    line: int | None

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"{self.name} = {value} {self.unit}".rstrip()


def resolve(layers: Sequence[Layer], overrides: Mapping[str, str | float] | None = None) -> dict[str, Parameter]:
    """The values of all parameters: files from the root of the ``extends`` chain on, then the overrides.

    Args:
        layers: root first.
        overrides: parameter name -> number, or text of a YAML scalar as in ``--set KEY=VALUE``.

    Raises:
        UnknownNameError: an override, or a bare value of a file that extends another, names no parameter.
        SpecError: a value has the wrong type, is out of range, or is missing.
    """
    merged: dict[str, Declaration] = {}
    places: dict[str, tuple[str, int | None]] = {}
    for layer in layers:
        for name, declaration in layer.declarations.items():
            entry = layer.node.at([name])
            if name in layer.bare and layer.extends and name not in merged:
                raise UnknownNameError("parameter", name, merged, file=entry.file, line=entry.line, field=entry.field)
            merged[name] = _merge(merged.get(name), declaration, entry.at(["value"]))
            places[name] = (entry.file, entry.line)
    for name, text in (overrides or {}).items():
        if name not in merged:
            raise UnknownNameError("parameter", name, merged, file="--set", field=name)
        argument = _Argument(load_yaml_text(str(text), f"--set {name}").value, "--set", 1, name)
        merged[name] = _merge(merged[name], Declaration(value=argument.value), argument)
        places[name] = ("--set", None)
    return {name: _finish(name, declaration, *places[name]) for name, declaration in merged.items()}


class _Argument(YamlNode):
    """A value from the command line: it stands in no line of a file."""

    def error(self, message: str, *, value: object = None, suggestion: str | None = None) -> SpecError:
        return SpecError(message, file=self.file, field=self.field, value=value, suggestion=suggestion)


def _merge(parent: Declaration | None, child: Declaration, where: YamlNode) -> Declaration:
    """``parent`` with what ``child`` says; a new value without a source is the user's own."""
    said = {name: getattr(child, name) for name in child.model_fields_set}
    if said.get("value") is not None:
        said = {"source": USER, "confirmed": True, **said}
    merged = (parent or Declaration()).model_copy(update=said)
    if merged.value is None:
        return merged
    return merged.model_copy(update={"value": _checked(merged, _value(parent), where)})


def _value(declaration: Declaration | None) -> Value | None:
    value = declaration.value if declaration else None
    return value if isinstance(value, bool | int | float | str) else None


def _checked(declaration: Declaration, inherited: Value | None, where: YamlNode) -> Value:
    """The value, of the inherited kind and within its range."""
    value = declaration.value
    if not isinstance(value, bool | int | float | str):
        raise where.error("must be a number, a string or true/false", value=_plain(value))
    kind = _kind(value if inherited is None else inherited)
    if _kind(value) != kind:
        hint = "put it in quotes" if kind == "a string" else None
        raise where.error(f"must be {kind}", value=value, suggestion=hint)
    if isinstance(value, str):
        if declaration.choices is not None and value not in declaration.choices:
            raise where.error("is no valid choice", value=value, suggestion=nearest(value, declaration.choices))
        return value
    if isinstance(value, bool):
        return value
    return _number(value, declaration, inherited, where)


def _number(value: int | float, declaration: Declaration, inherited: Value | None, where: YamlNode) -> int | float:
    if not -_LARGEST <= value <= _LARGEST:
        raise where.error("must be finite", value=value)
    if isinstance(inherited, int) and value != int(value):
        raise where.error("must be a whole number", value=value)
    for bound, beyond, word in ((declaration.min, -1, "at least"), (declaration.max, 1, "at most")):
        if bound is not None and (value - bound) * beyond > 0:
            unit = f" {declaration.unit}" if declaration.unit else ""
            raise where.error(f"must be {word} {bound}{unit}", value=value)
    if isinstance(inherited, int | float):
        return type(inherited)(value)
    return value


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a string" if isinstance(value, str) else "a number"


def _plain(value: object) -> object:
    return YamlNode(value, "", 1).plain() if isinstance(value, list | dict) else value


def _finish(name: str, declaration: Declaration, file: str, line: int | None) -> Parameter:
    value = _value(declaration)
    if value is None:
        raise SpecError(
            "has no value",
            file=file,
            line=line,
            field=f"parameters.{name}",
            suggestion=f"give it one under 'parameters' or with --set {name}=...",
        )
    return Parameter(
        name=name,
        value=value,
        unit=declaration.unit or "",
        source=declaration.source or "",
        description=declaration.description or "",
        confirmed=declaration.confirmed is not False,
        file=file,
        line=line,
    )
