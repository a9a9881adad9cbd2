"""Energies and cycles from access counts."""

import numpy as np

from camel_plugin.engine.native.batch_result import Floats, Ints
from camel_plugin.spec.machine import Storage
from camel_plugin.spec.task import Task


def in_words(task: Task, level: str, values: Ints) -> Ints | Floats:
    """Words [T, B] of a level that so many values of each dataspace take."""
    if not task.value_words:
        return values
    sizes: Floats = np.array(task.words_per_value(level))
    return values * sizes[:, None]


def accesses_energy_J(
    storage: Storage, instances: int, used: Ints, reads: Ints | Floats, fills: Ints | Floats, updates: Ints | Floats
) -> Floats:
    """Dynamic energy [T, B] of all utilized instances of a level, from the words [T, B] that move in one.

    Accesses are whole blocks. Instances ganged into a cluster share one access.
    """
    block = storage.block_words
    energy = storage.energy
    per_instance = (
        np.ceil(reads / block) * energy.read_J
        + np.ceil(fills / block) * energy.write_J
        + np.ceil(updates / block) * energy.update_J
    )
    return per_instance * np.minimum(used, instances // storage.cluster_size)


def level_cycles(storage: Storage, steps: Ints, reads: Ints | Floats, writes: Ints | Floats) -> Ints:
    """Cycles [B] that a level needs for ``reads`` and ``writes`` [T, B] words of one instance.

    The quotients are formed in Timeloop's order, so that rounding up meets the same integer.
    """
    slowdown = np.ones(len(steps))
    for bandwidth, words in ((storage.read_bandwidth, reads), (storage.write_bandwidth, writes)):
        if bandwidth is not None:
            demand = (words / steps).sum(axis=0)
            np.minimum(slowdown, bandwidth / np.maximum(demand, bandwidth), out=slowdown)
    return np.ceil(steps / slowdown).astype(np.int64)
