"""Network files, and networks by name: what is trained, on what input, by what recipe. torch waits for the capture."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from camel_plugin.errors import InputError, SpecError, UnknownNameError, WorkloadError, nearest
from camel_plugin.files.yaml_source import YamlNode, load_yaml
from camel_plugin.plugins import load, registered
from camel_plugin.resources import find
from camel_plugin.spec.precision import bits_by_kind
from camel_plugin.spec.recipe import FIELD, Training, read_training
from camel_plugin.workload.capture.inputs import DTYPES, InputTensor
from camel_plugin.workload.lowering.optimizers import OPTIMIZERS
from camel_plugin.workload.lowering.training import REVERSIBLE, SCHEDULES
from camel_plugin.workload.network import Network

if TYPE_CHECKING:
    from torch import nn


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Input(_Strict):
    shape: list[PositiveInt]
    dtype: str = "float"


class _NetworkFile(_Strict):
    description: str = ""
    source: str = ""
    builder: str | None = None
    module: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    input: list[PositiveInt] | dict[str, _Input] = Field(min_length=1)
    input_type: str = "float"
    batch: PositiveInt = 1
    training: Training = Field(default_factory=Training)

    @model_validator(mode="after")
    def _one_origin(self) -> _NetworkFile:
        if (self.builder is None) == (self.module is None):
            raise ValueError("give either builder (a registered network) or module (package.mod:factory)")
        return self


def load_network(
    network: str | nn.Module,
    *,
    input: Sequence[int] | InputTensor | Mapping[str, InputTensor] | None = None,
    input_type: str | None = None,
    batch: int | None = None,
    micro_batch: int | None = None,
    schedule: str | None = None,
    optimizer: str | None = None,
    trainable: Sequence[str] | None = None,
    checkpoint_blocks: int | None = None,
    checkpoint_bytes: int | None = None,
    reversible: str | None = None,
    precision: str | Mapping[str, str] | None = None,
    strict: bool | None = None,
    training: Mapping[str, Any] | None = None,
) -> Network:
    """A network by name, from a network file, or from a module; keyword arguments replace what its file says.

    Args:
        network: a registered network file (``revresnet``), the path of one (``./my.yaml``), a factory
            (``package.mod:factory`` or ``path/to/file.py:factory``, which runs that code), or a module.
        input: extents of one sample, (channels, rows, columns) say, or with their type; of each input by the name of
            its argument where there are several. Needed if no file gives them.
        input_type: ``float``, ``int64``, ``int32`` or ``bool``, of a single input.
        batch: samples of a training step.
        micro_batch: samples that run through the network at a time; divides ``batch``.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        trainable: paths and patterns of what is trained (``classifier``, ``*.adapter``); the rest is frozen.
        checkpoint_blocks: blocks of a checkpoint segment.
        checkpoint_bytes: instead, most bytes of activations and their gradients at any time of a micro-batch.
        reversible: ``fused`` (recomputed branches serve the gradients) or ``generic`` (inverse, then forward again).
        precision: a format for all tensors, or kind of tensor (or ``default``) -> format.
        strict: refuse a network with operators that are not modelled.
        training: more of these arguments by name, values also as text, see :func:`recipe.read_training`.

    Raises:
        UnknownNameError: no such network, schedule, optimizer, builder, format ...
        WorkloadError: a wrong file (with its line), or a recipe that cannot be.
    """
    if isinstance(input, InputTensor):
        input_type, input = input.dtype, input.shape
    root = None
    if not isinstance(network, str):
        base = _bare(type(network).__name__, lambda: network, input)
    elif ":" in network and not network.endswith((".yaml", ".yml")):
        base = _bare(network.rpartition(":")[2], _imported(network, Path.cwd()), input)
    else:
        path = find("workloads", network)
        root = _read(path)
        base = _from_file(root, path)
    given = {
        "input": _extents(input),
        "input_type": input_type,
        "batch": batch,
        "micro_batch": micro_batch,
        "schedule": schedule,
        "optimizer": optimizer,
        "trainable": trainable,
        "checkpoint_blocks": checkpoint_blocks,
        "checkpoint_bytes": checkpoint_bytes,
        "reversible": reversible,
        "precision": precision,
        "strict": strict,
    }
    replaced: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if precision is not None:
        replaced["precision"] = _formats(precision)
    for key, value in read_training(training or {}).items():
        if key in replaced and replaced[key] != value:
            raise InputError("is given twice", field=f"{FIELD}.{key}", value=value, suggestion="give it once")
        whole = key != "precision" or "default" in value
        replaced[key] = value if whole else {**base.precision, **value}
    if "trainable" in replaced:
        replaced["trainable"] = tuple(replaced["trainable"])
    for one, other in (("checkpoint_blocks", "checkpoint_bytes"), ("checkpoint_bytes", "checkpoint_blocks")):
        if one in replaced:
            replaced.setdefault(other, None)
    result = replace(base, **replaced)
    _check(result, _Places(root, frozenset(replaced)))
    return result


def _bare(
    name: str, factory: Callable[[], nn.Module], input_: Sequence[int] | Mapping[str, InputTensor] | None
) -> Network:
    extents = _extents(input_)
    if extents is None:
        raise WorkloadError(
            f"{name} needs the extents of one sample", field="input", suggestion="give input, 3,32,32 say"
        )
    return Network(name, factory, extents)


def _extents(
    given: Sequence[int] | Mapping[str, InputTensor] | None,
) -> tuple[int, ...] | dict[str, InputTensor] | None:
    if given is None:
        return None
    return dict(given) if isinstance(given, Mapping) else tuple(given)


def _formats(precision: str | Mapping[str, str]) -> dict[str, str]:
    return {"default": precision} if isinstance(precision, str) else dict(precision)


_ONLY_UNDER = {"checkpoint_blocks": "checkpoint", "checkpoint_bytes": "checkpoint", "reversible": "reversible"}
"""Settings that are refused for a run whose schedule does not heed them; a file may hold them for another run."""


@dataclass(frozen=True)
class _Places:
    """Where the settings of a network stand: in its file, unless an argument replaced them."""

    root: YamlNode | None
    replaced: frozenset[str]

    def of(self, setting: str) -> dict[str, Any]:
        """``file``, ``line`` and ``field`` of an error about ``setting``."""
        if self.root is None or setting in self.replaced:
            return {"field": setting}
        top = ("input", "input_type", "batch", "builder", "module")
        path = (setting,) if setting in top else ("training", setting)
        return {"file": self.root.file, "line": self.root.line_of(path), "field": ".".join(path)}


def _check(network: Network, places: _Places) -> None:
    inputs = (
        network.input if isinstance(network.input, Mapping) else {"": InputTensor(network.input, network.input_type)}
    )
    for tensor in inputs.values():
        if not tensor.shape or min(tensor.shape) < 1:
            raise WorkloadError("extents must be at least 1", value=tensor.shape, **places.of("input"))
        if tensor.dtype not in DTYPES:
            raise UnknownNameError("type of input", tensor.dtype, DTYPES, **places.of("input_type"))
    if network.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", network.schedule, SCHEDULES, **places.of("schedule"))
    if network.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", network.optimizer, OPTIMIZERS, **places.of("optimizer"))
    if network.reversible not in REVERSIBLE:
        raise UnknownNameError("kind of reversible step", network.reversible, REVERSIBLE, **places.of("reversible"))
    for setting, schedule in _ONLY_UNDER.items():
        if setting in places.replaced and getattr(network, setting) is not None and network.schedule != schedule:
            raise WorkloadError(
                f"says nothing under schedule {network.schedule}", value=getattr(network, setting),
                suggestion=f"choose schedule {schedule}", **places.of(setting),
            )  # fmt: skip
    if network.checkpoint_blocks and network.checkpoint_bytes:
        raise WorkloadError("stands beside checkpoint_bytes; give one of them", **places.of("checkpoint_blocks"))
    for setting in ("checkpoint_blocks", "checkpoint_bytes"):
        if (getattr(network, setting) or 1) < 1:
            raise WorkloadError("must be at least 1", value=getattr(network, setting), **places.of(setting))
    try:
        bits_by_kind(network.precision)
    except UnknownNameError as error:
        kind = "format" if "." in (error.field or "") else "kind of tensor"
        raise UnknownNameError(kind, error.name, error.valid, **places.of("precision")) from None
    if network.batch < 1:
        raise WorkloadError("must be at least 1", value=network.batch, **places.of("batch"))
    if network.micro_batch < 1 or network.batch % network.micro_batch:
        divisors = [d for d in range(1, network.batch + 1) if network.batch % d == 0]
        near = min(divisors, key=lambda d: abs(d - network.micro_batch))
        raise WorkloadError(
            f"must divide batch {network.batch}", value=network.micro_batch, suggestion=f"nearest: {near}",
            **places.of("micro_batch"),
        )  # fmt: skip


def _read(path: Path) -> YamlNode:
    try:
        return load_yaml(path)
    except SpecError as error:
        raise WorkloadError(error.message, file=error.file, line=error.line, field=error.field) from error


def _from_file(root: YamlNode, path: Path) -> Network:
    try:
        content = _NetworkFile.model_validate(root.plain())
    except ValidationError as error:
        raise _located(error, root) from error
    recipe = content.training
    inputs = content.input
    return Network(
        path.stem,
        _factory(content, root, path),
        {name: InputTensor(tuple(tensor.shape), tensor.dtype) for name, tensor in inputs.items()}
        if isinstance(inputs, dict)
        else tuple(inputs),
        content.input_type,
        content.batch,
        recipe.micro_batch,
        recipe.schedule,
        recipe.optimizer,
        tuple(recipe.trainable),
        recipe.checkpoint_blocks,
        recipe.checkpoint_bytes,
        recipe.reversible,
        _formats(recipe.precision),
        symbolic=content.builder is not None,
        description=content.description,
        source=content.source,
        origin=_origin(content),
    )


def _origin(content: _NetworkFile) -> dict[str, Any]:
    """What the module of a file is made from, if it is one of our own."""
    if content.builder is None or not registered("networks")[content.builder].value.startswith(f"{__package__}."):
        return {}
    return {"builder": content.builder, "parameters": content.parameters}


def _located(error: ValidationError, root: YamlNode) -> WorkloadError | UnknownNameError:
    """The first complaint of pydantic, with the line it is about."""
    first = error.errors()[0]
    location = first["loc"]
    field = ".".join(map(str, location)) or None
    line = root.line_of(location)
    if first["type"] == "extra_forbidden":
        model = Training if location[0] == "training" else _NetworkFile
        return UnknownNameError("field", str(location[-1]), model.model_fields, file=root.file, line=line, field=field)
    value = None if first["type"] == "missing" or not location else first["input"]
    return WorkloadError(
        first["msg"].removeprefix("Value error, "), file=root.file, line=line, field=field, value=value
    )


def _factory(content: _NetworkFile, root: YamlNode, path: Path) -> Callable[[], nn.Module]:
    places = _Places(root, frozenset())
    if content.module is not None:
        make = _imported(content.module, path.parent, **places.of("module"))
        return lambda: make(**content.parameters)
    builder = content.builder
    assert builder is not None
    if builder not in registered("networks"):
        raise UnknownNameError("builder", builder, registered("networks"), **places.of("builder"))
    return lambda: load("networks", builder)(**content.parameters)


def _imported(spec: str, folder: Path, **place: Any) -> Callable[..., nn.Module]:
    """The factory named by ``package.mod:factory`` or ``file.py:factory``; its code runs when it is called for."""

    def make(**parameters: Any) -> nn.Module:
        origin, _, name = spec.rpartition(":")
        try:
            module = _module_of(origin, folder)
        except Exception as error:
            raise WorkloadError(f"{origin} cannot be imported: {error}", value=spec, **place) from error
        if not hasattr(module, name):
            names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise WorkloadError(f"{origin} has no {name!r}", value=spec, suggestion=nearest(name, names), **place)
        return getattr(module, name)(**parameters)  # type: ignore[no-any-return]

    if not all(spec.rpartition(":")[::2]):
        raise WorkloadError("must be package.mod:factory or file.py:factory", value=spec, **place)
    return make


def _module_of(origin: str, folder: Path) -> ModuleType:
    """The module, which may import what stands beside it, as Python lets a script do."""
    path = folder / origin
    beside = str((path.parent if origin.endswith(".py") else folder).resolve())
    if beside not in sys.path:
        sys.path.append(beside)
    if not origin.endswith(".py"):
        return importlib.import_module(origin)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
