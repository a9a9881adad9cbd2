"""Records every operator that a module runs, as nodes and values."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from camel_plugin.spec.graph import OperatorNode, Shape, Value, ValueRole
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.workload.capture.autograd_functions import traced_as_plain_code
from camel_plugin.workload.capture.call import Args, Call, Kwargs, flat, tensors_in
from camel_plugin.workload.capture.constants import Constants
from camel_plugin.workload.capture.inverse import inverse_of
from camel_plugin.workload.capture.operators import CREATION, OPERATORS, VIEWS, Operator
from camel_plugin.workload.capture.other_operators import decomposition_of, macs_of, tried_on_ones


@dataclass
class Window:
    """Part of a tensor, seen as a tensor of its own.

    Attributes:
        base: the tensor it is a part of.
        source: value of ``base`` when the part was last taken out or written.
        value: that it had then.
        shape: of the part.
    """

    base: Tensor
    source: str
    value: str
    shape: Shape


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Turns every dispatched call into a node, and keeps track of which tensor object is which value."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paths = {id(child): path for path, child in module.named_modules()}
        self.leaves = {id(child) for child in module.modules() if not list(child.children())}
        self.children: dict[str, nn.Module] = dict(module.named_modules())
        self.stack: list[tuple[str, bool]] = []
        self.path = ""
        self.calls: dict[str, Args] = {}
        self.results: dict[str, object] = {}
        self.nodes: list[OperatorNode] = []
        self.values: dict[str, Value] = {}
        self.names: dict[int, str] = {}
        self.views: defaultdict[str, set[int]] = defaultdict(set)
        self.keep: list[Tensor] = []
        self.meta: dict[int, Tensor] = {}
        self.windows: dict[int, Window] = {}
        self.detached: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.taken = {path for path, child in module.named_modules() if list(child.children())}
        self.ignored: Counter[str] = Counter()
        self.unsupported: dict[str, list[str]] = {}
        self.constants = Constants()
        # Stand-ins without data, for code that compares devices before it calls an operator (recurrent layers do).
        self.parameters: dict[str, Tensor] = {
            path: nn.Parameter(self._meta(parameter.detach()), parameter.requires_grad)
            for path, parameter in module.named_parameters()
        }
        for path, parameter in module.named_parameters():
            self.declare(self.parameters[path], path, ValueRole.PARAMETER, parameter.requires_grad)
            self._alias(parameter, path)
        self.buffers = {id(buffer) for buffer in module.buffers()}
        for path, buffer in module.named_buffers():
            self.declare(buffer, path, ValueRole.CONSTANT)

    def input(self, name: str, given: InputTensor) -> Tensor:
        """An input of the network on the meta device."""
        floating = (p.dtype for p in self.parameters.values() if p.is_floating_point())
        default = next(floating, torch.get_default_dtype())
        dtype = default if given.dtype == "float" else getattr(torch, given.dtype)
        tensor = torch.empty(given.shape, device="meta", dtype=dtype)
        self.declare(tensor, name, ValueRole.INPUT)
        if not dtype.is_floating_point:
            self.constants.ones(tensor)
        return tensor

    def declare(self, tensor: Tensor, name: str, role: ValueRole, requires_grad: bool = False) -> str:
        """Name a tensor that no node has made (the first name counts if two share it)."""
        if id(tensor) not in self.names:
            self._alias(tensor, name)
            self.values[name] = Value(name, tuple(tensor.shape), role, requires_grad)
        return self.names[id(tensor)]

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Everything that runs inside is recorded, on the meta device and with attention taken apart."""
        modes = (torch.device("meta"), sdpa_kernel(SDPBackend.MATH), torch.enable_grad())
        with ExitStack() as stack:
            for handle in (register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)):
                stack.callback(handle.remove)
            for mode in (*modes, traced_as_plain_code(self._note), self):
                stack.enter_context(mode)
            yield

    def _enter(self, module: nn.Module, arguments: Args) -> None:
        if id(module) in self.paths:
            self.path = self.paths[id(module)]
            self.calls.setdefault(self.path, arguments)
            self.stack.append((self.path, id(module) in self.leaves))

    def _leave(self, module: nn.Module, _: object, result: object) -> None:
        if id(module) in self.paths:
            self.results.setdefault(self.paths[id(module)], result)
            self.stack.pop()
            self.path = self.stack[-1][0] if self.stack else ""

    def _note(self, remark: str) -> None:
        self.unsupported.setdefault(remark, []).append(self.path)

    def inverse(self, path: str) -> tuple[tuple[OperatorNode, ...], object]:
        """The nodes of a module's inverse on what its forward pass returned, and what the inverse returned."""
        begin = len(self.nodes)
        self.path = f"{path}.inverse"
        self.stack = [(self.path, False)]
        side = self.calls[path][1:]
        with self.tracing():
            result = inverse_of(self.children[path])(self.results[path], *side)
        self.stack.clear()
        nodes = tuple(self.nodes[begin:])
        del self.nodes[begin:]
        return nodes, result

    def __torch_dispatch__(
        self, func: OpOverload[..., object], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> object:
        """Run ``func`` on meta tensors and record it."""
        call = Call(func, args, kwargs or {})
        if func.namespace == "prim":
            return call.run()
        if call.written is not None and id(call.written) in self.buffers:
            self.ignored["update of a buffer"] += 1
            return call.written
        if call.name == "_local_scalar_dense":
            return self.constants.scalar(*tensors_in(args))
        parts = decomposition_of(call)
        if parts is not None:
            with self:
                return parts(*args, **call.kwargs)
        on_meta = call.on(self._meta, "meta")
        try:
            result = on_meta.run()
        except (NotImplementedError, RuntimeError) as error:
            try:
                result = tried_on_ones(call, self.constants.value)
            except (NotImplementedError, RuntimeError):
                raise error from None
            self._note(f"shape of {call.name}, found by a run on ones")
        self._record(call, result, partial(macs_of, on_meta, result))
        returned = result if call.written is None else call.written
        self.constants.follow(call, returned)
        return returned

    def _meta(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "meta":
            return tensor
        if id(tensor) not in self.meta:
            self.keep.append(tensor)
            self.meta[id(tensor)] = torch.empty_strided(
                tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
            )
        return self.meta[id(tensor)]

    def _record(self, call: Call, result: object, macs: Callable[[], int | None]) -> None:
        base = call.name if call.name in CREATION else call.name.rstrip("_")
        results, tensors = tensors_in(result), tensors_in((call.args, call.kwargs))
        if results and not any(r.numel() for r in results):
            self.ignored[f"{base} without any values"] += 1
            for r in results:
                self._constant(r)
            return
        window = self.windows.get(id(tensors[0])) if tensors else None
        enlarged = base == "expand" and results and results[0].numel() > tensors[0].numel()
        if base == "detach":
            self.ignored[base] += 1
            self._alias(results[0], self.value_of(tensors[0]))
            self.detached.add(id(results[0]))
        elif base in VIEWS or (base == "expand" and not enlarged):
            self.ignored[base] += 1
            self._alias(results[0], self.value_of(tensors[0]))
            if window:
                self.windows[id(results[0])] = window
        elif call.written is not None and window and base in ("copy", "fill_", "zero_"):
            source = call.arguments.get("src")
            self._write_back(window, self.value_of(source) if isinstance(source, Tensor) else None)
        elif base in CREATION:
            self.ignored[base] += 1
            if call.written is None:
                self._constant(results[0])
        elif self._is_free(base, tensors, results):
            self.ignored[f"{base} on integers or constants"] += 1
            for r in results:
                self._constant(r)
        elif base in OPERATORS:
            self._add(OPERATORS[base], call, results)
        else:
            unknown = Operator("unsupported", (), lambda _: {"operator": base, "macs": macs()})
            self._add(unknown, call, results, tensors)

    def _is_free(self, base: str, tensors: list[Tensor], results: list[Tensor]) -> bool:
        """Whether an operator computes the same every time, nothing random, or only counts with integers."""
        read = [(t, self.values[self.value_of(t)].role) for t in tensors]
        if base != "bernoulli" and all(role is ValueRole.CONSTANT for _, role in read):
            return True
        return not any(t.is_floating_point() or t.is_complex() for t in (*tensors, *results))

    def _add(self, operator: Operator, call: Call, results: list[Tensor], operands: list[Tensor] | None = None) -> None:
        arguments, written = call.arguments, call.written
        if operands is None:
            operands = [t for t in tensors_in([arguments.get(key) for key in operator.operands]) if t.numel()]
        inputs = tuple(self.value_of(t) for t in operands)
        attributes = operator.attributes(arguments)
        kind = str(attributes.pop("kind", operator.kind))
        if kind == "matmul" and self.values[inputs[1]].role is ValueRole.PARAMETER:
            kind = "linear"
        names = operator.results or tuple(f"out{index}" for index in range(len(results)))
        kept = {name: result for name, result in zip(names, results, strict=False) if result.numel()}
        shapes = tuple(flat(r) for r in kept.values())
        outputs = self._node(kind, inputs, tuple(flat(t) for t in operands), tuple(kept), shapes, attributes)
        for output, r in zip(outputs, kept.values(), strict=True):
            if written is None:
                self._alias(r, output)
            if kind in ("split", "slice"):
                self.windows[id(r)] = Window(operands[0], inputs[0], output, flat(r))
        if written is not None:
            window = self.windows.get(id(written))
            if window:
                self._write_back(window, outputs[0])
                window.source, window.value = self.value_of(window.base), outputs[0]
            else:
                self._rename(self.value_of(written), outputs[0])

    def _node(
        self,
        kind: str,
        inputs: tuple[str, ...],
        input_shapes: tuple[Shape, ...],
        results: tuple[str, ...],
        output_shapes: tuple[Shape, ...],
        attributes: dict[str, object] | None = None,
    ) -> tuple[str, ...]:
        """Append a node and declare the values that it makes."""
        attributes = attributes or {}
        name = self._node_name(str(attributes.get("function", kind)))
        outputs = tuple(f"{name}.{result}" for result in results)
        grad = torch.is_grad_enabled()
        needs = any(self.values[i].requires_grad for i in inputs)
        if needs and not grad and any(self.values[i].role is ValueRole.PARAMETER for i in inputs):
            self.unsupported.setdefault("gradient of trainable parameters, under no_grad", []).append(name)
        differentiable = needs and grad and kind not in ("compare", "detach")
        for output, shape in zip(outputs, output_shapes, strict=True):
            self.values[output] = Value(output, shape, ValueRole.ACTIVATION, differentiable)
        modules = tuple(path for path, _ in self.stack)
        self.nodes.append(
            OperatorNode(name, kind, inputs, input_shapes, outputs, output_shapes, attributes, self.path, modules, grad)
        )
        return outputs

    def _write_back(self, window: Window, value: str | None) -> None:
        """A window was overwritten with ``value`` (None: a constant): what it looks at changes with it."""
        base = self.value_of(window.base)
        inputs = (base, value) if value else (base,)
        shapes = tuple(self.values[name].shape for name in inputs)
        (whole,) = self._node("slice_write", inputs, shapes, ("out",), shapes[:1])
        outer = self.windows.get(id(window.base))
        if outer:
            self._write_back(outer, whole)
        else:
            self._rename(base, whole)

    def _rename(self, old: str, new: str) -> None:
        """All views of a value that was overwritten show the new one."""
        moved = self.views.pop(old, set())
        self.names.update(dict.fromkeys(moved, new))
        self.views[new] |= moved

    def value_of(self, tensor: Tensor) -> str:
        """The value that a tensor shows now."""
        window = self.windows.get(id(tensor))
        if window:
            source = self.value_of(window.base)
            if source != window.source:  # overwritten since: look again
                whole = self.values[source].shape
                (window.value,) = self._node("slice", (source,), (whole,), ("out",), (window.shape,))
                window.source = source
            return window.value
        if id(tensor) not in self.names:
            return self._constant(tensor)
        if id(tensor) in self.detached:  # only if somebody reads it: autograd detaches what it saves, too
            self.detached.discard(id(tensor))
            source = self.names[id(tensor)]
            if self.values[source].requires_grad:
                shapes = (self.values[source].shape,)
                (kept,) = self._node("detach", (source,), shapes, ("out",), shapes)
                self._alias(tensor, kept)
        return self.names[id(tensor)]

    def _constant(self, tensor: Tensor) -> str:
        self.counts["constant"] += 1
        return self.declare(tensor, f"constant{self.counts['constant']}", ValueRole.CONSTANT)

    def _alias(self, tensor: Tensor, name: str) -> None:
        self.keep.append(tensor)
        self.views[self.names.get(id(tensor), name)].discard(id(tensor))
        self.names[id(tensor)] = name
        self.views[name].add(id(tensor))

    def _node_name(self, kind: str) -> str:
        path, leaf = self.stack[-1] if self.stack else ("", False)
        base = path if leaf and path else ".".join(filter(None, (path, kind)))
        name = base
        while name in self.taken:
            self.counts[base] += 1
            name = f"{base}_{self.counts[base] + 1}"
        self.taken.add(name)
        return name
