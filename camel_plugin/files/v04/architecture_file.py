"""Timeloop v0.4 architectures, written: a resolved machine as the files that Timeloop's front end reads."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from camel_plugin.files.yaml_text import Tagged, dump_yaml
from camel_plugin.spec.machine import Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.problem import Problem


def write_architecture(machine: Machine, problem: Problem | None = None, homes: Mapping[str, str] | None = None) -> str:
    """The machine as a v0.4 file: what a mapper needs of it.

    Energies stand in its ERT (:func:`camel_plugin.files.v04.write_ert`), never here, so that a component estimator
    is not asked again about a storage whose free rows were narrowed. Area, refresh and the vector unit are left out;
    an eDRAM is a plain ``storage``. Since Timeloop counts only a tile of a dataspace at its home, no loop outside the
    home may run over its dimensions, which makes the tile the whole tensor.

    Args:
        machine: the machine.
        problem: keeps only the dimensions and dataspaces that it has, and spells ``no_iteration_over`` and homes out
            as factors; needed if there are homes.
        homes: dataspace -> level where it rests whole.
    """
    writer = _Writer(machine, problem, homes or {})
    sections: dict[str, object] = {
        "variables": {"version": 0.4, "global_cycle_seconds": machine.cycle_s, "temperature": machine.temperature_C},
        "architecture": {"version": 0.4, "nodes": list(writer.nodes())},
    }
    if targets := list(writer.parallelism()):
        sections["constraints"] = {"version": 0.4, "targets": targets}
    return dump_yaml(sections, parts=3)


@dataclass
class _Writer:
    machine: Machine
    problem: Problem | None
    homes: Mapping[str, str]

    def nodes(self) -> Iterator[Tagged]:
        waiting: Fanout | None = None
        for group, members in groupby(self.machine.nodes, lambda node: getattr(node, "parallel", None)):
            peers = list(members)
            if group is not None:
                branches = [*(self._component(peer, None) for peer in peers), *self._past(peers)]
                yield Tagged("Parallel", {"nodes": branches})
                continue
            for node in peers:
                if isinstance(node, Fanout) and self._owner(node) is not None:
                    waiting = node
                elif isinstance(node, Fanout):
                    yield Tagged("Container", {"name": node.name, **self._fanout(node, {})})
                else:
                    yield self._component(node, waiting)
                    waiting = None

    def _owner(self, fanout: Fanout) -> str | None:
        """The component that this fanout belongs to; a container's own one stands alone."""
        position = self.machine.nodes.index(fanout) + 1
        name = self.machine.nodes[position].name
        return name if fanout.name == f"inter_{name}_spatial" else None

    def _fanout(self, fanout: Fanout | None, constraints: dict[str, object]) -> dict[str, object]:
        """Mesh and constraints of a node, those of its own loops among them."""
        found: dict[str, object] = {}
        if fanout is not None:
            found["spatial"] = {"meshX": fanout.mesh_x, "meshY": fanout.mesh_y}
            constraints |= _some("spatial", self._loops(fanout, fanout.spatial))
        return found | _some("constraints", constraints)

    def _component(self, node: Node, fanout: Fanout | None) -> Tagged:
        found: dict[str, object] = {"name": node.name}
        constraints: dict[str, object] = {}
        if not isinstance(node, Fanout):
            found["class"] = node.class_name
        if isinstance(node, Storage):
            found["attributes"] = _attributes(node)
            constraints["dataspace"] = {"keep": self._named(node.keep), "bypass": self._named(node.bypass)}
            constraints |= _some("temporal", self._loops(node, node.temporal))
        return Tagged("Component", found | self._fanout(fanout, constraints))

    def _past(self, peers: list[Node]) -> Iterator[Tagged]:
        """Dataspaces that go past all peers need a branch of their own."""
        kept = {name for peer in peers if isinstance(peer, Storage) for name in peer.keep}
        past = {name for peer in peers if isinstance(peer, Storage) for name in peer.bypass} - kept
        if names := self._named(past):
            yield Tagged("Nothing", {"constraints": {"dataspace": {"keep": names}}})

    def _named(self, dataspaces: Iterable[str]) -> list[str]:
        """Those that the problem has, in its order."""
        if self.problem is None:
            return sorted(dataspaces)
        return [space.name for space in self.problem.dataspaces if space.name in dataspaces]

    def _loops(self, node: Storage | Fanout, loops: LoopConstraints) -> dict[str, object]:
        factors = {name: f"{bound.relation}{bound.value}" for name, bound in loops.factors.items()}
        factors |= dict.fromkeys(self._frozen(node, loops), "=1")
        dimensions = list(factors) if self.problem is None else self.problem.dimensions
        found = _some("factors", [name + factors[name] for name in dimensions if name in factors])
        found |= _some("permutation", [name for name in loops.permutation if self._has(name)])
        if loops.split is not None:
            found["split"] = loops.split
        if self.problem is None:
            found |= _some("no_iteration_over_dataspaces", sorted(loops.no_iteration_over))
        return found

    def _frozen(self, node: Storage | Fanout, loops: LoopConstraints) -> Iterator[str]:
        """Dimensions without a loop here: those of frozen dataspaces, and of tensors that rest further in."""
        if self.problem is None:
            return
        order = [each.name for each in self.machine.nodes]
        within = {name for name, home in self.homes.items() if order.index(node.name) < order.index(home)}
        for space in self.problem.dataspaces:
            if space.name in loops.no_iteration_over | within:
                yield from space.dimensions

    def _has(self, dimension: str) -> bool:
        return self.problem is None or dimension in self.problem.dimensions

    def parallelism(self) -> Iterator[dict[str, object]]:
        for node in self.machine.nodes:
            if isinstance(node, Fanout) and node.spatial.min_parallelism:
                target = self._owner(node) or node.name
                yield {"type": "parallelism", "target": target, "min": node.spatial.min_parallelism}


def _attributes(node: Storage) -> dict[str, object]:
    written = {
        "depth": node.depth,
        "width": node.width_bits,
        "datawidth": node.datawidth_bits,
        "cluster_size": node.cluster_size if node.cluster_size != 1 else None,
        "row_bits": node.row_bits or None,
        "read_bandwidth": node.read_bandwidth,
        "write_bandwidth": node.write_bandwidth,
    }
    return {name: value for name, value in written.items() if value is not None}


def _some(key: str, value: Collection[object]) -> dict[str, object]:
    """An entry, if there is anything in it."""
    return {key: value} if value else {}
