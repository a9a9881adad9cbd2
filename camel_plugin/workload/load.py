"""Networks by name, from network files, or from modules. torch waits for the capture."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from camel_plugin.errors import InputError, UnknownNameError, WorkloadError, nearest
from camel_plugin.files.network_file import NetworkFile, placed, read_network_file
from camel_plugin.files.recipe_text import FIELD, read_training
from camel_plugin.plugins import load, registered
from camel_plugin.resources import find
from camel_plugin.spec.inputs import DTYPES, InputTensor
from camel_plugin.spec.recipe import RECIPE_FIELDS, Recipe
from camel_plugin.workload.network import Network

if TYPE_CHECKING:
    from torch import nn

Input = Sequence[int] | InputTensor | Mapping[str, InputTensor]
"""What a network is given: extents of one sample, with their type, or several by the name of their argument."""


def load_network(
    network: str | nn.Module,
    *,
    input: Input | None = None,
    input_type: str | None = None,
    training: Mapping[str, object] | None = None,
    **recipe: object,
) -> Network:
    """A network by name, from a network file, or from a module.

    Args:
        network: a registered network file (``revresnet``), the path of one (``./my.yaml``), a factory
            (``package.mod:factory`` or ``path/to/file.py:factory``, which runs that code), or a module.
        input: extents of one sample, (channels, rows, columns) say, or with their type; of each input by the name of
            its argument where there are several. Needed if no file gives them.
        input_type: ``float``, ``int64``, ``int32`` or ``bool``, of a single input.
        training: fields of the recipe in place of the file's, values also as text, see :func:`read_training`.
        recipe: the same as keyword arguments: ``batch``, ``micro_batch``, ``schedule`` and the other fields of
            :class:`camel_plugin.spec.recipe.Recipe`. None leaves a field to the file.

    Raises:
        UnknownNameError: no such network, field, schedule, optimizer, builder, format ...
        WorkloadError: a wrong file (with its line), or a recipe that cannot be.
    """
    if isinstance(input, InputTensor):
        input_type, input = input.dtype, input.shape
    file = None
    if isinstance(network, str) and (":" not in network or network.endswith((".yaml", ".yml"))):
        file = read_network_file(find("workloads", network))
        name, factory, inputs = file.path.stem, _factory(file), file.input
    elif isinstance(network, str):
        name, factory, inputs = network.rpartition(":")[2], _imported(network, Path.cwd()), ()
    else:
        name, factory, inputs = type(network).__name__, lambda: network, ()
    if input is not None:
        inputs = dict(input) if isinstance(input, Mapping) else tuple(input)
    elif file is None:
        raise WorkloadError(
            f"{name} needs the extents of one sample", field="input", suggestion="give input, 3,32,32 say"
        )
    given = _given(recipe, training or {})
    try:
        _check_inputs(inputs, input_type or (file.content.input_type if file else "float"))
        revised = (file.recipe if file else Recipe()).revised(given)
    except InputError as error:
        if file is None or error.field in given or (error.field == "input" and input is not None):
            raise
        raise placed(error, file.root) from None
    if file is None:
        return Network(name, factory, inputs, input_type or "float", revised)
    return Network(
        name,
        factory,
        inputs,
        input_type or file.content.input_type,
        revised,
        symbolic=file.content.builder is not None,
        origin=_origin(file),
    )


def _given(recipe: Mapping[str, object], training: Mapping[str, object]) -> dict[str, object]:
    """Fields of the recipe that a run sets."""
    given = {name: value for name, value in recipe.items() if value is not None}
    for name in given:
        if name not in RECIPE_FIELDS:
            raise UnknownNameError("setting", name, RECIPE_FIELDS)
    if isinstance(given.get("precision"), str):
        given["precision"] = {"default": given["precision"]}
    for name, value in read_training(training).items():
        if name in given and given[name] != value:
            raise InputError("is given twice", field=f"{FIELD}.{name}", value=value, suggestion="give it once")
        given[name] = value
    return given


def _check_inputs(inputs: tuple[int, ...] | Mapping[str, InputTensor], input_type: str) -> None:
    for tensor in inputs.values() if isinstance(inputs, Mapping) else [InputTensor(inputs, input_type)]:
        if not tensor.shape or min(tensor.shape) < 1:
            raise WorkloadError("extents must be at least 1", field="input", value=tensor.shape)
        if tensor.dtype not in DTYPES:
            raise UnknownNameError("type of input", tensor.dtype, DTYPES, field="input_type")


def _origin(file: NetworkFile) -> dict[str, object]:
    """What the module of a file is made from, if it is one of our own."""
    builder = file.content.builder
    if builder is None or not registered("networks")[builder].value.startswith(f"{__package__}."):
        return {}
    return {"builder": builder, "parameters": file.content.parameters}


def _factory(file: NetworkFile) -> Callable[[], nn.Module]:
    if file.content.module is not None:
        make = _imported(file.content.module, file.path.parent, file)
        return lambda: make(**file.content.parameters)
    builder = file.content.builder
    assert builder is not None
    if builder not in registered("networks"):
        raise placed(UnknownNameError("builder", builder, registered("networks"), field="builder"), file.root)
    return lambda: load("networks", builder)(**file.content.parameters)


def _imported(spec: str, folder: Path, file: NetworkFile | None = None) -> Callable[..., nn.Module]:
    """The factory named by ``package.mod:factory`` or ``file.py:factory``; its code runs when it is called for."""

    def refused(message: str, suggestion: str | None = None) -> InputError:
        error = WorkloadError(message, field="module", value=spec, suggestion=suggestion)
        return placed(error, file.root) if file else error.placed()

    def make(**parameters: object) -> nn.Module:
        origin, _, name = spec.rpartition(":")
        try:
            module = _module_of(origin, folder)
        except Exception as error:
            raise refused(f"{origin} cannot be imported: {error}") from error
        if not hasattr(module, name):
            names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise refused(f"{origin} has no {name!r}", nearest(name, names))
        made: nn.Module = getattr(module, name)(**parameters)
        return made

    if not all(spec.rpartition(":")[::2]):
        raise refused("must be package.mod:factory or file.py:factory")
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
