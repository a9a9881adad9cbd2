"""``plan.yaml``: the tree of loops, the homes of tensors and the mappings of operations, to be read and edited.

The file names operations and tensors and leaves their definition to the network. Operations that move copies are not
listed: they follow from the homes of the copies, ``tensor@operation`` with the place of the first operation that finds
the copy on chip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from camel_plugin.files.schema import as_number, entries, integer, items, mapping, text
from camel_plugin.files.v04.mapping_writer import mapping_directives
from camel_plugin.files.yaml_source import YamlNode, load_yaml
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.plan import ChosenMapping, Plan
from camel_plugin.spec.step import MOVES, Loop, Operation

PLAN_FILE = "plan.yaml"
"""Its name among the files of a result."""

_HEADER = """\
# A training step as it was planned; camel-eval --plan FILE runs it, edited or not.
# tree: what runs in which loop over the samples; operations by name, without those that move copies.
# homes: level and rows [first, behind the last]. A home given by its level alone is laid out anew; all others keep
#   their rows. TENSOR@N is a copy on chip of a tensor that rests outside, from operation N of the tree on (from 0).
# outside: tensors that rest in the outermost level, and why.
# mappings: in the form of Timeloop v0.4. Operations that are left out here, or whose homes changed so that their
#   mapping fits no longer, are mapped anew. lower_bound holds for the task found_for.
"""


@dataclass(frozen=True)
class TreeEntry:
    """An operation or a loop of the tree.

    Attributes:
        node: where it stands.
        operation: its name, empty for a loop.
        over: what a loop runs over.
        trips: of a loop.
        body: of a loop.
    """

    node: YamlNode
    operation: str = ""
    over: str = ""
    trips: int = 1
    body: tuple[TreeEntry, ...] = ()


@dataclass(frozen=True)
class HomeEntry:
    """A home.

    Attributes:
        node: where it stands.
        level: storage level.
        rows: first row and the one behind the last; None to be laid out anew.
    """

    node: YamlNode
    level: str
    rows: tuple[int, int] | None


@dataclass(frozen=True)
class MappingEntry:
    """A mapping, not read yet.

    Attributes:
        node: where it stands.
        directives: of the v0.4 mapping.
        padded: dimension -> bound.
        lower_bound: see :class:`ChosenMapping`.
        found_for: see :class:`ChosenMapping`.
    """

    node: YamlNode
    directives: tuple[YamlNode, ...]
    padded: Mapping[str, int]
    lower_bound: float
    found_for: str


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says, without what it means for a machine and a step.

    Attributes:
        node: the whole file.
        arch: machine that it belongs to.
        net: network.
        schedule: of training.
        batch: samples of a step.
        micro_batch: samples of one run of an operation.
        order: name of the order of the tree.
        tree: loops and operations.
        homes: tensor -> home.
        outside: tensor -> why it rests in the outermost level.
        mappings: operation -> mapping.
    """

    node: YamlNode
    arch: str
    net: str
    schedule: str
    batch: int
    micro_batch: int
    order: str
    tree: tuple[TreeEntry, ...]
    homes: Mapping[str, HomeEntry]
    outside: Mapping[str, str]
    mappings: Mapping[str, MappingEntry]

    def at(self, field: str) -> YamlNode:
        """Where a word of ``belongs_to`` stands."""
        return self.node.at(["belongs_to", field])


def write_plan(plan: Plan) -> str:
    """The text of a plan file."""
    step = plan.step
    belongs = {
        "arch": plan.machine.name, "net": step.network, "schedule": step.schedule, "batch": step.batch,
        "micro_batch": step.micro_batch, "order": plan.order,
    }  # fmt: skip
    homes = {name: {"level": home.level, "rows": [home.start, home.stop]} for name, home in plan.homes.items()}
    parts = {
        "belongs_to": belongs,
        "tree": _tree(step.body),
        "homes": homes,
        "outside": dict(plan.reasons),
        "mappings": _mappings(plan),
    }
    return _HEADER + dump_yaml(parts)


def _tree(body: Sequence[Loop | Operation]) -> list[object]:
    return [
        {"loop": member.over, "trips": member.trips, "body": _tree(member.body)}
        if isinstance(member, Loop)
        else member.name
        for member in body
        if isinstance(member, Loop) or member.kind not in MOVES
    ]


