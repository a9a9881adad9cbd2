"""How nodes become operations, for all that is not one vector operation. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from camel_plugin.spec.graph import OperatorNode, Phase
from camel_plugin.spec.step import Pass
from camel_plugin.workload.lowering.nests import (
    Nests,
    conv_of,
    forward_nests,
    forward_problem,
    grouped_conv,
    input_grad_nests,
    is_transposed,
    weight_grad_nests,
)

if TYPE_CHECKING:
    from camel_plugin.workload.lowering.builder import StepBuilder


def batch_norm_ops(node: OperatorNode) -> int:
    """Sum; square, sum; scale, shift of the batch's statistics; scale and shift alone of kept ones."""
    return (5 if node.attributes["training"] else 2) * math.prod(node.output_shapes[0])


def vector(b: StepBuilder, node: OperatorNode, kind: str, ops: int) -> None:
    """One vector operation on all inputs and outputs."""
    writes = [b.hold(value) for value in node.outputs]
    before = b.before(writes)
    touched = b.touched(node)
    if node.kind in ("gather", "slice_write"):
        touched[b.tensor(node.inputs[0])] = min(touched[b.tensor(node.inputs[0])], math.prod(node.output_shapes[0]))
    b.emit(
        b.name_of(node), b.pass_of(node), kind, [*b.reads(node), *before], writes, vector_ops=ops,
        partner=b.partner_of(node), touched=touched,
    )  # fmt: skip


def rectifier(b: StepBuilder, node: OperatorNode) -> None:
    """A rectifier, with the mask that its gradient needs where that needs no more."""
    writes = [b.hold(value) for value in node.outputs]
    if node.name in b.masked:
        writes.append(b.hold_mask(node.outputs[0]))
    b.emit(
        b.name_of(node), b.pass_of(node), node.kind, b.reads(node), writes,
        vector_ops=math.prod(node.output_shapes[0]), partner=b.partner_of(node), touched=b.touched(node),
    )  # fmt: skip


def rectifier_gradient(b: StepBuilder, node: OperatorNode) -> None:
    """The gradient where the result was positive."""
    partner = b.graph.by_name.get(node.partner or "")
    if partner is None or partner.name not in b.masked:
        vector(b, node, node.kind, math.prod(node.output_shapes[0]))
        return
    write = b.hold(node.outputs[0])
    reads = [b.tensor(node.inputs[0]), b.mask(partner.outputs[0]), *b.before([write])]
    b.emit(
        b.name_of(node), b.pass_of(node), node.kind, reads, [write],
        vector_ops=math.prod(node.output_shapes[0]), partner=b.partner_of(node), touched=b.touched(node, 0),
    )  # fmt: skip


def slice_write(b: StepBuilder, node: OperatorNode) -> None:
    """What is overwritten of a value: that part alone moves."""
    tensor = b.hold(node.outputs[0])
    reads, part = [b.tensor(name) for name in node.inputs], node.number("part")
    touched = {**b.touched(node), tensor: part}
    there = [name for name in reads if name != tensor or b.value(node.outputs[0]).version_of]
    constant = b.value(node.outputs[0]).version_of is None
    b.emit(
        b.name_of(node), b.pass_of(node), "slice_write", there[1:] if constant else there, [tensor],
        partner=b.partner_of(node), touched=touched,
    )  # fmt: skip


def product(b: StepBuilder, node: OperatorNode) -> None:
    """A multiply-accumulate operator: a product of the forward pass, or one of its gradients."""
    partner = b.graph.by_name.get(node.partner or "")
    if node.phase is Phase.GRADIENT and partner is not None and partner.kind in ("linear", "matmul"):
        index = _gradient_of(node, partner)
        if index is not None:
            saved = node.inputs.index(partner.inputs[1 - index])
            dy = b.tensor(node.inputs[1 - saved])
            other = b.tensor(node.inputs[saved])
            reads, touched = [other, dy], b.touched(node)
            roles = {"Weights": dy, "Inputs": other} if index else {"Weights": other, "Inputs": dy}
            nests = (weight_grad_nests if index else input_grad_nests)(partner)
            _emit_nests(b, replace(node, kind=partner.kind), nests, reads, roles, touched)
            return
    reads = b.reads(node)
    _emit_nests(b, node, forward_nests(node), reads, {"Weights": reads[1], "Inputs": reads[0]}, b.touched(node))


def grouped_product(b: StepBuilder, node: OperatorNode) -> None:
    """Rows of one operand meet the matrix of their group, each group with as many as another."""
    reads = b.reads(node)
    roles = {"Weights": reads[1], "Inputs": reads[0]}
    _emit_nests(b, node, Nests({"": forward_problem(grouped_conv(node))}), reads, roles, b.touched(node))


