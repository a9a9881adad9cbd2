"""What Timeloop wrote into ``stats.txt``, parsed and distrusted."""

import math
import re
from dataclasses import dataclass, field

from camel_plugin.errors import EngineError
from camel_plugin.spec.evaluation import Evaluation, LevelStats, TensorStats
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.problem import Problem

LIMIT = 2**63
"""Timeloop counts with unsigned integers: a count beyond this one was negative."""

_PJ = 1e-12
_LEVEL = re.compile(r"=== (\S+) ===")
_TENSOR = re.compile(r"    (\S+):")
_ENTRY = re.compile(r"\s*(\S[^:]*?)\s*:\s+(\S+)")
_SHARE = re.compile(r"^\s+(\S+)\s+=\s+(\S+)$", re.MULTILINE)
_PRINTED = 0.01  # energies are printed with two decimals: parts in pJ, shares in fJ per compute
_SUMMARY = "Summary Stats"


@dataclass
class _Section:
    """Entries of one level, and of each tensor in it."""

    entries: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, dict[str, str]] = field(default_factory=dict)


def parse_stats(text: str, machine: Machine, problem: Problem) -> Evaluation:
    """The cost that Timeloop reports.

    Args:
        text: content of ``timeloop-mapper.stats.txt`` or ``timeloop-model.stats.txt``.
        machine: what Timeloop was asked to evaluate; the sizes, instances and bandwidths in its report must agree.
        problem: likewise, its multiply-accumulates.

    Raises:
        EngineError: the text is empty, something is missing or not a number, a count was negative, energies do not
            come from the energy reference table, or Timeloop evaluated another machine or problem than asked.
    """
    if not text.strip():
        raise EngineError("Timeloop wrote an empty stats file")
    body, _, summary = text.partition(_SUMMARY)
    sections = _sections(body)
    names = [*(storage.name for storage in machine.storages), machine.compute.name]
    missing = [name for name in names if name not in sections]
    if missing or not summary:
        raise EngineError(f"Timeloop's stats lack {', '.join(missing) or 'the summary'}")
    return _Reader(machine, problem, sections, summary).evaluation()


def _sections(body: str) -> dict[str, _Section]:
    sections: dict[str, _Section] = {}
    entries: dict[str, str] = {}
    for line in body.splitlines():
        if match := _LEVEL.fullmatch(line.strip()):
            section = sections.setdefault(match[1], _Section())
            entries = section.entries
        elif sections and (match := _TENSOR.fullmatch(line.rstrip())):
            entries = section.tensors.setdefault(match[1], {})
        elif match := _ENTRY.match(line):
            entries.setdefault(match[1], match[2])
    return sections


