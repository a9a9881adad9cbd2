"""Modules with a method ``inverse`` that are no couplings, and what that method does."""

from collections.abc import Iterator, Sequence
from unittest.mock import patch

from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import Coupling, OperatorNode
from camel_plugin.workload.capture.call import flat, tensors_in
from camel_plugin.workload.capture.inverse import verify_inverse
from camel_plugin.workload.capture.recorder import Recorder
from camel_plugin.workload.capture.scope import Scope

_APPLY = nn.Module._apply


def declared(scope: Scope) -> dict[str, nn.Module]:
    """The modules that ran and have an inverse, by path."""
    return {
        path: module
        for path, module in scope.children.items()
        if path in scope.calls and path in scope.results and callable(getattr(module, "inverse", None))
    }


def invertible(scope: Scope, recorder: Recorder, nodes: Sequence[OperatorNode]) -> Iterator[Coupling]:
    """Modules whose inputs need not be kept if their inverse is what it says: the innermost ones."""
    modules = declared(scope)
    for path in modules:
        inner = any(other != path and (not path or other.startswith(path + ".")) for other in modules)
        inside = [node for node in nodes if path in node.modules]
        if inner or not inside:
            continue
        inputs, outputs = (_values(recorder, given) for given in (scope.calls[path][:1], scope.results[path]))
        private = {value for node in inside for value in node.outputs} - set(outputs)
        leaks = any(private.intersection(node.inputs) for node in nodes if path not in node.modules)
        if inputs and outputs and not leaks and set(outputs) <= {name for node in inside for name in node.outputs}:
            names = tuple(node.name for node in inside)
            yield Coupling(path, names, names, outputs, inputs)


def _values(recorder: Recorder, given: object) -> tuple[str, ...]:
    tensors = (tensor for tensor in tensors_in(given) if tensor.is_floating_point())
    return tuple(dict.fromkeys(recorder.values.read(tensor).value for tensor in tensors))


def why_not(scope: Scope, path: str, tried: dict[object, str | None]) -> str | None:
    """Why a module's inverse is none; each kind of module is tried once, on noise. None if it is one."""
    module, arguments = scope.children[path], scope.calls[path]
    alike = (repr(module), str(tree_map_only(Tensor, flat, arguments)))
    if alike not in tried:
        try:
            with _disable_current_modes(), patch.object(nn.Module, "_apply", _APPLY):
                verify_inverse(module, arguments, path)
            tried[alike] = None
        except WorkloadError as error:
            tried[alike] = str(error)
        except Exception as error:  # the user's code, on noise
            tried[alike] = f"it cannot be tried on noise: {error}"
    return tried[alike]
