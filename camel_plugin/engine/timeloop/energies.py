"""The energies that the user's own Accelergy gives for a machine, in place of the built-in ones."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from camel_plugin.engine.timeloop import tools
from camel_plugin.engine.timeloop.limits import limited_text
from camel_plugin.engine.timeloop.process import run
from camel_plugin.errors import CamelError, EngineError
from camel_plugin.files.v04 import ert as ert_file
from camel_plugin.files.v04 import write_problem
from camel_plugin.files.yaml_source import YamlNode, load_yaml, load_yaml_text
from camel_plugin.spec.machine import Compute, Machine, Node, Storage, StorageEnergy
from camel_plugin.spec.problem import Dataspace, Problem

_ANY_PROBLEM = Problem(
    ("C", "M", "R", "S", "N", "P", "Q"),
    (1, 1, 1, 1, 1, 1, 1),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
        Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 1)), (("S", 1), ("Q", 1)))),
        Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
    ),
)
"""The front end wants a problem; energies do not depend on it."""


def with_accelergy_energies(machine: Machine) -> Machine:
    """The machine with the energies of its components as Accelergy estimates them.

    Accelergy is asked about the files that the machine was made from, whose storages have their full size. Its areas
    are not taken. A storage that is refreshed keeps its own leakage: worst-case refresh is part of Accelergy's, and
    refresh is accounted after mapping here.

    Raises:
        EngineError: Accelergy or Timeloop's front end is missing, or Accelergy failed, left a component out, or let
            its dummy table answer; names the folder with the log.
    """
    if not machine.yaml:
        raise EngineError(f"{machine.name} was not read from v0.4 files, so Accelergy cannot be asked about it")
    accelergy, front_end = tools.program("accelergy"), tools.front_end()
    folder = Path(tempfile.mkdtemp(prefix="camel-accelergy-"))
    try:
        files = {"machine.yaml": limited_text(machine)}
        if "problem" not in load_yaml_text(machine.yaml, "machine.yaml").plain():
            files["problem.yaml"] = write_problem(_ANY_PROBLEM)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        run([front_end.python, str(tools.FRONT_END), "mapper", "input.yaml", *files], folder)
        run([accelergy, "input.yaml", "-v", "-o", "out"], folder)
        energies = _read(folder / "out", machine)
    except CamelError as error:
        raise EngineError(f"Accelergy on {machine.name}: {error}; files and log are in {folder}") from error
    shutil.rmtree(folder, ignore_errors=True)
    return replace(machine, nodes=tuple(_replaced(node, energies, machine.cycle_s) for node in machine.nodes))


@dataclass(frozen=True)
class _Answer:
    """What Accelergy says of a component, and which of its estimators say it."""

    row: ert_file.Row
    estimators: str


def _read(output: Path, machine: Machine) -> dict[str, _Answer]:
    table, summary = output / "ERT.yaml", output / "ERT_summary_verbose.yaml"
    for file in (table, summary):
        # Accelergy exits well after some of its failures, and leaves empty files.
        if not file.is_file() or not file.read_text(encoding="utf-8").strip():
            raise EngineError(f"it exited well but wrote no {file.name}")
    answered = dict(_estimators(load_yaml(summary)))
    rows, answers = ert_file.read_ert(table), {}
    for node in machine.nodes:
        if isinstance(node, Storage | Compute):
            if node.name not in rows:
                raise EngineError(f"it left {node.name} out")
            estimator = answered.get(node.name, "nobody known")
            if "dummy" in estimator.lower() or node.name not in answered:
                raise EngineError(f"the energy of {node.name} comes from {estimator}, not from an estimator")
            answers[node.name] = _Answer(rows[node.name], estimator)
    return answers


def _estimators(summary: YamlNode) -> Iterator[tuple[str, str]]:
    """Component -> the estimators that answered for it, from Accelergy's verbose summary.

    A primitive component has one entry, under its name; a compound one has an entry for each of its actions, with the
    actions of its parts.
    """
    for table in summary.plain()["ERT_summary"]["table_summary"]:
        name = str(table["name"]).split("[", 1)[0].split(".")[-1]
        used = [who for each in table.get("primitive_estimation(s)") or [] for who in _named(each)]
        yield name, ", ".join(dict.fromkeys(used)) or "nobody"


def _named(estimation: Mapping[str, Any]) -> Iterator[str]:
    """Estimators behind a primitive component, or behind one action of a compound one."""
    parts = estimation.get("subaction_estimations")
    for content in estimation.values() if parts is None else parts:
        yield str(content.get("estimator"))


def _replaced(node: Node, answers: Mapping[str, _Answer], cycle_s: float) -> Node:
    if not isinstance(node, Storage | Compute):
        return node
    answer = answers[node.name]
    table, place, source = answer.row.energies_J, answer.row.node, f"installed Accelergy ({answer.estimators})"
    if isinstance(node, Storage):
        leakage = node.energy.leakage_J_per_cycle if node.edram else table.get("leak", 0.0)
        return replace(
            node,
            energy=StorageEnergy(
                read_J=ert_file.energy(table, ert_file.READ, place),
                write_J=ert_file.energy(table, ert_file.WRITE, place),
                update_J=ert_file.energy(table, ert_file.UPDATE, place),
                leakage_J_per_cycle=leakage,
            ),
            energy_source=source,
        )
    return replace(
        node,
        energy_J=ert_file.energy(table, ert_file.COMPUTE, place),
        leakage_W=table.get("leak", 0.0) / cycle_s,
        energy_source=source,
    )
