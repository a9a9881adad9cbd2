"""Order of a step: how far a micro-batch runs before the next one starts.

``network``: through everything, so that nothing waits for other micro-batches and all weights pass by for each one.
``stage``, ``block``: through one stage or block; its weights stay on chip for all micro-batches, while the values at
its border wait, one a micro-batch. ``none``: through a single operation, layer by layer.

A block is an element of the outermost numbered list of modules (``stage1.0`` of ``stage1.0.f.conv1``), a stage such a
list; what stands before one joins it, what stands behind the last one joins that. Without numbered modules, a network
has its outermost modules as blocks. The last block runs forward and backward in one go. Parameters are updated as soon
as the loop that uses them last has ended, which ends the life of their gradients.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from camel_plugin.spec.liveness import groups
from camel_plugin.spec.settings import Order
from camel_plugin.spec.step import Loop, Operation, Step, over_samples

ORDERS = (Order.NETWORK, Order.STAGE, Order.BLOCK, Order.NONE)
"""Those with a rule of their own; the others are searched."""

_NUMBERED = re.compile(r"^((?:.*?\.)??)(\d+)(?:\.|$)")


def ordered(step: Step, depth_first: str) -> Step:
    """The step with one loop over the micro-batches for each part that ``depth_first`` (one of ORDERS) names."""
    if depth_first == "none":
        return cut(step, range(len(looped(step))))
    return cut(step, starts(parts(step, depth_first)) if depth_first != "network" else (0,))


def parts(step: Step, depth_first: str) -> list[int]:
    """For each operation that runs more than once, the number of the forward part (stage, block, branch) it belongs to.

    Args:
        step: the step.
        depth_first: ``stage``, ``block``, or ``branch`` for the modules inside a block.
    """
    repeated = looped(step)
    forward = [operation.name for operation in repeated if operation.partner is None]
    names = [_part(name, depth_first) for name in forward]
    if not any(names):
        names = [name.partition(".")[0] for name in forward]
    for index in reversed(range(len(names) - 1)):
        names[index] = names[index] or names[index + 1]
    for index in range(1, len(names)):
        names[index] = names[index] or names[index - 1]
    numbers = dict(zip(forward, _runs(names), strict=True))
    return [numbers[operation.partner or operation.name] for operation in repeated]


def starts(labels: Sequence[int]) -> list[int]:
    """Positions at which a new label begins."""
    return [index for index, label in enumerate(labels) if index == 0 or label != labels[index - 1]]


def cut(step: Step, positions: Iterable[int]) -> Step:
    """The step, one loop so far, with a loop that begins at each of ``positions`` among the operations in that one.

    Updates move behind the last loop that uses any of their tensors.
    """
    begins = {0, *positions}
    repeated = looped(step)
    if len(begins) < 2 or not repeated:
        return step
    loops: list[list[Operation]] = []
    last_use: dict[str, int] = {}
    for index, operation in enumerate(repeated):
        if index in begins:
            loops.append([])
        loops[-1].append(operation)
        last_use.update(dict.fromkeys(operation.reads + operation.writes, len(loops) - 1))
    once: list[list[Operation]] = [[] for _ in loops]
    for operation in step.operations:
        if step.trips(operation.name) == 1:
            used = [last_use[name] for name in operation.reads + operation.writes if name in last_use]
            once[max(used, default=len(loops) - 1)].append(operation)
    trips = step.trips(repeated[0].name)
    body: list[Loop | Operation] = []
    for loop, rest in zip(loops, once, strict=True):
        body += [*over_samples(trips, loop), *rest]
    return replace(step, body=tuple(body))


def loops(step: Step) -> list[range]:
    """The operations of each loop, as indices into ``Step.operations``."""
    return [group.span for group in groups(step) if group.trips > 1]


def looped(step: Step) -> list[Operation]:
    """The operations that run more than once."""
    return [operation for span in loops(step) for operation in step.operations[span.start : span.stop]]


def _part(name: str, depth_first: str) -> str:
    found = _NUMBERED.match(name)
    if found is None:
        return ""
    if depth_first == "stage":
        return found[1] or found[2]
    if depth_first == "block":
        return found[1] + found[2]
    return found[1] + found[2] + "." + name[found.end() :].partition(".")[0]


def _runs(names: Sequence[str]) -> list[int]:
    """Number of the run of equal names that each belongs to."""
    numbers: list[int] = []
    for index, name in enumerate(names):
        begins = index > 0 and name != names[index - 1]
        numbers.append(numbers[-1] + begins if numbers else 0)
    return numbers
