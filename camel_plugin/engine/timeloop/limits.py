"""Machines in the form that Timeloop's programs read: every storage with a depth, and room for what rests there."""

from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.engine.protocol import refuse_formats
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.machine import FactorBound, Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.task import Task

MAX_ROWS = 2**32 - 1
"""Timeloop reads a depth into 32 bits. A DRAM that is unlimited or larger has as many rows there."""

_OTHER_SIZES = ("entries", "sizeKB")


def limited(task: Task) -> Machine:
    """The machine of a task with a depth wherever the front end demands one.

    Raises:
        InputError: a recipe has set formats, for which Timeloop has no words.
    """
    refuse_formats("Timeloop", task)
    machine = task.constrained
    nodes = (replace(node, depth=_rows(node)) if isinstance(node, Storage) else node for node in machine.nodes)
    return replace(machine, nodes=tuple(nodes))


def laid_out(task: Task) -> tuple[Machine, dict[str, str]]:
    """The machine of a task, and the homes outside which no loop may run over what rests there.

    Timeloop counts the accesses to a resident rightly whatever loops stand outside its home, but reserves only a tile
    of it. Without such loops the tile is the whole tensor. They leave the other tensors whole tiles at the home too, as
    far as they share its dimensions; where these do not fit, the rows of the residents are taken from their home
    instead, and loops may stand anywhere.

    Raises:
        InputError: see :func:`limited`.
    """
    machine, homes = limited(task), dict(task.homes)
    if all(_least_words(task, storage) <= (storage.capacity_words or 0) for storage in machine.storages):
        return machine, homes
    rows = dict.fromkeys(homes.values(), 0)
    for dataspace, home in homes.items():
        rows[home] += machine.storage(home).rows(task.problem.volume(dataspace))
    left = {home: (machine.storage(home).depth or 0) - taken for home, taken in rows.items()}
    if min(left.values(), default=0) < 1:
        return machine, homes
    nodes = (
        replace(node, depth=left[node.name]) if isinstance(node, Storage) and node.name in left else node
        for node in machine.nodes
    )
    return replace(machine, nodes=tuple(nodes)), {}


def _least_words(task: Task, storage: Storage) -> int:
    """Words of the smallest tiles that ``storage`` has to keep if no loop over a resident stands outside its home."""
    order = [each.name for each in task.machine.storages]
    problem = task.problem
    tile = dict.fromkeys(problem.dimensions, 1)
    for dataspace, home in task.homes.items():
        if order.index(storage.name) <= order.index(home):
            tile |= {name: problem.size[name] for name in problem.dataspace(dataspace).dimensions}
    return sum(space.volume(tile) for space in problem.dataspaces if space.name in storage.keep)


def as_mapped(task: Task, mapping: Mapping, left_out: dict[str, dict[str, int]] | None = None) -> Machine:
    """The machine of a task with what ``mapping`` keeps and bypasses: what Timeloop's model needs beside it.

    There are no constraints for the front end to join with the mapping, which it does with equal ones only.

    Args:
        task: what was mapped.
        mapping: of its problem.
        left_out: node -> factors that the mapping does not say when it is written.
    """
    machine, left_out = limited(task), left_out or {}
    every = frozenset(space.name for space in task.problem.dataspaces)
    nodes: list[Node] = []
    for node in machine.nodes:
        factors = {name: FactorBound("=", factor) for name, factor in left_out.get(node.name, {}).items()}
        if isinstance(node, Storage):
            keep = mapping.at(node.name).keep
            loops = LoopConstraints(factors)
            node = replace(node, keep=keep, bypass=every - keep, parallel=None, temporal=loops)
        elif isinstance(node, Fanout):
            node = replace(node, spatial=LoopConstraints(factors))
        nodes.append(node)
    return replace(machine, nodes=tuple(nodes))


def limited_text(machine: Machine) -> str:
    """The v0.4 text that a machine was made from, with width, datawidth and depth in every storage of it.

    The newest front end demands the three in the component itself, where ours and the older ones also take them from
    a container, an unlimited DRAM, and a size in entries or kilobytes.
    """
    tree = load_yaml_text(machine.yaml, machine.name)
    storages = {storage.name: storage for storage in machine.storages}
    sized = _sized(tree, storages)
    return machine.yaml if sized == tree else dump_yaml(sized, parts=100)


def _rows(storage: Storage) -> int:
    return MAX_ROWS if storage.depth is None else min(storage.depth, MAX_ROWS)


def _sized(node: YamlNode, storages: dict[str, Storage]) -> YamlNode:
    """The same tree with sizes in the components that are storages."""
    if isinstance(node.value, list):
        return replace(node, value=[_sized(item, storages) for item in node.value])
    if not isinstance(node.value, dict):
        return node
    if node.tag == "Component" and (storage := storages.get(str(node.at(["name"]).value))):
        return replace(node, value=node.value | {"attributes": _attributes(node, storage)})
    below = {key: _sized(child, storages) for key, child in node.value.items() if key in ("architecture", "nodes")}
    return replace(node, value=node.value | below)


def _attributes(node: YamlNode, storage: Storage) -> YamlNode:
    assert isinstance(node.value, dict)
    given = node.value.get("attributes")
    own = given.value if given is not None and isinstance(given.value, dict) else {}
    kept = {key: child for key, child in own.items() if key not in _OTHER_SIZES}
    added = {key: YamlNode(value, node.file, node.line, text=str(value)) for key, value in _missing(kept, storage)}
    return replace(given or replace(node, tag=None), value=kept | added)


def _missing(own: dict[str, YamlNode], storage: Storage) -> Iterator[tuple[str, int]]:
    if "width" not in own:
        yield "width", storage.width_bits
    if "datawidth" not in own:
        yield "datawidth", storage.datawidth_bits
    if "depth" not in own or storage.depth != _rows(storage):
        yield "depth", _rows(storage)
