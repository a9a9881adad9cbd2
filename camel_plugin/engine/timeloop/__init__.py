"""The Timeloop engine: v0.4 files written, the real tools run on them, and their answer distrusted."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from camel_plugin.engine.native.tile_times import tile_stays
from camel_plugin.engine.timeloop import tools
from camel_plugin.engine.timeloop.binary_input import write_input
from camel_plugin.engine.timeloop.limits import as_mapped, laid_out
from camel_plugin.engine.timeloop.process import LOG, cause, run
from camel_plugin.engine.timeloop.stats import parse_stats
from camel_plugin.errors import CamelError, EngineError, InfeasibleError
from camel_plugin.files.v04 import read_mapping, write_ert, write_mapping, write_problem
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.files.yaml_source import load_yaml
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.mapspace.feasibility import shortfalls
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.evaluation import Evaluation, MapResult
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.task import Task

METRICS = {Objective.EDP: ["edp"], Objective.ENERGY: ["energy", "delay"], Objective.LATENCY: ["delay", "energy"]}

DIAGNOSED, DIAGNOSIS_S = 1000, 20.0
"""Invalid mappings, and seconds, for finding out why there are no valid ones."""

_EXAMINED = re.compile(rb"\] INVALID (\d+)")
_REFUSED = re.compile(r"Level: (\S+)\s+Fail count: (\d+)\n.*?Fail reason: ([^\n]*)", re.DOTALL)


class TimeloopEngine:
    """Engine that runs ``timeloop-mapper``, one fresh folder a problem.

    Energies are those of the machine, passed in as an energy reference table, so that Accelergy is not asked.

    Args:
        threads: of the mapper. With more than one the result depends on their race, not only on the input.
        patience: valid mappings without an improvement after which the mapper stops by itself.
        keep: folder in which every run leaves its own folder; None removes them where all is well.
    """

    name = "timeloop"
    weighs_refresh = False

    def __init__(self, threads: int = 1, patience: int = 500, keep: Path | None = None) -> None:
        self.threads = threads
        self.patience = patience
        self.keep = keep

    def version(self) -> str:
        """The mapper's digest, for it has no version, the front end, and the settings of the search.

        Raises:
            EngineError: a tool is missing; says how to get it.
        """
        mapper = tools.digest(tools.program("timeloop-mapper"))
        front_end = tools.front_end_if_any()
        translator = front_end.package if front_end else "without front end,"
        return f"{mapper} {translator} threads={self.threads} patience={self.patience}"

    def map(self, task: Task, objective: Objective, budget_s: float) -> MapResult:
        """The best mapping that ``timeloop-mapper`` finds; its lower bound is that of the arithmetic alone.

        What rests on chip restricts the loops (:func:`laid_out`), so the result can be worse than the native engine's.

        Raises:
            InfeasibleError: no valid mapping exists; says what is missing.
            EngineError: a tool is missing or failed, or what it wrote cannot be true; names the folder with its log.
        """
        start, objective, problem = time.perf_counter(), Objective(objective), task.problem
        machine, homes = laid_out(task)
        files = {
            "architecture.yaml": write_architecture(machine, problem, homes),
            "problem.yaml": write_problem(problem),
            "mapper.yaml": write_mapper(objective, self.threads, self.patience),
        }
        with _Job(machine, problem, files, self.keep) as job:
            job.translate("mapper", expect={"mapper": {"optimization_metrics": METRICS[objective]}})
            job.run("timeloop-mapper", budget_s)
            text = job.output("timeloop-mapper.map.yaml")
            if not text:
                if missing := shortfalls(MapSpace(task)):
                    raise InfeasibleError(f"{task.name or problem.name} on {machine.name}", missing)
                refused = self._refusals(job, objective)
                raise EngineError(f"timeloop-mapper found no valid mapping within {budget_s:g} s; {refused}")
            mapping = read_mapping([("timeloop-mapper.map.yaml", text)], machine, problem)
            evaluation = _evaluation(job.output("timeloop-mapper.stats.txt"), machine, task, mapping)
            examined = job.examined()
        least_s = problem.macs / machine.units * machine.cycle_s
        return MapResult(
            mapping=mapping,
            evaluation=evaluation,
            objective=objective,
            value=objective.of(evaluation.energy_J, evaluation.cycles * machine.cycle_s),
            lower_bound=objective.of(evaluation.compute_J, least_s),
            evaluated=examined,
            wall_s=time.perf_counter() - start,
        )

    def _refusals(self, job: _Job, objective: Objective) -> str:
        """Why the mapper refuses mappings, by a few that it makes in a second run with its diagnostics."""
        mapper = write_mapper(objective, patience=self.patience, diagnosed=DIAGNOSED)
        try:
            with _Job(job.machine, job.problem, {**job.files, "mapper.yaml": mapper}, job.folder) as again:
                again.translate("mapper", expect={"mapper": {"diagnostics": True}})
                again.run("timeloop-mapper", DIAGNOSIS_S)
                return again.refusals()
        except EngineError as error:
            return f"nor can it say why: {error}"

    def evaluate(self, task: Task, mapping: Mapping) -> Evaluation:
        """What ``timeloop-model`` says of one mapping.

        Raises:
            EngineError: as for :meth:`map`.
        """
        problem = task.problem
        bare = as_mapped(task, mapping)
        files = {
            "architecture.yaml": write_architecture(bare, problem),
            "problem.yaml": write_problem(problem),
            "mapping.yaml": write_mapping(mapping, bare, problem),
        }
        with _Job(bare, problem, files, self.keep) as job:
            job.translate("model", expect={})
            job.run("timeloop-model")
            return _evaluation(job.output("timeloop-model.stats.txt"), bare, task, mapping)


def write_mapper(objective: Objective, threads: int = 1, patience: int = 500, diagnosed: int = 0) -> str:
    """The mapper section; see :class:`TimeloopEngine`.

    Args:
        objective: to search for.
        threads: see there.
        patience: see there.
        diagnosed: invalid mappings after which it stops and says what was wrong with them; 0 for a search.
    """
    settings: dict[str, object] = {
        "version": 0.4,
        "algorithm": "random",
        "num_threads": threads,
        "victory_condition": patience,
        "timeout": diagnosed or 10**9,
        "log_stats": True,
        "optimization_metrics": METRICS[objective],
    }
    if diagnosed:
        settings["diagnostics"] = True
    return dump_yaml({"mapper": settings})


class _Job:
    """A folder with the files of one run. It goes when all is well and stays, with the log, when something fails."""

    def __init__(self, machine: Machine, problem: Problem, files: dict[str, str], keep: Path | None) -> None:
        self.machine, self.problem, self.files, self.keep = machine, problem, files, keep
        self.folder = Path()

    def __enter__(self) -> _Job:
        self.folder = Path(tempfile.mkdtemp(prefix="camel-timeloop-", dir=self.keep))
        for name, text in {**self.files, "ERT.yaml": write_ert(self.machine)}.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CamelError) and not isinstance(error, InfeasibleError):
            raise EngineError(f"{error}; files and log are in {self.folder}") from error
        if self.keep is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def translate(self, kind: str, expect: dict[str, dict[str, object]]) -> None:
        """Let the front end, if any, write ``input.yaml``, and check that nothing of ``expect`` was dropped."""
        if front_end := tools.front_end_if_any():
            run([front_end.python, str(tools.FRONT_END), kind, "input.yaml", *self.files], self.folder)
        else:
            (self.folder / "input.yaml").write_text(write_input(self.files), encoding="utf-8")
        written = load_yaml(self.folder / "input.yaml").plain()
        for section, entries in expect.items():
            for key, value in entries.items():
                got = (written.get(section) or {}).get(key)
                if got != value:
                    raise EngineError(f"the front end ignored {section}.{key}: it is {got!r}, not {value!r}")

    def run(self, name: str, budget_s: float | None = None) -> None:
        """Run a binary on what the front end wrote; relative names, for Timeloop breaks paths at spaces."""
        run([tools.program(name), "input.yaml", "ERT.yaml"], self.folder, budget_s)

    def output(self, name: str) -> str:
        """Text of an output file, which Timeloop writes, empty, also where it failed.

        Raises:
            EngineError: there is none.
        """
        path = self.folder / name
        if not path.is_file():
            raise EngineError(f"Timeloop exited well but wrote no {name}: {cause(self.folder)}")
        return path.read_text(encoding="utf-8")

    def examined(self) -> int:
        """Mappings looked at, by the mapper's log."""
        counts = _EXAMINED.findall((self.folder / LOG).read_bytes())
        return int(counts[-1]) + 1 if counts else 0

    def refusals(self) -> str:
        """Where mappings failed and the reason of one of them, by the mapper's diagnostics, the most frequent first."""
        found = _REFUSED.findall((self.folder / LOG).read_text(encoding="utf-8", errors="replace"))
        if not found:
            return f"it says {cause(self.folder)!r}"
        found.sort(key=lambda each: -int(each[1]))
        return "it refuses " + ", ".join(f"{count} at {level} ({reason.strip()})" for level, count, reason in found)


def _evaluation(stats: str, machine: Machine, task: Task, mapping: Mapping) -> Evaluation:
    """What Timeloop said of a mapping; it says nothing of how long tiles stay, and takes a resident for its tile."""
    problem = task.problem
    found = parse_stats(stats, machine, problem)
    levels = dict(found.levels)
    for dataspace, home in task.homes.items():
        tensors = levels[home].tensors
        whole = replace(tensors[dataspace], utilized_capacity=problem.volume(dataspace))
        levels[home] = replace(levels[home], tensors={**tensors, dataspace: whole})
    return replace(found, levels=levels, tiles=tile_stays(machine, problem, mapping))