@dataclass
class _Reader:
    machine: Machine
    problem: Problem
    sections: dict[str, _Section]
    summary: str

    @property
    def compute(self) -> dict[str, str]:
        return self.sections[self.machine.compute.name].entries

    def evaluation(self) -> Evaluation:
        computes = self._count(self.compute, "Computes (total)")
        if computes != self.problem.macs:
            raise EngineError(f"Timeloop counted {computes} multiply-accumulates, the problem has {self.problem.macs}")
        cycles = self._count(dict(_entries(self.summary)), "Cycles")
        if cycles < 1:
            raise EngineError("Timeloop reports no cycles")
        levels = {storage.name: self._level(storage) for storage in self.machine.storages}
        lost = [
            space.name for space in self.problem.dataspaces if not any(space.name in v.tensors for v in levels.values())
        ]
        if lost:
            raise EngineError(f"Timeloop lost {', '.join(lost)}: no level holds it")
        compute_J = self._number(self.compute, "Energy (total)") * _PJ
        energy_J = compute_J + sum(level.energy_J + level.leakage_J for level in levels.values())
        total_J = self._share_J("Total")
        parts = 1 + sum(1 + len(level.tensors) for level in levels.values())  # each rounded to what is printed
        rounding_J = _PRINTED * (computes * 1e-15 + parts * _PJ / 2)
        if abs(energy_J - total_J) > rounding_J + 1e-6 * total_J:
            raise EngineError(f"the parts of Timeloop's energy make {energy_J:g} J, its total is {total_J:g} J")
        slowest = max(levels, key=lambda name: levels[name].cycles)
        return Evaluation(
            cycles=cycles,
            computes=computes,
            utilization=computes / (cycles * self.machine.units),
            energy_J=energy_J,
            compute_J=compute_J,
            bound_by="compute" if self._count(self.compute, "Cycles") == cycles else slowest,
            levels=levels,
        )

    def _share_J(self, name: str) -> float:
        """Energy by the summary, which gives it in fJ per compute and leaves out what is nothing."""
        shares = dict(_SHARE.findall(self.summary))
        return self._number(shares, name) * self.problem.macs * 1e-15 if name in shares else 0.0

    def _level(self, storage: Storage) -> LevelStats:
        section = self.sections[storage.name]
        instances = self.machine.instances(storage.name)
        if not section.tensors:
            # Of a level that holds nothing Timeloop prints its share of the energy only: one instance leaks.
            leakage_J = self._share_J(storage.name)
            return LevelStats(instances, 1, self._count(self.compute, "Cycles"), 0.0, leakage_J, {})
        self._check(storage, section.entries)
        tensors = {
            space.name: self._tensor(section.tensors[space.name])
            for space in self.problem.dataspaces
            if space.name in section.tensors
        }
        used = [self._count(entries, "Utilized instances (max)") for entries in section.tensors.values()]
        return LevelStats(
            instances=instances,
            utilized_instances=max(used),
            cycles=self._count(section.entries, "Cycles"),
            energy_J=sum(tensor.energy_J for tensor in tensors.values()),
            leakage_J=self._number(section.entries, "Leakage energy (total)") * _PJ,
            tensors=tensors,
        )

    def _tensor(self, entries: dict[str, str]) -> TensorStats:
        return TensorStats(
            utilized_capacity=self._count(entries, "Utilized capacity"),
            reads=self._count(entries, "Scalar reads (per-instance)"),
            fills=self._count(entries, "Scalar fills (per-instance)"),
            updates=self._count(entries, "Scalar updates (per-instance)"),
            temporal_reductions=self._count(entries, "Temporal reductions (per-instance)"),
            energy_J=self._number(entries, "Energy (total)") * _PJ,
        )

    def _check(self, storage: Storage, entries: dict[str, str]) -> None:
        """The level that Timeloop evaluated is the one that it was given: it drops attributes without a word."""
        asked: dict[str, float | None] = {
            "Word bits": storage.datawidth_bits,
            "Block size": storage.block_words,
            "Cluster size": storage.cluster_size,
            "Instances": self.machine.instances(storage.name),
            "Read bandwidth": storage.read_bandwidth,
            "Write bandwidth": storage.write_bandwidth,
        }
        if storage.depth is not None:
            asked["Size"] = storage.depth * storage.block_words
        for label, value in asked.items():
            printed = entries.get(label, "-")
            got = None if printed == "-" else self._number(entries, label)
            # Printed with two decimals.
            if (value is None) != (got is None) or (value is not None and got is not None and abs(value - got) > 0.006):
                raise EngineError(f"Timeloop ignored an attribute of {storage.name}: {label} is {printed}, not {value}")
        source = entries.get("Vector access energy source", "missing")
        if source != "ERT":
            raise EngineError(f"the energy of {storage.name} is not that of the energy reference table but {source}")

    def _count(self, entries: dict[str, str], label: str) -> int:
        value = self._number(entries, label)
        if value >= LIMIT:
            raise EngineError(f"Timeloop's count {label!r} is {entries[label]}: it went below zero")
        return round(value)

    def _number(self, entries: dict[str, str], label: str) -> float:
        if label not in entries:
            raise EngineError(f"Timeloop's stats lack {label!r}")
        try:
            value = float(entries[label].rstrip("%"))
        except ValueError:
            raise EngineError(f"Timeloop's {label!r} is no number: {entries[label]}") from None
        if not math.isfinite(value) or value < 0:
            raise EngineError(f"Timeloop's {label!r} cannot be true: {entries[label]}")
        return value


def _entries(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for line in text.splitlines() if (match := _ENTRY.match(line))]
