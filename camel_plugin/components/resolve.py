"""A machine of what Timeloop v0.4 files say: every component gets its energies, leakage, area and cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from camel_plugin.components.compound import estimate_component
from camel_plugin.components.constant import ComponentCost
from camel_plugin.components.retention import refresh_power
from camel_plugin.errors import nearest
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source
from camel_plugin.files.v04 import ert as ert_file
from camel_plugin.files.v04.reader import Architecture, Component, read_architecture
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage, StorageEnergy, VectorUnit
from camel_plugin.spec.problem import Problem

_PRINTED = 1e-4
"""Accelergy prints six digits, and may have another version of the component models."""
_FRONT_END: Mapping[str, object] = {"n_banks": 2}
"""What Timeloop's front end adds to a storage that does not say so itself."""


def read_machine(
    sources: Sequence[Source],
    *,
    ert: Path | None = None,
    fill_ert: bool = False,
    name: str | None = None,
    problem: Problem | None = None,
    reading: Reading = AS_THEY_LIE,
) -> Machine:
    """The machine that Timeloop v0.4 files describe.

    Args:
        sources: files, or (label, text) pairs; merged as Timeloop's front end merges them.
        ert: energies in Accelergy's ERT.yaml form, in place of an ``ERT`` section in the sources; they have all scales
            in them already, and the components in it are not estimated.
        fill_ert: estimate what the table leaves out, and note it, instead of refusing the table.
        name: of the machine; by default that of the first file with an architecture.
        problem: see :func:`camel_plugin.files.v04.reader.read_architecture`.
        reading: how the files are read.

    Raises:
        SpecError: with file, line, field, value and the nearest valid name.
    """
    architecture = read_architecture(sources, problem, reading)
    section = architecture.ert
    tables = ert_file.read_ert(ert) if ert else ert_file.parse_ert(section) if section else {}
    label = str(ert or (section and section.file))
    notes = _compared(architecture, tables, label, fill=fill_ert) if ert or section else []
    if tables:
        notes.append("area: not in an energy reference table, so that it counts as 0 for the components in it")
    resolver = _Resolver(architecture, tables, notes)
    vector, machine = resolver.vector(), architecture.machine
    return replace(
        machine,
        name=name or machine.name,
        nodes=tuple(node if isinstance(node, Fanout) else resolver.unit(node) for node in machine.nodes),
        vector=vector,
        unconfirmed=tuple(dict.fromkeys((*resolver.unconfirmed, *machine.unconfirmed))),
    )


def _compared(architecture: Architecture, tables: Mapping[str, ert_file.Row], ert: str, *, fill: bool) -> list[str]:
    """Notes on components without a row and rows without a component; without ``fill`` the first one is refused."""
    fanouts = [node.name for node in architecture.machine.nodes if isinstance(node, Fanout)]
    known = {*architecture.components, *fanouts, *(f"inter_{name}_spatial" for name in fanouts)}
    notes = []
    for name, component in architecture.components.items():
        if name not in tables:
            if not fill:
                raise component.node.at(["name"]).error(
                    f"the energy reference table {ert} has no row for this component",
                    value=name,
                    suggestion=nearest(name, sorted(tables)),
                )
            notes.append(f"{name}: not in the energy reference table, so estimated here")
    for name, row in tables.items():
        if name not in known:
            if not fill:
                raise row.node.at(["name"]).error(
                    "no component of the architecture has this name",
                    value=name,
                    suggestion=nearest(name, sorted(architecture.components)),
                )
            notes.append(f"row {name} of the energy reference table belongs to no component")
    return notes


class _Resolver:
    """Prices components and collects what their prices assume."""

    def __init__(self, architecture: Architecture, ert: Mapping[str, ert_file.Row], notes: Sequence[str]) -> None:
        self.architecture = architecture
        self.ert = ert
        self.unconfirmed = list(notes)

    def vector(self) -> VectorUnit | None:
        """The vector unit."""
        if self.architecture.vector is None:
            return None
        component, lanes = self.architecture.vector
        cost = self._estimate(component, component.attributes)
        return VectorUnit(lanes, ert_file.energy(cost.actions_J, ("compute",), component.node), cost.rule)

    def unit(self, unit: Storage | Compute) -> Storage | Compute:
        """A storage or compute unit: the ERT's energies if it has the component, else those of the estimator."""
        component = self.architecture.components[unit.name]
        row = self.ert.get(unit.name)
        is_edram = isinstance(unit, Storage) and unit.technology == "edram"
        cost = None
        if row is None or is_edram:
            added = _FRONT_END if isinstance(unit, Storage) else {}
            timed = {"global_cycle_seconds": component.cycle_s, **added, **component.attributes}
            cost = self._estimate(component, timed)
        if row is not None:
            table, place, source, scale = row.energies_J, row.node, f"ERT row {row.label}", 1.0
            leakage_J = table.get("leak", 0.0)
            if cost is not None:
                leakage_J = self._without_refresh(leakage_J, cost, component, place)
        else:
            assert cost is not None
            table, place, source, scale = cost.actions_J, component.node, cost.rule, component.energy_scale
            leakage_J = cost.leakage_W * component.cycle_s * scale
        area_m2 = cost.area_m2 * component.area_scale if cost else 0.0

        def energy_J(names: tuple[str, ...]) -> float:
            return ert_file.energy(table, names, place) * scale

        if not isinstance(unit, Storage):
            return replace(
                unit,
                energy_J=energy_J(ert_file.COMPUTE),
                leakage_W=leakage_J / component.cycle_s,
                area_m2=area_m2,
                energy_source=source,
            )
        read, write, update = (energy_J(names) for names in (ert_file.READ, ert_file.WRITE, ert_file.UPDATE))
        cells = cost.edram if cost and is_edram else None
        energies = StorageEnergy(read, write, update, leakage_J)
        return replace(unit, energy=energies, area_m2=area_m2, edram=cells, energy_source=source)

    def _without_refresh(self, leak_J: float, cost: ComponentCost, component: Component, place: YamlNode) -> float:
        """The ``leak`` of an ERT without the worst-case refresh that our plug-in for Accelergy puts into it by default.

        Refresh is accounted after mapping here. Its power tells whether it is in there; where a table has another
        leakage than the component model, ``refresh_policy`` does.
        """
        if cost.edram is None:
            return leak_J
        static_J, refresh_J = (power_W * component.cycle_s for power_W in (cost.leakage_W, refresh_power(cost.edram)))
        policy = component.attributes.get("refresh_policy")
        if math.isclose(leak_J, static_J, rel_tol=_PRINTED):
            return leak_J
        if math.isclose(leak_J, static_J + refresh_J, rel_tol=_PRINTED):
            return leak_J - refresh_J
        if policy == "worst_case" and leak_J < refresh_J:
            raise place.error(
                f"the leak of {component.unit.name} cannot hold the {refresh_J / 1e-12:.6g} pJ a cycle of worst-case "
                "refresh that refresh_policy says it does",
                value=f"{leak_J / 1e-12:.6g} pJ",
                suggestion='refresh_policy: "none" says that it holds none',
            )
        if policy is None and leak_J >= refresh_J:
            self.unconfirmed.append(f"{component.unit.name}: leak of the ERT, taken to hold no refresh")
        return leak_J - refresh_J if policy == "worst_case" else leak_J

    def _estimate(self, component: Component, attributes: Mapping[str, object]) -> ComponentCost:
        cost = estimate_component(component.kind, attributes, self.architecture.classes, component.node)
        self.unconfirmed += [f"{component.unit.name}: {note}" for note in cost.unconfirmed]
        return cost
