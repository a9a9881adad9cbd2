"""Runs the operations of a step on real float64 tensors, each by its textbook formula.

A tensor is thrown away after its last reader, and an operation sees nothing but what it says that it reads.
"""

import torch
from torch.nn import functional

from camel_plugin.spec.step import Pass, TensorKind

EPS = 1e-5


def run(step, graph, given, rate):
    """The tensors that outlive the step, by name.

    Args:
        step: micro-batch = batch.
        graph: the step's network.
        given: parameters, ``input`` and ``labels``.
        rate: of SGD.
    """
    memory = dict(given)
    last = {name: index for index, operation in enumerate(step.operations) for name in operation.reads}
    nodes = {node.name: node for node in graph.nodes}
    for index, operation in enumerate(step.operations):
        node = nodes.get(operation.partner or operation.name)
        reads = [memory[name] for name in operation.reads]
        before = [memory.get(name) for name in operation.writes]
        results = _execute(operation, node, reads, before, graph, rate)
        for name, result in zip(operation.writes, results, strict=True):
            assert tuple(result.shape) == step.tensors[name].shape, (operation.name, name)
            memory[name] = result
        for name in [*operation.reads, *operation.writes]:
            persistent = step.tensors[name].kind in (TensorKind.WEIGHT, TensorKind.OPTIMIZER_STATE)
            if last.get(name, -1) <= index and not persistent:
                memory.pop(name, None)
    return memory


def _execute(operation, node, reads, before, graph, rate):
    kind, pass_ = operation.kind, operation.pass_
    if pass_ is Pass.UPDATE:
        weight, gradient = reads
        return [weight - rate * gradient]
    if kind == "softmax_cross_entropy":
        if pass_ is Pass.FORWARD:
            return [functional.softmax(reads[0], -1)]
        probabilities, labels = reads
        return [(probabilities - functional.one_hot(labels, probabilities.shape[-1])) / len(labels)]
    if pass_ is Pass.FORWARD or (pass_ is Pass.RECONSTRUCT and kind == node.kind):
        return _forward(kind, node, reads)
    if kind == "sub":  # reconstruct
        return [reads[0] - reads[1]]
    if kind == "split":
        sizes = [shape[node.attributes["dim"]] for shape in _part_shapes(node)]
        return list(reads[0].split(sizes, node.attributes["dim"]))
    if kind == "concat":
        return [torch.cat(reads, node.attributes["dim"])]
    if kind == "fill":
        return [torch.full(graph.values[node.inputs[0]].shape, 0.0, dtype=torch.float64)]
    if kind == "add":
        return [reads[0] + reads[1]]
    return _backward(operation, node, reads, before, graph)


def _part_shapes(node):
    return node.output_shapes if node.kind == "split" else node.input_shapes


def _forward(kind, node, reads):
    if kind == "conv2d":
        bias = reads[2] if len(reads) > 2 else None
        a = node.attributes
        return [functional.conv2d(reads[0], reads[1], bias, a["stride"], a["padding"], a["dilation"], a["groups"])]
    if kind == "linear":
        x = reads[0].reshape(node.input_shapes[0])
        return [x @ reads[1].T + (reads[2] if len(reads) > 2 else 0)]
    if kind == "batch_norm":
        x, weight, bias = reads
        mean = x.mean((0, 2, 3))
        rstd = (x.var((0, 2, 3), unbiased=False) + EPS).rsqrt()
        normal = (x - _c(mean)) * _c(rstd)
        return [normal * _c(weight) + _c(bias), mean, rstd]
    if kind == "relu":
        return [reads[0].clamp(min=0)]
    if kind == "add":
        return [reads[0] + reads[1]]
    if kind == "concat":
        return [torch.cat(reads, node.attributes["dim"])]
    if kind == "split":
        sizes = [shape[node.attributes["dim"]] for shape in node.output_shapes]
        return list(reads[0].split(sizes, node.attributes["dim"]))
    if kind == "avg_pool":
        return [functional.avg_pool2d(reads[0], node.attributes["kernel"])]
    if kind == "pad":
        front = (node.output_shapes[0][1] - node.input_shapes[0][1]) // 2
        back = node.output_shapes[0][1] - node.input_shapes[0][1] - front
        return [functional.pad(reads[0], (0, 0, 0, 0, front, back))]
    assert kind == "reduce", kind
    return [reads[0].mean((2, 3)).reshape(node.output_shapes[0])]


def _c(v):
    return v[None, :, None, None]


def _backward(operation, node, reads, before, graph):
    kind, pass_ = operation.kind, operation.pass_
    accumulated = [name in operation.reads for name in operation.writes]
    if kind == "conv2d":
        a = node.attributes
        geometry = (a["stride"], a["padding"], a["dilation"], a["groups"])
        if pass_ is Pass.WEIGHT_GRAD:
            x, dy = reads[:2]
            dw = torch.nn.grad.conv2d_weight(x, node.input_shapes[1], dy, *geometry)
            return [dw + before[0] if accumulated[0] else dw]
        weight, dy = reads
        dx = torch.nn.grad.conv2d_input(node.input_shapes[0], weight, dy, *geometry)
        return [_of_phase(dx, before[0], operation.name, a)]
    if kind == "linear":
        if pass_ is Pass.WEIGHT_GRAD:
            x, dy = reads[:2]
            dw = dy.T @ x.reshape(node.input_shapes[0])
            return [dw + before[0] if accumulated[0] else dw]
        weight, dy = reads
        return [(dy @ weight).reshape(graph.values[node.inputs[0]].shape)]
    if kind == "reduce":
        return [reads[0].sum([axis for axis in range(reads[0].ndim) if axis != 1])]
    if kind == "broadcast":
        shape = node.input_shapes[0]
        return [reads[0].reshape(*shape[:2], 1, 1).expand(shape) / (shape[2] * shape[3])]
    if kind == "relu":
        dy, out = reads
        return [dy * (out > 0)]
    if kind == "avg_pool":
        k = node.attributes["kernel"][0]
        return [reads[0].repeat_interleave(k, 2).repeat_interleave(k, 3) / k**2]
    if kind == "slice":
        front = (node.output_shapes[0][1] - node.input_shapes[0][1]) // 2
        return [reads[0][:, front : front + node.input_shapes[0][1]]]
    assert kind == "batch_norm", kind
    dy, x, mean, rstd = reads[:4]
    normal = (x - _c(mean)) * _c(rstd)
    d_weight, d_bias = (dy * normal).sum((0, 2, 3)), dy.sum((0, 2, 3))
    if pass_ is Pass.WEIGHT_GRAD:
        sums = [d_weight, d_bias]
        return [s + b if again else s for s, b, again in zip(sums, before, accumulated, strict=True)]
    count = x.numel() / x.shape[1]
    return [_c(rstd * reads[4]) * (dy - _c(d_bias) / count - normal * _c(d_weight) / count)]


def _of_phase(dx, before, name, attributes):
    """Only the pixels of the phase that a name such as ``conv:input_grad.0_1`` speaks of."""
    suffix = name.rpartition("input_grad")[2].removeprefix(".")
    if "_" not in suffix:
        return dx
    result = torch.full_like(dx, float("nan")) if before is None else before.clone()
    (sh, sw), (ph, pw) = attributes["stride"], attributes["padding"]
    row, column = map(int, suffix.split("_"))
    rows = [h for h in range(dx.shape[2]) if (h + ph) % sh == row]
    columns = [w for w in range(dx.shape[3]) if (w + pw) % sw == column]
    for h in rows:
        result[:, :, h, columns] = dx[:, :, h, columns]
    return result
