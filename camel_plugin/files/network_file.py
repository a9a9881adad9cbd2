"""Network files: plain data of what is trained, on what input, by what recipe. No module is imported for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from camel_plugin.errors import InputError, SpecError, WorkloadError
from camel_plugin.files.recipe_text import FIELD, recipe_values, training_model
from camel_plugin.files.validated import explained
from camel_plugin.files.yaml_source import YamlNode, load_yaml
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.recipe import RECIPE_FIELDS, Recipe


def placed(error: InputError, root: YamlNode) -> InputError:
    """An error about a field of a network file or of its recipe, at its line."""
    field = error.field or ""
    path = (FIELD, field) if field in RECIPE_FIELDS and field != "batch" else (field,)
    return error.placed(file=root.file, line=root.at(path).line, field=".".join(path))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Input(_Strict):
    shape: list[PositiveInt]
    dtype: str = "float"


class NetworkContent(_Strict):
    """A network file as it is written; either ``builder`` or ``module`` (``package.mod:factory``) is given."""

    description: str = ""
    source: str = ""
    builder: str | None = None
    module: str | None = None
    parameters: dict[str, object] = Field(default_factory=dict)
    input: list[PositiveInt] | dict[str, _Input] = Field(min_length=1)
    input_type: str = "float"
    batch: PositiveInt = 1
    training: training_model() = Field(default_factory=training_model())  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_origin(self) -> NetworkContent:
        if (self.builder is None) == (self.module is None):
            raise ValueError("give either builder (a registered network) or module (package.mod:factory)")
        return self


@dataclass(frozen=True)
class NetworkFile:
    """What a network file says.

    Attributes:
        path: of the file.
        root: its content with lines, for messages.
        content: its content, checked.
        recipe: how it is trained.
    """

    path: Path
    root: YamlNode
    content: NetworkContent
    recipe: Recipe

    @property
    def input(self) -> tuple[int, ...] | dict[str, InputTensor]:
        """Extents of one sample; of each input by the name of its argument where there are several."""
        given = self.content.input
        if isinstance(given, list):
            return tuple(given)
        return {name: InputTensor(tuple(tensor.shape), tensor.dtype) for name, tensor in given.items()}


def read_network_file(path: Path) -> NetworkFile:
    """What the file says.

    Raises:
        UnknownNameError: no such field, schedule, optimizer, format ...
        WorkloadError: anything else that is wrong, with its line.
    """
    try:
        root = load_yaml(path)
    except SpecError as error:
        raise WorkloadError(error.message, file=error.file, line=error.line, field=error.field) from error
    try:
        content = NetworkContent.model_validate(root.plain())
    except ValidationError as error:
        raise explained(error, root, NetworkContent, WorkloadError) from error
    try:
        recipe = Recipe.of({"batch": content.batch, **recipe_values(content.training)})
    except InputError as error:
        raise placed(error, root) from error
    return NetworkFile(path, root, content, recipe)
