"""Timeloop v0.4 architectures, written: a resolved machine as the files that Timeloop's front end reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from camel_plugin.spec.machine import Compute, Fanout, LoopConstraints, Machine, Node, Storage
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
    lines = [
        "variables:",
        "  version: 0.4",
        f"  global_cycle_seconds: {machine.cycle_s!r}",
        f"  temperature: {machine.temperature_C!r}",
        "architecture:",
        "  version: 0.4",
        "  nodes:",
        *("  " + line for line in writer.nodes()),
    ]
    targets = list(writer.parallelism())
    if targets:
        lines += ["constraints:", "  version: 0.4", "  targets:", *("  " + line for line in targets)]
    return "\n".join(lines) + "\n"


@dataclass
class _Writer:
    machine: Machine
    problem: Problem | None
    homes: Mapping[str, str]

    def nodes(self) -> Iterator[str]:
        waiting: Fanout | None = None
        for group, members in groupby(self.machine.nodes, lambda node: getattr(node, "parallel", None)):
            peers = list(members)
            if group is not None:
                yield "- !Parallel"
                yield "  nodes:"
                for peer in peers:
                    yield from ("  " + line for line in self._component(peer, None))
                yield from ("  " + line for line in self._past(peers))
                continue
            for node in peers:
                if isinstance(node, Fanout) and self._owner(node) is not None:
                    waiting = node
                elif isinstance(node, Fanout):
                    yield f"- !Container {{name: {node.name}, {self._fanout(node)}}}"
                else:
                    yield from self._component(node, waiting)
                    waiting = None

    def _owner(self, fanout: Fanout) -> str | None:
        """The component that this fanout belongs to; a container's own one stands alone."""
        position = self.machine.nodes.index(fanout) + 1
        name = self.machine.nodes[position].name
        return name if fanout.name == f"inter_{name}_spatial" else None

    def _fanout(self, fanout: Fanout) -> str:
        loops = self._loops(fanout, fanout.spatial)
        mesh = f"spatial: {{meshX: {fanout.mesh_x}, meshY: {fanout.mesh_y}}}"
        return f"{mesh}, constraints: {{spatial: {loops}}}" if loops else mesh

    def _component(self, node: Node, fanout: Fanout | None) -> Iterator[str]:
        yield "- !Component"
        yield f"  name: {node.name}"
        if isinstance(node, Compute):
            yield f"  class: {node.class_name}"
        groups = []
        if isinstance(node, Storage):
            yield f"  class: {node.class_name}"
            yield f"  attributes: {{{', '.join(_attributes(node))}}}"
            groups += [f"dataspace: {_flow(self._keep(node))}"]
            if loops := self._loops(node, node.temporal):
                groups.append(f"temporal: {loops}")
        if fanout is not None:
            yield f"  spatial: {{meshX: {fanout.mesh_x}, meshY: {fanout.mesh_y}}}"
            if loops := self._loops(fanout, fanout.spatial):
                groups.append(f"spatial: {loops}")
        if groups:
            yield f"  constraints: {{{', '.join(groups)}}}"

    def _past(self, peers: list[Node]) -> Iterator[str]:
        """Dataspaces that go past all peers need a branch of their own."""
        kept = {name for peer in peers if isinstance(peer, Storage) for name in peer.keep}
        past = {name for peer in peers if isinstance(peer, Storage) for name in peer.bypass} - kept
        if names := self._named(past):
            yield f"- !Nothing {{constraints: {{dataspace: {{keep: {_list(names)}}}}}}}"

    def _keep(self, node: Storage) -> list[str]:
        return [f"keep: {_list(self._named(node.keep))}", f"bypass: {_list(self._named(node.bypass))}"]

    def _named(self, dataspaces: Iterable[str]) -> list[str]:
        """Those that the problem has, in its order."""
        if self.problem is None:
            return sorted(dataspaces)
        return [space.name for space in self.problem.dataspaces if space.name in dataspaces]

    def _loops(self, node: Storage | Fanout, loops: LoopConstraints) -> str:
        frozen = set(self._frozen(node, loops))
        factors = {name: f"{bound.relation}{bound.value}" for name, bound in loops.factors.items()}
        factors |= dict.fromkeys(frozen, "=1")
        parts = []
        if written := [name + factors[name] for name in self._dimensions(factors)]:
            parts.append(f"factors: {_list(written)}")
        if order := [name for name in loops.permutation if self._has(name)]:
            parts.append(f"permutation: {_list(order)}")
        if loops.split is not None:
            parts.append(f"split: {loops.split}")
        if self.problem is None and loops.no_iteration_over:
            parts.append(f"no_iteration_over_dataspaces: {_list(sorted(loops.no_iteration_over))}")
        return _flow(parts) if parts else ""

    def _frozen(self, node: Storage | Fanout, loops: LoopConstraints) -> Iterator[str]:
        """Dimensions without a loop here: those of frozen dataspaces, and of tensors that rest further in."""
        if self.problem is None:
            return
        order = [each.name for each in self.machine.nodes]
        within = {name for name, home in self.homes.items() if order.index(node.name) < order.index(home)}
        for space in self.problem.dataspaces:
            if space.name in loops.no_iteration_over | within:
                yield from space.dimensions

    def _dimensions(self, names: Iterable[str]) -> list[str]:
        if self.problem is None:
            return list(names)
        return [name for name in self.problem.dimensions if name in set(names)]

    def _has(self, dimension: str) -> bool:
        return self.problem is None or dimension in self.problem.dimensions

    def parallelism(self) -> Iterator[str]:
        for node in self.machine.nodes:
            if isinstance(node, Fanout) and node.spatial.min_parallelism:
                target = self._owner(node) or node.name
                yield f"- {{type: parallelism, target: {target}, min: {node.spatial.min_parallelism!r}}}"


def _attributes(node: Storage) -> Iterator[str]:
    if node.depth is not None:
        yield f"depth: {node.depth}"
    yield f"width: {node.width_bits}"
    yield f"datawidth: {node.datawidth_bits}"
    if node.cluster_size != 1:
        yield f"cluster_size: {node.cluster_size}"
    if node.row_bits:
        yield f"row_bits: {node.row_bits!r}"
    if node.read_bandwidth is not None:
        yield f"read_bandwidth: {node.read_bandwidth!r}"
    if node.write_bandwidth is not None:
        yield f"write_bandwidth: {node.write_bandwidth!r}"


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(words)}]"


def _flow(parts: Iterable[str]) -> str:
    return f"{{{', '.join(parts)}}}"
