"""Network files, and networks by name: what is trained, on what input, by what recipe. torch waits for the capture."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from camel_plugin.arch.v04.yaml_source import YamlNode, load_yaml
from camel_plugin.errors import InputError, SpecError, UnknownNameError, WorkloadError, nearest
from camel_plugin.plugins import load, registered
from camel_plugin.resources import find
from camel_plugin.workload.graph import Graph
from camel_plugin.workload.optimizers import OPTIMIZERS
from camel_plugin.workload.step import Step
from camel_plugin.workload.training import SCHEDULES, lower

if TYPE_CHECKING:
    from torch import nn


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Training(_Strict):
    schedule: str = "store-all"
    micro_batch: PositiveInt = 1
    optimizer: str = "sgd"


class _NetworkFile(_Strict):
    description: str = ""
    source: str = ""
    builder: str | None = None
    module: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    input: list[PositiveInt] = Field(min_length=1)
    batch: PositiveInt = 1
    training: _Training = Field(default_factory=_Training)

    @model_validator(mode="after")
    def _one_origin(self) -> _NetworkFile:
        if (self.builder is None) == (self.module is None):
            raise ValueError("give either builder (a registered network) or module (package.mod:factory)")
        return self


@dataclass(frozen=True)
class Network:
    """A network with its training recipe.

    Attributes:
        name: in results.
        factory: builds the module; called once, when the graph is first asked for.
        input: extents of one sample.
        batch: samples of a training step.
        micro_batch: samples that run through the network at a time.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        optimizer: see ``optimizers.OPTIMIZERS``.
        description: of the network.
        source: where its definition was published.
    """

    name: str
    factory: Callable[[], nn.Module]
    input: tuple[int, ...]
    batch: int = 1
    micro_batch: int = 1
    schedule: str = "store-all"
    optimizer: str = "sgd"
    description: str = ""
    source: str = ""

    @cached_property
    def graph(self) -> Graph:
        """The forward pass of one micro-batch (imports torch, runs the network's code).

        Raises:
            WorkloadError: the network cannot be built or traced.
        """
        from camel_plugin.workload.capture import capture

        try:
            module = self.factory()
        except InputError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise WorkloadError(f"{self.name} cannot be built: {lines[-1]}", field="parameters") from error
        return capture(module, (self.micro_batch, *self.input), self.name)

    def step(self) -> Step:
        """The training step under this recipe.

        Raises:
            WorkloadError: see :func:`camel_plugin.workload.training.lower`.
        """
        return lower(
            self.graph,
            schedule=self.schedule,
            batch=self.batch,
            micro_batch=self.micro_batch,
            optimizer=self.optimizer,
        )


def load_network(
    network: str | nn.Module,
    *,
    input: Sequence[int] | None = None,
    batch: int | None = None,
    micro_batch: int | None = None,
    schedule: str | None = None,
    optimizer: str | None = None,
) -> Network:
    """A network by name, from a network file, or from a module; keyword arguments replace what its file says.

    Args:
        network: a registered network file (``revresnet``), the path of one (``./my.yaml``), a factory
            (``package.mod:factory`` or ``path/to/file.py:factory``, which runs that code), or a module.
        input: extents of one sample, (channels, rows, columns) say; needed if no file gives them.
        batch: samples of a training step.
        micro_batch: samples that run through the network at a time; divides ``batch``.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``adamw``.

    Raises:
        UnknownNameError: no such network, schedule, optimizer or builder.
        WorkloadError: a wrong file (with its line), or a recipe that cannot be.
    """
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
        "input": tuple(input) if input is not None else None,
        "batch": batch,
        "micro_batch": micro_batch,
        "schedule": schedule,
        "optimizer": optimizer,
    }
    replaced = {key: value for key, value in given.items() if value is not None}
    result = replace(base, **replaced)  # type: ignore[arg-type]
    _check(result, _Places(root, frozenset(replaced)))
    return result


def _bare(name: str, factory: Callable[[], nn.Module], input_: Sequence[int] | None) -> Network:
    if input_ is None:
        raise WorkloadError(
            f"{name} needs the extents of one sample", field="input", suggestion="give input, 3,32,32 say"
        )
    return Network(name, factory, tuple(input_))


@dataclass(frozen=True)
class _Places:
    """Where the settings of a network stand: in its file, unless an argument replaced them."""

    root: YamlNode | None
    replaced: frozenset[str]

    def of(self, setting: str) -> dict[str, Any]:
        """``file``, ``line`` and ``field`` of an error about ``setting``."""
        if self.root is None or setting in self.replaced:
            return {"field": setting}
        path = (setting,) if setting in ("input", "batch", "builder", "module") else ("training", setting)
        return {"file": self.root.file, "line": self.root.line_of(path), "field": ".".join(path)}


def _check(network: Network, places: _Places) -> None:
    if not network.input or any(extent < 1 for extent in network.input):
        raise WorkloadError("extents must be at least 1", value=network.input, **places.of("input"))
    if network.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", network.schedule, SCHEDULES, **places.of("schedule"))
    if network.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", network.optimizer, OPTIMIZERS, **places.of("optimizer"))
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
    training = content.training
    return Network(
        path.stem,
        _factory(content, root, path),
        tuple(content.input),
        content.batch,
        training.micro_batch,
        training.schedule,
        training.optimizer,
        content.description,
        content.source,
    )


def _located(error: ValidationError, root: YamlNode) -> WorkloadError | UnknownNameError:
    """The first complaint of pydantic, with the line it is about."""
    first = error.errors()[0]
    location = first["loc"]
    field = ".".join(map(str, location)) or None
    line = root.line_of(location)
    if first["type"] == "extra_forbidden":
        model = _Training if location[0] == "training" else _NetworkFile
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
    if not origin.endswith(".py"):
        return importlib.import_module(origin)
    spec = importlib.util.spec_from_file_location(Path(origin).stem, folder / origin)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
