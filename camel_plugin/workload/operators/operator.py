"""What is known of one operator: how a call becomes a node, and a node operations of the step. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camel_plugin.spec.graph import OperatorNode

if TYPE_CHECKING:
    from camel_plugin.workload.lowering.builder import StepBuilder

Arguments = Mapping[str, object]
Attributes = dict[str, object]
Lower = Callable[["StepBuilder", OperatorNode], None]
"""Emits the operations of a node into a step; where each value lies is for the builder to say."""


@dataclass(frozen=True)
class Operator:
    """One row of the table. Operators of the forward and of the backward pass are rows alike.

    Attributes:
        kind: of the node, and of its vector operation.
        operands: names of the tensor arguments that it reads, in the order of ``OperatorNode.inputs``; absent ones
            are left out. What an operator is given for its shape only is not named. None for all that it is given.
        attributes: further arguments -> attributes of the node; ``kind`` among them replaces that of the node.
        results: names of the results that the node keeps; empty for any number of equal ones.
        ops: element operations of its vector operation; one addition, comparison, product or function value each.
        lower: makes its operations in place of one vector operation.
    """

    kind: str
    operands: tuple[str, ...] | None = ("self",)
    attributes: Callable[[Arguments], Attributes] = lambda _: {}
    results: tuple[str, ...] = ("out",)
    ops: Callable[[OperatorNode], int] = lambda _: 0
    lower: Lower | None = None


def per_output(ops: int) -> Callable[[OperatorNode], int]:
    """So many element operations for each element of the first output."""
    return lambda node: ops * math.prod(node.output_shapes[0])


def per_input(ops: int) -> Callable[[OperatorNode], int]:
    """So many element operations for each element of the first input."""
    return lambda node: ops * math.prod(node.input_shapes[0])


def per_kernel(shapes: str) -> Callable[[OperatorNode], int]:
    """One element operation for each tap of the attribute ``kernel`` and element of the first input or output."""
    return lambda node: math.prod(getattr(node, shapes)[0]) * math.prod(node.extents("kernel"))
