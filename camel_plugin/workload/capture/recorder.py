"""The dispatch mode that turns every call of a forward and a backward pass into a node."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor
from torch._C._autograd import _get_sequence_nr
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import BackwardCFunction
from torch.utils._python_dispatch import TorchDispatchMode

from camel_plugin.spec.graph import OperatorNode, Phase, Shape, Value, ValueRole
from camel_plugin.workload.capture.call import Args, Call, Kwargs, Signature, flat, signature_of, tensors_in
from camel_plugin.workload.capture.constants import Constants
from camel_plugin.workload.capture.other_operators import decomposition_of, macs_of, result_of
from camel_plugin.workload.capture.sandbox import Sandbox
from camel_plugin.workload.capture.scope import Scope
from camel_plugin.workload.capture.tally import multiply_accumulates
from camel_plugin.workload.capture.values import Operand, Values
from camel_plugin.workload.operators import CREATION, RANDOM, Operator

_FREE = frozenset({ValueRole.CONSTANT})
_WEIGHTS = frozenset({ValueRole.PARAMETER, ValueRole.CONSTANT, ValueRole.DERIVED})


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Below autograd, every call passes here with real shapes, in the forward pass and then in autograd's own backward.

    A node of the backward pass belongs to the node of the forward pass whose entry in autograd's graph is being
    executed; both carry autograd's sequence number.
    """

    def __init__(self, scope: Scope, sandbox: Sandbox, operators: Mapping[str, Operator]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.scope = scope
        self.sandbox = sandbox
        self.operators = operators
        self.values = Values()
        self.constants = Constants()
        self.nodes: list[OperatorNode] = []
        self.signatures: dict[str, Signature] = {}
        self.recipes: dict[str, tuple[Signature, tuple[str, ...]]] = {}
        self.ignored: Counter[str] = Counter()
        self.remarks: dict[str, list[str]] = {}
        self.macs: dict[str, int] = {}
        self._backward_from: int | None = None
        self._order: list[int] = []
        self._first: dict[int, str] = {}
        self._last: dict[int, str] = {}
        self._partner: str | None = None
        self._of: str | None = None
        self._views: dict[int, str] = {}
        self._makers: dict[str, str] = {}
        self._group: str | None = None

    def backward_begins(self) -> None:
        """What follows is the backward pass."""
        self._backward_from = _get_sequence_nr()

    @contextmanager
    def apart(self) -> Iterator[list[OperatorNode]]:
        """What runs inside belongs to neither pass; its nodes."""
        before, self._backward_from = self._backward_from, None
        begin, apart = len(self.nodes), list[OperatorNode]()
        try:
            yield apart
        finally:
            self._backward_from = before
            apart.extend(self.nodes[begin:])
            del self.nodes[begin:]
            for node in apart:
                self.macs.pop(node.name, None)

    @property
    def again(self) -> set[str]:
        """Names of the nodes that ran again in the backward pass."""
        return {node.name for node in self.nodes if node.phase is Phase.AGAIN}

    def note(self, remark: str, place: str | None = None) -> None:
        """Something that the reader of a result should know, and where it was seen."""
        self.remarks.setdefault(remark, []).append(self.scope.path if place is None else place)

    def __torch_dispatch__(
        self, func: OpOverload[..., object], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> object:
        """Run ``func`` on tensors without data, and record it."""
        call = Call(func, args, kwargs or {})
        if func.namespace == "prim":
            return call.run()
        if not all(isinstance(tensor, FakeTensor) for tensor in call.operands):
            call = call.on(self._stand_in)
        if call.name == "_local_scalar_dense" and not self.sandbox.noise:
            return self.constants.scalar(*call.operands)
        parts = decomposition_of(call, self.operators)
        if parts is not None:
            with self:
                return parts(*call.args, **call.kwargs)
        result = result_of(call, self.constants.value, self.note)
        self._record(call, result)
        if self.sandbox.noise:
            for tensor in tensors_in(result):
                self.sandbox.count(tensor)
        else:
            self.constants.follow(call, result)
        return result

    def _stand_in(self, tensor: Tensor) -> Tensor:
        """For a tensor with data that is neither parameter nor buffer: an attribute of a module, a literal."""
        if self.sandbox.noise and self.values.holds(tensor):
            return tensor
        stand_in = self.sandbox.stand_in(tensor)
        if stand_in is not tensor and not self.values.holds(stand_in):
            name = self.values.constant(stand_in, _bits(stand_in))
            self.constants.stands_for(stand_in, tensor)
            self.recipes[name] = ((self.constants.literal(stand_in) or name,), ())
        return stand_in

    def _record(self, call: Call, result: object) -> None:
        results = tensors_in(result)
        fresh = [tensor for tensor in results if not self.values.holds(tensor)]
        if results and not any(tensor.numel() for tensor in results):
            self.ignored[f"{call.name} without any values"] += 1
            for tensor in fresh:
                self.values.constant(tensor)
        elif (not fresh and not call.written) or (call.name == "set" or torch.Tag.inplace_view in call.func.tags):
            self.ignored[call.name] += 1
            if torch.is_grad_enabled() and call.operands:
                number = _get_sequence_nr() - 1
                self._views.setdefault(number, self.values.read(call.operands[0]).value)
        elif call.name in CREATION:
            self.ignored[call.name] += 1
            for tensor in call.written:
                self._write(tensor, None)
            for tensor in fresh:
                self._constant(call, tensor, ())
        elif call.name == "_to_copy":
            self.ignored[call.name] += 1
            self.values.alias(fresh[0], call.operands[0])
        else:
            self._run(call, result, results, fresh)

    def _run(self, call: Call, result: object, results: list[Tensor], fresh: list[Tensor]) -> None:
        row = self.operators.get(call.name) or _pointwise(call)
        arguments = call.arguments
        names = row.operands if row else None
        given = call.operands if names is None else tensors_in([arguments.get(key) for key in names])
        if names is None and call.name in _OVERWRITING:
            given = [tensor for tensor in given if not any(tensor is target for target in call.written)]
        operands = [self.values.read(tensor) for tensor in given if tensor.numel()]
        written = [tensor for tensor in call.written if tensor.numel()]
        if fresh and written:  # running statistics beside the result
            self.ignored["update of a buffer"] += 1
            written = []
        macs = multiply_accumulates(call, results)
        if not macs and self._is_free(call, operands, results):
            self.ignored[f"{call.name} on integers or constants"] += 1
            if any(self.values.known[operand.value].role not in _FREE for operand in operands):
                names = tuple(operand.value for operand in operands)
                for tensor in fresh or written:
                    self.recipes[self.values.index(tensor, _bits(tensor))] = (signature_of(call), names)
                return
            bits = min((self.values.known[o.value].bits or 64 for o in operands), default=64)
            for tensor in fresh:
                names = tuple(operand.value for operand in operands)
                self._constant(call, tensor, names, bits if bits < 64 else _bits(tensor))
            for tensor in written:
                names = (*(operand.value for operand in operands), self.values.whole(tensor).value)
                self._write(tensor, None)
                if self.values.covers(tensor):
                    self.recipes[self.values.whole(tensor).value] = (signature_of(call), names)
            return
        if call.name == "copy" and written and not self.values.covers(written[0]):
            self._write(written[0], operands[0].value if operands else None)
            return
        phase = self._where(operands)
        targets: list[object] = [*written] or (list(result) if isinstance(result, list | tuple) else [result])
        names = (row.results if row else ()) or tuple(f"out{index}" for index in range(len(targets)))
        pairs = zip(names, targets, strict=False)
        kept = {name: tensor for name, tensor in pairs if isinstance(tensor, Tensor) and tensor.numel()}
        if row is None:
            kind, attributes = "unsupported", dict[str, object](operator=call.name, macs=macs_of(call, result))
        else:
            attributes = dict(row.attributes(arguments))
            kind = str(attributes.pop("kind", row.kind))
        if kind == "gather" and self.constants.permutes(call):
            attributes["permutes"] = True
        if kind == "matmul" and phase is not Phase.GRADIENT and self.values.known[operands[1].value].role in _WEIGHTS:
            kind = "linear"
        node = self._node(kind, call.name, operands, {n: flat(t) for n, t in kept.items()}, attributes, phase)
        self.signatures[node.name] = signature_of(call, self.sandbox.draw() if call.name in RANDOM else None)
        if macs:
            self.macs[node.name] = macs
        role = self._role(operands, phase)
        for output, tensor in zip(node.outputs, kept.values(), strict=True):
            value = Value(output, flat(tensor), role, self._needs_grad(operands), bits=self._bits_of(call, tensor))
            if written and not self.values.covers(tensor):
                self.values.known[output] = value
                self._write(tensor, output)
            else:
                self.values.declare(tensor, value)
        if kind == "concat":
            tensors = [tensor for tensor in given if tensor.numel()]
            self.values.concatenated(
                results[0], node.outputs[0], tensors, node.number("dim"), stacked=call.name == "stack"
            )

    def _constant(self, call: Call, tensor: Tensor, operands: tuple[str, ...], bits: int | None = None) -> None:
        self.recipes[self.values.constant(tensor, bits)] = (signature_of(call), operands)

    def _is_free(self, call: Call, operands: list[Operand], results: list[Tensor]) -> bool:
        """Whether an operator computes the same every time, nothing random, or only counts with integers."""
        if call.name in RANDOM:
            return False
        if all(self.values.known[operand.value].role in _FREE for operand in operands):
            return True
        return not any(t.is_floating_point() or t.is_complex() for t in (*call.operands, *results))

    def _write(self, tensor: Tensor, value: str | None) -> None:
        """A tensor's memory is overwritten with a value (None: a constant), as a whole or in part."""
        if self.values.covers(tensor):
            if value is None:
                self.values.constant(tensor)
            else:
                self.values.hold(tensor, value)
            return
        base = self.values.whole(tensor)
        roles = [self.values.known[name].role for name in (base.value, *([value] if value else []))]
        if all(role in _FREE for role in roles):
            self.values.changed(tensor)
            return
        operands = [base] + ([Operand(value, flat(tensor), tensor.numel())] if value else [])
        phase = self._where(operands)
        node = self._node("slice_write", "slice_write", operands, {"out": base.shape}, {"part": tensor.numel()}, phase)
        before = self.values.known[base.value]
        version = before.version_of or base.value if before.role is not ValueRole.CONSTANT else None
        role = self._role(operands, phase)
        if role in _WEIGHTS:
            role = ValueRole.ACTIVATION
        made = Value(node.outputs[0], base.shape, role, self._needs_grad(operands), version_of=version)
        self.values.known[made.name] = made
        self.values.hold(tensor, made.name)

    def _role(self, operands: list[Operand], phase: Phase) -> ValueRole:
        roles = {self.values.known[operand.value].role for operand in operands}
        if ValueRole.GRADIENT in roles:
            return ValueRole.GRADIENT
        if roles and roles <= _WEIGHTS:
            return ValueRole.DERIVED
        return ValueRole.ACTIVATION

    def _needs_grad(self, operands: list[Operand]) -> bool:
        return torch.is_grad_enabled() and any(self.values.known[operand.value].requires_grad for operand in operands)

    def _bits_of(self, call: Call, tensor: Tensor) -> int | None:
        """A mask needs one bit, and so does a mask that was scaled."""
        if call.name == "bernoulli":
            return 1
        if call.name in ("mul", "div") and len(call.operands) == 1:
            return self.values.known[self.values.read(call.operands[0]).value].bits
        return _bits(tensor)

    def _where(self, operands: list[Operand]) -> Phase:
        """The phase that is running; of the backward pass partner and group are found, too."""
        if self._backward_from is None:
            return Phase.FORWARD
        entry = torch._C._current_autograd_node()
        number = entry._sequence_nr() if entry is not None else _NO_ENTRY
        own = isinstance(entry, BackwardCFunction)
        if number < _NO_ENTRY:
            made = (self._last if own else self._first).get(number)
            self._of = None if made else self._views.get(number)
            whole = self.values.known[self._of].part_of or self._of if self._of else ""
            self._partner = made or self._makers.get(whole) or self._before(number)
            if number < self._backward_from:
                self._group = self._partner
        depends = any(self.values.known[operand.value].role is ValueRole.GRADIENT for operand in operands)
        return Phase.AGAIN if not depends and (own or torch.is_grad_enabled()) else Phase.GRADIENT

    def _before(self, number: int) -> str | None:
        """The node that ran last before an entry whose own operator costs nothing."""
        place = bisect_right(self._order, number)
        return self._last[self._order[place - 1]] if place else self.nodes[0].name

    def _node(
        self,
        kind: str,
        operator: str,
        operands: list[Operand],
        results: Mapping[str, Shape],
        attributes: Mapping[str, object],
        phase: Phase,
    ) -> OperatorNode:
        """Append a node."""
        if phase is Phase.GRADIENT:
            name = self.scope.unique(f"{self._partner}:{operator}")
        else:
            name = self.scope.name(str(attributes.get("function", kind)))
        backward = self._backward_from is not None
        node = OperatorNode(
            name,
            kind,
            tuple(operand.value for operand in operands),
            tuple(operand.shape for operand in operands),
            tuple(f"{name}.{result}" for result in results),
            tuple(results.values()),
            attributes,
            tuple(operand.seen for operand in operands),
            operator,
            self.scope.path,
            self.scope.modules,
            phase,
            self._partner if backward else None,
            self._group if backward else None,
            self._of if backward else None,
        )
        self.nodes.append(node)
        self._makers.update(dict.fromkeys(node.outputs, name))
        if phase is Phase.FORWARD or (phase is Phase.AGAIN and torch.is_grad_enabled()):
            number = _get_sequence_nr() - 1
            if number not in self._last:
                self._order.append(number)
            self._first.setdefault(number, name)
            self._last[number] = name
        return node


_OVERWRITING = RANDOM | {"copy"}
"""Operators that read nothing of what they write into."""

_NO_ENTRY = 1 << 62
"""Below the number that autograd gives to entries that only accumulate."""


def _pointwise(call: Call) -> Operator | None:
    """The row of an operator that goes element by element and has none of its own."""
    if torch.Tag.pointwise not in call.func.tags:
        return None
    names = [a.name for a in call.func._schema.arguments if tensors_in(call.arguments.get(a.name))]
    ops = 2 if call.name.endswith("_backward") else 1
    return Operator(
        "activation", tuple(names), lambda _: {"function": call.name}, (), lambda n: ops * prod(n.output_shapes[0])
    )


def _bits(tensor: Tensor) -> int | None:
    return 1 if tensor.dtype is torch.bool else None