def _gradient_of(node: OperatorNode, partner: OperatorNode) -> int | None:
    """Which operand of ``partner`` a product of the backward pass makes the gradient of; None if that is unclear."""
    if len(node.inputs) != 2 or conv_of(node).macs != conv_of(partner).macs:
        return None
    found = [index for index in (0, 1) if partner.inputs[1 - index] in node.inputs]
    if len(found) == 2 and partner.inputs[0] == partner.inputs[1]:  # a product with itself
        return None
    return found[0] if len(found) == 1 else None


def _emit_nests(
    b: StepBuilder,
    node: OperatorNode,
    nests: Nests,
    reads: Sequence[str],
    roles: Mapping[str, str],
    touched: Mapping[str, int],
    output: int = 0,
) -> None:
    """One operation a nest, and one that clears what no nest writes."""
    name, pass_ = b.name_of(node, output), b.pass_of(node, output)
    write = b.hold(node.outputs[output])
    before = b.before([write])
    roles = {**roles, "Outputs": write}
    partner = b.partner_of(node)
    if nests.untouched:
        b.emit(
            f"{name}.zeros", pass_, "fill", before, [write], vector_ops=nests.untouched, partner=partner or node.name
        )
    for suffix, problem in nests.problems.items():
        b.emit(
            name + suffix, pass_, node.kind, [*reads, *before], [write], problem=problem, roles=roles,
            partner=partner or (node.name if suffix else None), touched=touched,
        )  # fmt: skip


def convolution_gradient(b: StepBuilder, node: OperatorNode) -> None:
    """The gradients of bias, kernel and input that were asked for, the input's last: it may then be overwritten."""
    dy_shape, x_shape, w_shape = node.input_shapes
    forward = OperatorNode(
        node.name, node.kind, (), (x_shape, w_shape), (), (dy_shape,), node.attributes, partner=node.partner
    )
    made = {name.rpartition(".")[2]: index for index, name in enumerate(node.outputs)}
    dy, x, weight = b.reads(node)
    if "bias_grad" in made:
        index = made["bias_grad"]
        write = b.hold(node.outputs[index])
        b.emit(
            b.name_of(node, index), b.pass_of(node, index), "reduce", [dy, *b.before([write])], [write],
            vector_ops=math.prod(dy_shape), partner=b.partner_of(node), touched=b.touched(node, 0),
        )  # fmt: skip
    if "weight_grad" in made:
        kernel, image = (x, dy) if is_transposed(node) else (dy, x)
        roles = {"Weights": kernel, "Inputs": image}
        _emit_nests(b, node, weight_grad_nests(forward), [x, dy], roles, b.touched(node, 0, 1), made["weight_grad"])
    if "input_grad" in made:
        roles = {"Weights": weight, "Inputs": dy}
        _emit_nests(b, node, input_grad_nests(forward), [weight, dy], roles, b.touched(node, 0, 2), made["input_grad"])


def norm_gradient(parameter_ops: int, input_ops: int) -> Callable[[StepBuilder, OperatorNode], None]:
    """The gradients of a norm's parameters in one operation, then that of its input, so many operations an element."""

    def rule(b: StepBuilder, node: OperatorNode) -> None:
        elements = math.prod(node.input_shapes[0])
        names = {name.rpartition(".")[2]: index for index, name in enumerate(node.outputs)}
        weighted = bool(node.attributes["weighted"])
        data = [name for index, name in enumerate(b.reads(node)) if not (weighted and index == 2)]
        weight = b.reads(node, 2) if weighted else []
        sums = [index for name, index in names.items() if name != "input_grad"]
        if sums:
            writes = [b.hold(node.outputs[index]) for index in sums]
            b.emit(
                f"{node.partner}:weight_grad", Pass.WEIGHT_GRAD, node.kind, [*data, *b.before(writes)], writes,
                vector_ops=parameter_ops * elements, partner=b.partner_of(node), touched=b.touched(node, 0, 1),
            )  # fmt: skip
        if "input_grad" not in names:
            return
        index = names["input_grad"]
        name, pass_, write = b.name_of(node, index), b.pass_of(node, index), b.hold(node.outputs[index])
        if node.kind == "batch_norm" and not node.attributes["training"]:
            reads, ops = [data[0], *weight], elements
        else:
            # The sums over dY that dX needs are those of the parameters' gradients where these are made.
            reads, ops = [*data, *weight], elements * (input_ops if sums else input_ops + parameter_ops)
        b.emit(
            name, pass_, node.kind, [*reads, *b.before([write])], [write], vector_ops=ops,
            partner=b.partner_of(node), touched=b.touched(node, 0, 1),
        )  # fmt: skip

    return rule
