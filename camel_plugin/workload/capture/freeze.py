"""Train only some of a network's parameters: last layers, adapters, a branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from camel_plugin.errors import WorkloadError, nearest

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def only_trainable(module: nn.Module, patterns: Sequence[str]) -> Iterator[list[str]]:
    """Freeze every parameter that no pattern names, and thaw them again afterwards.

    A pattern is the path of a module or parameter, with ``*`` for any part: ``classifier``, ``*.adapter``,
    ``stage3.*.norm*``. No patterns leave the module as it is.

    Yields:
        Paths of the norms that keep their statistics, as is usual for frozen ones: those with running statistics
        whose parameters are all frozen.

    Raises:
        WorkloadError: a pattern names nothing.
    """
    if not patterns:
        yield []
        return
    before = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    matched: set[str] = set()
    for name, parameter in module.named_parameters():
        ends = [index for index, letter in enumerate(name) if letter == "."]
        paths = [*(name[:end] for end in ends), name]
        hits = [pattern for pattern in patterns if any(fnmatchcase(path, pattern) for path in paths)]
        matched.update(hits)
        parameter.requires_grad_(bool(hits))
    try:
        for pattern in patterns:
            if pattern not in matched:
                names = [path for path, _ in module.named_modules() if path] + list(before)
                raise WorkloadError(
                    "names no parameter", field="trainable", value=pattern, suggestion=nearest(pattern, names)
                )
        yield [
            path
            for path, child in module.named_modules()
            if getattr(child, "running_mean", None) is not None
            and not any(parameter.requires_grad for parameter in child.parameters(recurse=False))
        ]
    finally:
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(before[name])