def _mappings(plan: Plan) -> list[dict[str, object]]:
    """Every distinct mapping once, with its operations."""
    found: list[tuple[ChosenMapping, list[Operation]]] = []
    for operation in plan.step.operations:
        chosen = plan.mappings.get(operation.name)
        if chosen is None:
            continue
        for other, alike in found:
            if other == chosen and alike[0].problem == operation.problem:
                alike.append(operation)
                break
        else:
            found.append((chosen, [operation]))
    written = []
    for chosen, operations in found:
        entry: dict[str, object] = {"operations": [operation.name for operation in operations]}
        if chosen.padded:
            entry["padded"] = dict(chosen.padded)
        if chosen.found_for:
            entry |= {"lower_bound": chosen.lower_bound, "found_for": chosen.found_for}
        problem = plan.mapped_problem(operations[0])
        assert problem is not None
        entry["mapping"] = mapping_directives(chosen.mapping, plan.machine, problem)
        written.append(entry)
    return written


def read_plan(path: Path | str) -> PlanFile:
    """What a plan file says.

    Raises:
        SpecError: it cannot be read, or is not of this form; with file, line and field.
    """
    root = load_yaml(path)
    parts = ("belongs_to", "tree", "homes", "outside", "mappings")
    found = entries(root, parts, ("belongs_to", "tree"))
    words = ("arch", "net", "schedule", "batch", "micro_batch", "order")
    belongs = entries(found["belongs_to"], words, words)
    homes = mapping(found["homes"]) if "homes" in found else {}
    outside = mapping(found["outside"]) if "outside" in found else {}
    mappings: dict[str, MappingEntry] = {}
    for node in items(found.get("mappings")):
        for name, entry in _read_mapping(node):
            if name.value in mappings:
                first = mappings[text(name)].node.line
                raise name.error(f"this operation has a mapping in line {first} already", value=name.value)
            mappings[text(name)] = entry
    return PlanFile(
        root,
        text(belongs["arch"]),
        text(belongs["net"]),
        text(belongs["schedule"]),
        integer(belongs["batch"], minimum=1),
        integer(belongs["micro_batch"], minimum=1),
        text(belongs["order"]),
        tuple(_read_tree(node) for node in items(found["tree"])),
        {name: _read_home(node) for name, node in homes.items()},
        {name: str(node.value) for name, node in outside.items()},
        mappings,
    )


def _read_tree(node: YamlNode) -> TreeEntry:
    if not isinstance(node.value, dict):
        return TreeEntry(node, operation=text(node))
    words = ("loop", "trips", "body")
    found = entries(node, words, words)
    body = tuple(_read_tree(member) for member in items(found["body"]))
    return TreeEntry(node, "", text(found["loop"]), integer(found["trips"], minimum=1), body)


def _read_home(node: YamlNode) -> HomeEntry:
    found = entries(node, ("level", "rows"), ("level",))
    if "rows" not in found:
        return HomeEntry(node, text(found["level"]), None)
    rows = [integer(item, minimum=0) for item in items(found["rows"])]
    if len(rows) != 2 or rows[0] >= rows[1]:
        raise found["rows"].error(
            "must be the first row and the one behind the last", value=found["rows"].plain(),
            suggestion="give the level alone to have the tensor laid out",
        )  # fmt: skip
    return HomeEntry(node, text(found["level"]), (rows[0], rows[1]))


def _read_mapping(node: YamlNode) -> list[tuple[YamlNode, MappingEntry]]:
    allowed = ("operations", "padded", "lower_bound", "found_for", "mapping")
    found = entries(node, allowed, ("operations", "mapping"))
    padded = mapping(found["padded"]) if "padded" in found else {}
    bound = as_number(found["lower_bound"].value, found["lower_bound"], minimum=0) if "lower_bound" in found else 0.0
    directives = tuple(items(found["mapping"]))
    if not directives:
        raise found["mapping"].error("no mapping is given", suggestion="leave the entry out to have it mapped anew")
    entry = MappingEntry(
        found["mapping"],
        directives,
        {name: integer(each, minimum=1) for name, each in padded.items()},
        bound,
        str(found["found_for"].value) if "found_for" in found else "",
    )
    return [(name, entry) for name in items(found["operations"])]
