"""Number formats on a machine: how many words of its memories a value of each tensor takes.

A recipe's format says how a tensor is stored in the memories that the whole machine shares, DRAM among them: bytes,
capacity, bandwidth and energy of an access follow its bits. What stands inside the array (registers, accumulators,
multipliers) has the machine's own format, and values are converted on their way there, which is taken to cost nothing.
"""

from dataclasses import replace

from camel_plugin.errors import InputError
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Operation, Step


def in_words(machine: Machine, step: Step) -> Step:
    """The step with every tensor sized in the words of the machine's shared memories.

    Raises:
        InputError: the recipe sets formats, and these memories have words of different sizes.
    """
    if not step.bits and not any(tensor.bits for tensor in step.tensors.values()):
        return step
    sizes = {storage.name: storage.word_bits for storage in _memories(machine)}
    if len(set(sizes.values())) > 1 and not step.bits:
        return step
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"formats need one size of word in the shared memories of {machine.name}",
            field="training.precision",
            value=", ".join(f"{name}: {bits:g} bits" for name, bits in sizes.items()),
            suggestion="leave the precision to the machine",
        )
    word_bits = next(iter(sizes.values()))
    tensors = {
        name: replace(tensor, words_per_value=(tensor.bits or step.bits.get(tensor.kind, word_bits)) / word_bits)
        for name, tensor in step.tensors.items()
    }
    return replace(step, tensors=tensors)


def value_words(plan: Plan, operation: Operation, level: str = "") -> dict[str, float]:
    """Dataspace of an operation -> words that one of its values takes; empty if all take one.

    Args:
        plan: that sizes the tensors.
        operation: with a problem.
        level: where the words lie; the shared memories if none is given.
    """
    if level and level not in {storage.name for storage in _memories(plan.machine)}:
        return {}
    sizes = {space: plan.step.tensors[name].words_per_value for space, name in operation.roles.items()}
    return sizes if any(size != 1 for size in sizes.values()) else {}


def format_notes(machine: Machine, step: Step) -> list[str]:
    """What the formats of a step, sized by :func:`in_words`, do not touch on this machine."""
    if not step.bits or all(t.words_per_value == 1 for t in step.tensors.values() if t.bits is None):
        return []
    sizes = ", ".join(f"{kind.value} {bits:.3g}" for kind, bits in step.bits.items())
    return [
        f"bits of a value in the shared memories, by the recipe: {sizes}; registers and multipliers keep the format of "
        f"{machine.name}, and conversion costs nothing"
    ]


def _memories(machine: Machine) -> tuple[Storage, ...]:
    return (machine.storages[0], *machine.shared_storages)
