"""Recipes as text, ``training:`` of network files and ``--training KEY=VALUE``: fields follow from :class:`Recipe`."""

from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, create_model

from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.files.validated import explained
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.recipe import RECIPE_FIELDS, Recipe

FIELD = "training"
_ELSEWHERE = ("batch", "strict")
"""Fields that stand beside ``training:`` in a file, or on the command line alone."""

_AS_TEXT = {
    int: PositiveInt,
    int | None: PositiveInt | None,
    tuple[str, ...]: list[str],
    Mapping[str, str]: str | dict[str, str],
}
"""Type of a field -> what a file may give it. Words of enums are text, which the recipe itself checks."""


@cache
def training_model() -> type[BaseModel]:
    """``training:`` of a network file; only fields that are set count."""
    hints = get_type_hints(Recipe)
    definitions: dict[str, Any] = {name: (_AS_TEXT.get(hints[name], str), None) for name in _fields()}
    config = ConfigDict(extra="forbid", strict=True)
    model: type[BaseModel] = create_model("Training", __config__=config, **definitions)
    return model


def _fields() -> tuple[str, ...]:
    return tuple(name for name in RECIPE_FIELDS if name not in _ELSEWHERE)


def recipe_values(training: BaseModel) -> dict[str, object]:
    """Field -> value of those that are set; one format for all tensors is the default of every kind."""
    values = training.model_dump(include=training.model_fields_set)
    if isinstance(values.get("precision"), str):
        values["precision"] = {"default": values["precision"]}
    return values


def read_training(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings for one run as fields of a recipe; what is not named is left to the network's file.

    Args:
        settings: field -> value, which may be text. ``precision.activation`` names one kind of tensor; text for
            ``trainable`` lists paths with commas between them.

    Raises:
        UnknownNameError: no such field.
        InputError: a value that the field cannot take.
    """
    given: dict[str, object] = {}
    for name, value in settings.items():
        key, _, kind = name.partition(".")
        if key not in _fields() or (kind and key != "precision"):
            raise UnknownNameError("setting", name, _fields(), field=FIELD)
        if key == "trainable" and isinstance(value, str):
            value = [path.strip() for path in value.split(",") if path.strip()]
        if key == "precision":
            formats = {kind or "default": value} if isinstance(value, str) else value
            before = given.get(key)
            value = (
                {**(before if isinstance(before, Mapping) else {}), **formats}
                if isinstance(formats, Mapping)
                else formats
            )
        given[key] = list(value) if isinstance(value, tuple) else value
    try:
        return recipe_values(training_model().model_validate(given, strict=False))
    except ValidationError as error:
        found = explained(error, YamlNode(None, "", 0, FIELD), training_model(), InputError)
        raise found.placed(field=found.field) from None
