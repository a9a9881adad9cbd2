"""From any ``nn.Module`` to a :class:`Graph` of its forward and backward pass.

The mechanism is a ``TorchDispatchMode`` over tensors without data, through one forward pass and autograd's own backward
pass. Every call that reaches a kernel passes the mode, whichever way the module was written, in a small vocabulary
(ATen) and with real shapes. The backward pass is not derived from the forward pass but is the one that autograd runs:
views, writes in place, constants, functions with a backward pass of their own and gradients taken inside of the forward
pass are what they are in training, with nothing listed by hand. A functionalised joint graph (AOTAutograd's) would
show the same calls, but loses the module paths, the identity of memory and which node of the forward pass a call of the
backward pass belongs to; ``torch.fx`` stops at data-dependent Python, ``torch.export`` takes many seconds on deep
networks.

What the graph does not mean: it is one path through the module, that of training mode and this input's shape.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedParameter

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import Coupling, Graph, OperatorNode, Phase, Value, ValueRole
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.workload.capture.call import tensors_in
from camel_plugin.workload.capture.inverse import inverse_of
from camel_plugin.workload.capture.own_backward import merged
from camel_plugin.workload.capture.own_inverse import declared, invertible, why_not
from camel_plugin.workload.capture.recorder import Recorder
from camel_plugin.workload.capture.sandbox import SMALL, Sandbox
from camel_plugin.workload.capture.scope import Scope
from camel_plugin.workload.lowering.couplings import find_couplings
from camel_plugin.workload.lowering.coverage import left_out, notes
from camel_plugin.workload.lowering.moves import without_idle_moves
from camel_plugin.workload.operators import operators


def capture(
    module: nn.Module,
    inputs: Sequence[int] | InputTensor | Mapping[str, InputTensor],
    name: str | None = None,
    *,
    evaluating: Collection[str] = (),
) -> Graph:
    """Trace one forward and backward pass of ``module`` in training mode; the module stays as it was.

    Args:
        module: any network.
        inputs: extents of its only input, batch (one micro-batch) first; that input with its type; or every input by
            the name of its argument.
        name: of the network; by default that of the module's class.
        evaluating: paths of modules that run in evaluation mode.

    Raises:
        WorkloadError: the module fails on such an input, or returns no floating-point tensor.
    """
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    name = name or type(module).__name__
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
        raise WorkloadError(f"{name} has lazy parameters without a shape", suggestion="call it on some input first")
    given = inputs if isinstance(inputs, InputTensor | Mapping) else InputTensor(tuple(inputs))
    named = given if isinstance(given, Mapping) else {"input": given}
    trace = _Trace(module)
    try:
        try:
            trace.run(given, evaluating)
        except Exception as error:
            if not _is_small(module, named):
                raise
            again = _Trace(module, noise=True)
            try:
                again.run(given, evaluating)
            except Exception:
                raise error from None
            trace = again
            trace.recorder.note("path that depends on data, traced on random numbers", "")
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = f" in {trace.scope.path!r}" if trace.scope.path else ""
        raise WorkloadError(
            f"{name} ({type(module).__name__}) cannot be traced{where}: {lines[-1]}",
            field="input",
            value={key: tensor.shape for key, tensor in named.items()},
        ) from error
    return trace.graph(name)


def _is_small(module: nn.Module, inputs: Mapping[str, InputTensor]) -> bool:
    """Whether a module may be run on data."""
    own = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
    return own + sum(math.prod(tensor.shape) for tensor in inputs.values()) <= SMALL


class _Trace:
    """One run of a module through both passes, and what was seen of it."""

    def __init__(self, module: nn.Module, *, noise: bool = False) -> None:
        self.module = module
        self.sandbox = Sandbox(module, noise=noise)
        self.scope = Scope(module)
        self.recorder = Recorder(self.scope, self.sandbox, operators())
        self.outputs: dict[str, str | None] = {}
        self.result: object = None
        self.state = {f"module.{path}": t for path, t in (self.sandbox.parameters | self.sandbox.buffers).items()}
        self.nodes: tuple[OperatorNode, ...] = ()
        self.couplings: tuple[Coupling, ...] = ()
        self.not_reversed: tuple[str, ...] = ()
        for path, tensor in self.sandbox.parameters.items():
            shape = tuple(tensor.shape)
            self.recorder.values.declare(tensor, Value(path, shape, ValueRole.PARAMETER, tensor.requires_grad))
        for stand_in, own in zip(self.sandbox.parameters.values(), module.parameters(), strict=True):
            if own.numel() == 1:
                self.recorder.constants.stands_for(stand_in, own)
        for (path, tensor), real in zip(self.sandbox.buffers.items(), module.buffers(), strict=True):
            self.recorder.values.declare(tensor, Value(path, tuple(tensor.shape), ValueRole.CONSTANT))
            self.recorder.constants.stands_for(tensor, real)

    def input(self, name: str, given: InputTensor) -> Tensor:
        """An input of the network without data."""
        sizes: Counter[torch.dtype] = Counter()
        for own in self.module.parameters():
            sizes[own.dtype] += own.numel() if own.is_floating_point() else 0
        default = sizes.most_common(1)[0][0] if sizes.total() else torch.get_default_dtype()
        dtype = default if given.dtype == "float" else getattr(torch, given.dtype)
        tensor = self.sandbox.empty(given.shape, dtype)
        self.recorder.values.declare(tensor, Value(name, given.shape, ValueRole.INPUT))
        if not dtype.is_floating_point:
            self.recorder.constants.ones(tensor)
        return tensor

    def run(self, given: InputTensor | Mapping[str, InputTensor], evaluating: Collection[str]) -> None:
        """The forward pass, the backward pass from every floating-point output that has one, and what they show."""
        with self.sandbox.running(self.module, evaluating):
            keywords = {key: self.input(key, t) for key, t in given.items()} if isinstance(given, Mapping) else {}
            arguments = () if isinstance(given, Mapping) else (self.input("input", given),)
            with self.scope.following():
                functional_call(_BothPasses(self.module, self._both), self.state, arguments, keywords)
            if made := {path for path, _ in self.module.named_parameters()} - self.sandbox.parameters.keys():
                raise WorkloadError(
                    "parameters are made in the forward pass", field=min(made), suggestion="call it on some input first"
                )
            self.find_structure()

    def _both(self, *arguments: Tensor, **keywords: Tensor) -> None:
        values = self.recorder.values
        with self.recorder:
            self.result = self.module(*arguments, **keywords)
        outputs = [t for t in tensors_of(self.result) if t.is_floating_point() or t.is_complex()]
        self.outputs = dict.fromkeys(values.read(t).value for t in outputs)
        trained = {values.read(t).value: t for t in outputs if t.requires_grad}
        seeds = [torch.ones_like(t) for t in trained.values()]
        for name, seed in zip(trained, seeds, strict=True):
            shape = values.known[name].shape
            self.outputs[name] = values.declare(seed, Value(f"{name}:seed", shape, ValueRole.GRADIENT))
        if trained:
            self.recorder.backward_begins()
            with self.recorder:
                torch.autograd.backward(list(trained.values()), seeds)

    @cached_property
    def gradients(self) -> dict[str, str]:
        """Parameter -> value that is its gradient."""
        found = {}
        for (path, stand_in), own in zip(self.sandbox.parameters.items(), self.module.parameters(), strict=True):
            if stand_in.grad is not None and own.grad is not None:
                self.recorder.note("part of a gradient, of a parameter that is reached in two ways", path)
            gradient = stand_in.grad if stand_in.grad is not None else own.grad
            if gradient is not None:
                found[path] = self.recorder.values.read(gradient).value
        return found

    def find_structure(self) -> None:
        """What functions run again, and which couplings there are; inverses of modules run, too."""
        recorder = self.recorder
        recorded = merged(
            tuple(recorder.nodes),
            recorder.signatures,
            recorder.recipes,
            recorder.values,
            lambda nodes: {name for coupling in self._couplings(self._needed(nodes)) for name in coupling.nodes},
        )
        self.nodes = self._needed(recorded)
        own, tried = [*invertible(self.scope, recorder, self.nodes)], dict[object, str | None]()
        while True:
            self.couplings = self._couplings(self.nodes, own)
            used = [coupling.module for coupling in self.couplings if not coupling.inversions]
            reasons = {path: why_not(self.scope, path, tried) for path in used}
            if not any(reasons.values()):
                break
            own = [coupling for coupling in own if not reasons.get(coupling.module)]
        self.not_reversed = tuple(self._not_reversed(tried))
        self.couplings = tuple(c if c.inversions else self._with_inverse(c) for c in self.couplings)

    def _not_reversed(self, tried: dict[object, str | None]) -> Iterator[str]:
        """Modules with an inverse, and functions that run their forward pass again, that are no part of a coupling."""
        coupled = {name for coupling in self.couplings for name in coupling.nodes}
        for path in declared(self.scope):
            inside = {node.name for node in self.nodes if path in node.modules}
            reason = why_not(self.scope, path, tried) if inside else None
            if reason:
                yield f"{path or 'the network'}: {reason}"
            elif inside and not inside & coupled:
                yield f"{path or 'the network'}: has an inverse, but joins no stream with a function of others"
        followed = {node.group or "" for node in self.nodes if node.phase is Phase.AGAIN} - coupled
        modules = dict.fromkeys(node.module for node in self.nodes if node.name in followed)
        for module in modules:
            yield f"{module or 'the network'}: a function that runs other operators again, followed as it runs"

    def _needed(self, nodes: Sequence[OperatorNode]) -> tuple[OperatorNode, ...]:
        return without_idle_moves(nodes, self.recorder.values.known, {*self.outputs, *self.gradients.values()})

    def _couplings(self, nodes: Sequence[OperatorNode], own: Sequence[Coupling] = ()) -> tuple[Coupling, ...]:
        forward, backward = _passes(nodes)
        return find_couplings(forward, backward, self.recorder.values.known, self.outputs, own)

    def _with_inverse(self, coupling: Coupling) -> Coupling:
        """The same with what the module's own inverse computes."""
        child, side = self.scope.children[coupling.module], self.scope.calls[coupling.module][1:]
        found: list[object] = []

        def run() -> None:
            with self.scope.within(f"{coupling.module}.inverse"), torch.no_grad(), self.recorder:
                found.append(inverse_of(child)(self.scope.results[coupling.module], *side))

        with self.recorder.apart() as nodes:
            functional_call(_BothPasses(self.module, run), self.state)
        recovered = tuple(self.recorder.values.read(tensor).value for tensor in tensors_in(found))
        return replace(coupling, inverse=tuple(nodes), recovered=recovered)

    def graph(self, name: str) -> Graph:
        """What was recorded."""
        if not self.outputs:
            raise WorkloadError(f"{name} returns no floating-point tensor", value=type(self.result).__name__)
        recorder, known = self.recorder, self.recorder.values.known
        further = [node for coupling in self.couplings for node in coupling.inverse]
        used = {value for node in (*self.nodes, *further) for value in (*node.inputs, *node.outputs)}
        used |= {*self.outputs, *filter(None, self.outputs.values()), *self.gradients, *self.gradients.values()}
        used |= {known[value].part_of or value for value in used}
        run = {node.name for node in self.nodes}
        forward, backward = _passes(self.nodes)
        return Graph(
            name,
            forward,
            backward,
            {key: value for key, value in known.items() if key in used or value.role is ValueRole.INPUT},
            self.outputs,
            self.gradients,
            {node: macs for node, macs in recorder.macs.items() if node in run or node not in recorder.again},
            self.couplings,
            tuple(f"{operator}: {count} x" for operator, count in sorted(recorder.ignored.items())),
            (
                *left_out([*forward, *further], recorder.macs, "forward"),
                *left_out(backward, recorder.macs, "backward"),
                *notes(recorder.remarks),
            ),
            self._not_reached(used),
            self.not_reversed,
            tuple(self._taken()),
        )

    def _taken(self) -> Iterator[str]:
        if self.recorder.constants.balanced:
            yield "choices by the network's data (top-k, argmax) taken balanced: an equal share for each candidate"
        if self.sandbox.passed_through:
            yield "torch.utils.checkpoint passed through: the schedule says what is run again"

    def _not_reached(self, used: set[str]) -> tuple[str, ...]:
        """Outermost modules that neither ran, nor hold one that ran or a parameter that was read."""
        alive = set(self.scope.calls)
        alive.update(name.rpartition(".")[0] for name in used)
        alive.update(path[:end] for path in list(alive) for end in range(len(path)) if path[end] == ".")
        dead = [path for path in self.scope.children if path and path not in alive]
        return tuple(
            f"{path}: {type(self.scope.children[path]).__name__}"
            for path in dead
            if not any(path.startswith(other + ".") for other in dead)
        )


class _BothPasses(nn.Module):
    """Has a module's parameters replaced by stand-ins in its backward pass, too, where some run their forward again."""

    def __init__(self, module: nn.Module, run: Callable[..., None]) -> None:
        super().__init__()
        self.module = module
        self._run = run

    def forward(self, *arguments: Tensor, **keywords: Tensor) -> None:
        """Both passes."""
        self._run(*arguments, **keywords)


def _passes(nodes: Sequence[OperatorNode]) -> tuple[tuple[OperatorNode, ...], tuple[OperatorNode, ...]]:
    """Forward and backward."""
    forward = tuple(node for node in nodes if node.group is None)
    return forward, tuple(node for node in nodes if node.group is not None)


def tensors_of(result: object) -> list[Tensor]:
    """The tensors in what a module returned; of a record with ``logits`` (Hugging Face's) only these are trained on."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        return tensors_of(result["logits"] if "logits" in result else list(result.values()))
    if isinstance(result, list | tuple):
        return [tensor for part in result for tensor in tensors_of(part)]
    logits = getattr(result, "logits", None)
    if isinstance(logits, Tensor):
        return [logits]
    if is_dataclass(result):
        return tensors_of([getattr(result, item.name) for item in fields(result)])
    return []
