"""From any ``nn.Module`` to a :class:`Graph`.

The mechanism is a ``TorchDispatchMode`` over meta tensors. Every call that reaches a kernel passes the mode, whichever
way the module was written (methods, ``torch.nn.functional``, operators, in-place forms, custom ``forward``), in a
small vocabulary (ATen) and with real shapes, so nothing is listed by hand. ``torch.fx`` would stop at data-dependent
Python, ``torch.export`` takes many seconds on deep networks, module hooks alone would miss whatever is not a module;
hooks only supply the module path here. Meta tensors have no storage: nothing is computed or allocated, whatever the
size, and parameters and buffers of the module are read for their shapes only and never changed.

What the graph does not mean: it is one path through the module, that of training mode and this input's shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from camel_plugin.errors import WorkloadError
from camel_plugin.workload.coupling import find_reversible_blocks, without_idle_moves
from camel_plugin.workload.graph import Graph, Node, Shape, Value, ValueRole
from camel_plugin.workload.operators import CREATION, OPERATORS, VIEWS, Operator


def capture(module: nn.Module, input_shape: Sequence[int], name: str | None = None) -> Graph:
    """Trace one forward pass of ``module`` in training mode.

    Args:
        module: any network that takes one floating-point tensor.
        input_shape: of that tensor, batch (one micro-batch) first.
        name: of the network; by default that of the module's class.

    Raises:
        WorkloadError: the module fails on such an input, or returns no floating-point tensor.
    """
    name = name or type(module).__name__
    recorder = _Recorder(module)
    training = {child: child.training for child in module.modules()}
    module.train()
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.get_default_dtype())
    x = torch.empty(tuple(input_shape), device="meta", dtype=dtype)
    recorder.declare(x, "input", ValueRole.INPUT)
    try:
        with recorder.hooks(), torch.device("meta"), sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), recorder:
            result = module(x)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = f" in {recorder.path!r}" if recorder.path else ""
        raise WorkloadError(
            f"{name} ({type(module).__name__}) cannot be traced{where}: {lines[-1]}",
            field="input",
            value=tuple(input_shape),
        ) from error
    finally:
        for child, mode in training.items():
            child.training = mode
    return recorder.graph(name, result)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Turns every dispatched call into a node, and keeps track of which tensor object is which value."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paths = {id(child): path for path, child in module.named_modules()}
        self.leaves = {id(child) for child in module.modules() if not list(child.children())}
        self.children = dict(module.named_modules())
        self.stack: list[tuple[str, bool]] = []
        self.path = ""
        self.called: set[str] = set()
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.names: dict[int, str] = {}
        self.keep: list[Any] = []
        self.meta: dict[int, Tensor] = {}
        self.partial: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.taken = {path for path, child in module.named_modules() if list(child.children())}
        self.ignored: Counter[str] = Counter()
        self.unsupported: Counter[str] = Counter()
        for path, parameter in module.named_parameters():
            self.declare(parameter, path, ValueRole.PARAMETER, parameter.requires_grad)
        self.buffers = {id(buffer) for buffer in module.buffers()}
        for path, buffer in module.named_buffers():
            self.declare(buffer, path, ValueRole.CONSTANT)

    def declare(self, tensor: Tensor, name: str, role: ValueRole, requires_grad: bool = False) -> str:
        """Name a tensor that no node has made (the first name counts if two share it)."""
        if id(tensor) not in self.names:
            self.names[id(tensor)] = name
            self.keep.append(tensor)
            self.values[name] = Value(name, tuple(tensor.shape), role, requires_grad)
        return self.names[id(tensor)]

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Follow which module is running."""

        def enter(module: nn.Module, _: Any) -> None:
            if id(module) in self.paths:
                self.path = self.paths[id(module)]
                self.stack.append((self.path, id(module) in self.leaves))
                self.called.add(self.path)

        def leave(module: nn.Module, *_: Any) -> None:
            if id(module) in self.paths:
                self.stack.pop()
                self.path = self.stack[-1][0] if self.stack else ""

        handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run ``func`` on meta tensors and record it."""
        kwargs = dict(kwargs or {})
        schema = func._schema
        operator = schema.name.partition("::")[2]
        if schema.name.startswith("prim::"):
            return func(*args, **kwargs)
        in_place = operator.endswith("_") and bool(args) and isinstance(args[0], Tensor)
        if in_place and id(args[0]) in self.buffers:
            self.ignored["update of a buffer"] += 1
            return args[0]
        if "device" in kwargs:
            kwargs["device"] = torch.device("meta")
        meta_args, meta_kwargs = tree_map_only(Tensor, self._meta, (args, kwargs))
        result = func(*meta_args, **meta_kwargs)
        arguments = {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)} | kwargs
        self._record(operator, arguments, result, in_place)
        return args[0] if in_place else result

    def _meta(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "meta":
            return tensor
        if id(tensor) not in self.meta:
            self.keep.append(tensor)
            self.meta[id(tensor)] = torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
            )
        return self.meta[id(tensor)]

    def _record(self, operator: str, arguments: dict[str, Any], result: Any, in_place: bool) -> None:
        base = operator if operator in CREATION else operator.rstrip("_")
        results = [r for r in (result if isinstance(result, list | tuple) else [result]) if isinstance(r, Tensor)]
        tensors = [t for t in tree_flatten(arguments)[0] if isinstance(t, Tensor)]
        enlarged = base == "expand" and results and results[0].numel() > tensors[0].numel()
        if base in VIEWS or (base == "expand" and not enlarged):
            self.ignored[base] += 1
            self._alias(results[0], self._name(tensors[0]))
        elif base in CREATION:
            self.ignored[base] += 1
            if not in_place:
                self._constant(results[0])
        elif not any(r.is_floating_point() for r in results) or self._is_constant(base, tensors):
            self.ignored[f"{base} on integers or constants"] += 1
            for r in results:
                self._constant(r)
        elif base in OPERATORS and not (strange := _strange_convolution(arguments)):
            self._add(OPERATORS[base], base, arguments, results, tensors, in_place)
        else:
            label = f"{strange} {base}" if base in OPERATORS else base
            self.unsupported[f"{label} in {self.path or 'the network'}"] += 1
            self._add(Operator("unsupported", ()), base, arguments, results, tensors, in_place)

    def _is_constant(self, base: str, tensors: list[Tensor]) -> bool:
        """Whether an operator computes the same every time: constants only, and nothing random."""
        return base != "bernoulli" and all(self.values[self._name(t)].role is ValueRole.CONSTANT for t in tensors)

    def _add(
        self,
        operator: Operator,
        base: str,
        arguments: dict[str, Any],
        results: list[Tensor],
        tensors: list[Tensor],
        in_place: bool,
    ) -> None:
        if operator.kind == "unsupported":
            operands = tensors
        else:
            picked = [arguments.get(key) for key in operator.operands]
            operands = [t for t in tree_flatten(picked)[0] if isinstance(t, Tensor)]
        inputs = tuple(self._name(t) for t in operands)
        attributes = operator.attributes(arguments)
        kind = operator.kind
        if kind == "matmul" and self.values[inputs[1]].role is ValueRole.PARAMETER:
            kind = "linear"
        if in_place and self._name(tensors[0]) in self.partial:
            self.unsupported[f"{base}_ into a slice in {self.path or 'the network'}"] += 1
        names = operator.results or tuple(f"out{index}" for index in range(len(results)))
        kept = {name: result for name, result in zip(names, results, strict=False) if result.numel()}
        node_name = self._node_name(str(attributes.get("function", kind)))
        outputs = tuple(f"{node_name}.{name}" for name in kept)
        grad = torch.is_grad_enabled()
        needs = any(self.values[i].requires_grad for i in inputs)
        if needs and not grad and any(self.values[i].role is ValueRole.PARAMETER for i in inputs):
            self.unsupported[f"gradient of trainable {node_name}, which runs under no_grad"] += 1
        for output, r in zip(outputs, kept.values(), strict=True):
            self.values[output] = Value(output, tuple(r.shape), ValueRole.ACTIVATION, needs and grad)
            if not in_place:
                self._alias(r, output)
            if kind in ("split", "slice"):
                self.partial.add(output)
        if in_place:
            old = self._name(tensors[0])
            for key in [key for key, name in self.names.items() if name == old]:
                self.names[key] = outputs[0]
        self.nodes.append(
            Node(
                node_name,
                kind,
                inputs,
                tuple(_flat(t) for t in operands),
                outputs,
                tuple(_flat(r) for r in kept.values()),
                attributes,
                self.path,
                tuple(path for path, _ in self.stack),
                grad,
            )
        )

    def _name(self, tensor: Tensor) -> str:
        return self.names[id(tensor)] if id(tensor) in self.names else self._constant(tensor)

    def _constant(self, tensor: Tensor) -> str:
        self.counts["constant"] += 1
        return self.declare(tensor, f"constant{self.counts['constant']}", ValueRole.CONSTANT)

    def _alias(self, tensor: Tensor, name: str) -> None:
        self.keep.append(tensor)
        self.names[id(tensor)] = name

    def _node_name(self, kind: str) -> str:
        path, leaf = self.stack[-1] if self.stack else ("", False)
        base = path if leaf and path else ".".join(filter(None, (path, kind)))
        name = base
        while name in self.taken:
            self.counts[base] += 1
            name = f"{base}_{self.counts[base] + 1}"
        self.taken.add(name)
        return name

    def graph(self, name: str, result: Any) -> Graph:
        """The graph of what was recorded; ``result`` is what the module returned."""
        tensors = [t for t in tree_flatten(result)[0] if isinstance(t, Tensor) and t.is_floating_point()]
        outputs = tuple(dict.fromkeys(self._name(t) for t in tensors))
        if not outputs:
            raise WorkloadError(f"{name} returns no floating-point tensor", value=type(result).__name__)
        nodes = without_idle_moves(self.nodes, outputs)
        used = {value for node in nodes for value in (*node.inputs, *node.outputs)} | {"input", *outputs}
        values = {value: description for value, description in self.values.items() if value in used}
        return Graph(
            name,
            nodes,
            values,
            outputs,
            find_reversible_blocks(nodes, values, self._invertible()),
            tuple(f"{operator}: {count} x" for operator, count in sorted(self.ignored.items())),
            tuple(f"{operator}: {count} x" for operator, count in sorted(self.unsupported.items())),
            self._not_reached(used),
        )

    def _invertible(self) -> dict[str, dict[str, str]]:
        """Modules with an ``inverse`` and the lower-case names of their children."""
        return {
            path: {name.lower(): f"{path}.{name}".lstrip(".") for name, _ in module.named_children()}
            for path, module in self.children.items()
            if callable(getattr(module, "inverse", None))
        }

    def _not_reached(self, used: set[str]) -> tuple[str, ...]:
        """Outermost modules that neither ran, nor hold one that ran or a parameter that was read."""
        alive = set(self.called)
        alive.update(name.rpartition(".")[0] for name in used)
        alive.update(path[:end] for path in list(alive) for end in range(len(path)) if path[end] == ".")
        dead = [path for path in self.children if path and path not in alive]
        return tuple(
            f"{path}: {type(self.children[path]).__name__}"
            for path in dead
            if not any(path.startswith(other + ".") for other in dead)
        )


def _strange_convolution(arguments: dict[str, Any]) -> str:
    """What keeps a convolution from being a two- or one-dimensional forward one, empty if nothing does."""
    if "transposed" not in arguments:
        return ""
    if arguments["transposed"]:
        return "transposed"
    return "" if arguments["input"].dim() <= 4 else "three-dimensional"


def _flat(tensor: Tensor) -> Shape:
    return tuple(int(extent) for extent in tensor.shape)
