"""From any ``nn.Module`` to a :class:`Graph`.

The mechanism is a ``TorchDispatchMode`` over meta tensors. Every call that reaches a kernel passes the mode, whichever
way the module was written (methods, ``torch.nn.functional``, operators, in-place forms, custom ``forward``), in a
small vocabulary (ATen) and with real shapes, so nothing is listed by hand. ``torch.fx`` would stop at data-dependent
Python, ``torch.export`` takes many seconds on deep networks, module hooks alone would miss whatever is not a module;
hooks only supply the module path here. Meta tensors have no storage: nothing is computed or allocated, whatever the
size, and parameters and buffers of the module are read for their shapes only and never changed.

What the graph does not mean: it is one path through the module, that of training mode and this input's shape.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedParameter
from torch.utils._pytree import tree_map_only

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import Graph, InvertibleModule, OperatorNode, ReversibleBlock, ValueRole
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.workload.capture.call import flat
from camel_plugin.workload.capture.inverse import verify_inverse
from camel_plugin.workload.capture.recorder import Recorder
from camel_plugin.workload.lowering.coupling import find_reversible_blocks, without_idle_moves
from camel_plugin.workload.lowering.coverage import left_out, notes


def capture(
    module: nn.Module,
    inputs: Sequence[int] | InputTensor | Mapping[str, InputTensor],
    name: str | None = None,
    *,
    evaluating: Collection[str] = (),
) -> Graph:
    """Trace one forward pass of ``module`` in training mode.

    Args:
        module: any network.
        inputs: extents of its only input, batch (one micro-batch) first; that input with its type; or every input by
            the name of its argument.
        name: of the network; by default that of the module's class.
        evaluating: paths of modules that run in evaluation mode.

    Raises:
        WorkloadError: the module fails on such an input, or returns no floating-point tensor; or the inverse of a
            reversible block, tried on one of each kind, is wrong.
    """
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    name = name or type(module).__name__
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
        raise WorkloadError(f"{name} has lazy parameters without a shape", suggestion="call it on some input first")
    recorder = Recorder(module)
    training = {child: child.training for child in module.modules()}
    module.train()
    for path in evaluating:
        module.get_submodule(path).eval()
    given = inputs if isinstance(inputs, InputTensor | Mapping) else InputTensor(tuple(inputs))
    named = given if isinstance(given, Mapping) else {"input": given}
    tensors = {key: recorder.input(key, tensor) for key, tensor in named.items()}
    try:
        with recorder.tracing():
            arguments, keywords = ((), tensors) if isinstance(given, Mapping) else ((tensors["input"],), {})
            result = functional_call(module, recorder.parameters, arguments, keywords)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = f" in {recorder.path!r}" if recorder.path else ""
        raise WorkloadError(
            f"{name} ({type(module).__name__}) cannot be traced{where}: {lines[-1]}",
            field="input",
            value={key: tensor.shape for key, tensor in named.items()},
        ) from error
    finally:
        for child, mode in training.items():
            child.training = mode
    graph = _graph(recorder, name, result)
    _verify_inverses(recorder, [*graph.blocks, *graph.invertible])
    return graph


def _graph(recorder: Recorder, name: str, result: object) -> Graph:
    tensors = [t for t in _tensors(result) if t.is_floating_point()]
    outputs = tuple(dict.fromkeys(recorder.value_of(t) for t in tensors))
    if not outputs:
        raise WorkloadError(f"{name} returns no floating-point tensor", value=type(result).__name__)
    nodes = without_idle_moves(recorder.nodes, outputs)
    blocks = find_reversible_blocks(nodes, recorder.values, _invertible(recorder))
    modules = tuple(_invertible_modules(recorder, nodes, blocks))
    further = [node for module in modules for node in module.inverse]
    used = {value for node in (*nodes, *further) for value in (*node.inputs, *node.outputs)} | set(outputs)
    values = {key: value for key, value in recorder.values.items() if key in used or value.role is ValueRole.INPUT}
    return Graph(
        name,
        nodes,
        values,
        outputs,
        blocks,
        tuple(f"{operator}: {count} x" for operator, count in sorted(recorder.ignored.items())),
        (*left_out([*nodes, *further]), *notes(recorder.unsupported)),
        _not_reached(recorder, used),
        modules,
    )


def _invertible_modules(
    recorder: Recorder, nodes: Sequence[OperatorNode], blocks: Sequence[ReversibleBlock]
) -> Iterator[InvertibleModule]:
    """Modules with an inverse that are no couplings and hold none: those whose inputs need not be kept."""
    declared = [path for path in _invertible(recorder) if path in recorder.calls]
    couplings = {block.module for block in blocks}
    for path in declared:
        inner = [other for other in declared if other != path and (other.startswith(path + ".") or not path)]
        inside = [node for node in nodes if path in node.modules]
        if path in couplings or inner or not inside:
            continue
        inputs, outputs = (
            tuple(dict.fromkeys(recorder.value_of(t) for t in _tensors(given) if t.is_floating_point()))
            for given in (recorder.calls[path][:1], recorder.results[path])
        )
        private = {value for node in inside for value in node.outputs} - set(outputs)
        if any(private.intersection(node.inputs) for node in nodes if path not in node.modules):
            continue
        inverse, result = recorder.inverse(path)
        recovered = tuple(recorder.value_of(tensor) for tensor in _tensors(result))
        if len(recovered) == len(inputs):
            names = tuple(node.name for node in inside)
            yield InvertibleModule(path, inputs, outputs, names, inverse, recovered)


def _invertible(recorder: Recorder) -> dict[str, dict[str, str]]:
    """Modules with an ``inverse`` and the lower-case names of their children."""
    return {
        path: {name.lower(): f"{path}.{name}".lstrip(".") for name, _ in module.named_children()}
        for path, module in recorder.children.items()
        if callable(getattr(module, "inverse", None))
    }


def _not_reached(recorder: Recorder, used: set[str]) -> tuple[str, ...]:
    """Outermost modules that neither ran, nor hold one that ran or a parameter that was read."""
    alive = set(recorder.calls)
    alive.update(name.rpartition(".")[0] for name in used)
    alive.update(path[:end] for path in list(alive) for end in range(len(path)) if path[end] == ".")
    dead = [path for path in recorder.children if path and path not in alive]
    return tuple(
        f"{path}: {type(recorder.children[path]).__name__}"
        for path in dead
        if not any(path.startswith(other + ".") for other in dead)
    )


def _verify_inverses(recorder: Recorder, blocks: Sequence[ReversibleBlock | InvertibleModule]) -> None:
    """Try the inverse of one block of each kind."""
    tried = set()
    for block in blocks:
        module, arguments = recorder.children[block.module], recorder.calls[block.module]
        alike = (repr(module), str(tree_map_only(Tensor, flat, arguments)))
        if alike not in tried:
            verify_inverse(module, arguments, block.module)
            tried.add(alike)


def _tensors(result: object) -> list[Tensor]:
    """The tensors in what a module returned; of a record with ``logits`` (Hugging Face's) only these are trained on."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        return _tensors(result["logits"] if "logits" in result else list(result.values()))
    if isinstance(result, list | tuple):
        return [tensor for part in result for tensor in _tensors(part)]
    logits = getattr(result, "logits", None)
    if isinstance(logits, Tensor):
        return [logits]
    if is_dataclass(result):
        return _tensors([getattr(result, field.name) for field in fields(result)])
    return []
