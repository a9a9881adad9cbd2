"""The fields of a training recipe, as network files and ``--training KEY=VALUE`` name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from camel_plugin.errors import InputError, UnknownNameError

FIELD = "training"


class Training(BaseModel):
    """``training:`` of a network file; :class:`camel_plugin.workload.network.Network` says what each field means."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schedule: str = "store-all"
    micro_batch: PositiveInt = 1
    optimizer: str = "sgd"
    trainable: list[str] = Field(default_factory=list)
    checkpoint_blocks: PositiveInt | None = None
    checkpoint_bytes: PositiveInt | None = None
    reversible: str = "fused"
    precision: str | dict[str, str] = Field(default_factory=dict)


def read_training(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for one run as arguments of ``load_network``; what is not named is left to the network's file.

    Args:
        settings: field -> value, which may be text. ``precision.activation`` names one kind of tensor; text for
            ``trainable`` lists paths with commas between them.

    Raises:
        UnknownNameError: no such field.
        InputError: a value that the field cannot take.
    """
    given: dict[str, Any] = {}
    for name, value in settings.items():
        key, _, kind = name.partition(".")
        if key not in Training.model_fields or (kind and key != "precision"):
            raise UnknownNameError("setting", name, Training.model_fields, field=FIELD)
        if key == "trainable" and isinstance(value, str):
            value = [path.strip() for path in value.split(",") if path.strip()]
        if key == "precision":
            formats = {kind or "default": value} if isinstance(value, str) else value
            value = {**given.get(key, {}), **formats} if isinstance(formats, Mapping) else formats
        given[key] = list(value) if isinstance(value, tuple) else value
    try:
        checked = Training.model_validate(given, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = f"{FIELD}.{first['loc'][0]}"
        raise InputError(first["msg"], field=field, value=first["input"]) from None
    return checked.model_dump(include=set(given))
