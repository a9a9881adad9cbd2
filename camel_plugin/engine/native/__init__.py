"""The native engine: maps a problem on a machine, optimally or with a stated gap, without any external tool."""

import math
import time
from collections.abc import Callable
from importlib.metadata import version as package_version
from pathlib import Path

from camel_plugin.cache import source_digest
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.model_rules import TIMELOOP, ModelRules
from camel_plugin.engine.native.search import Search
from camel_plugin.errors import EngineError, InfeasibleError
from camel_plugin.mapspace.feasibility import UNEXPLAINED, shortfalls
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

Progress = Callable[[float, float], None]
"""Called during a search with the best value and the lower bound so far."""


class NativeEngine:
    """Engine that searches Timeloop's map space with the native model.

    Args:
        rules: which of Timeloop's accounting rules to follow.
        progress: told the state of a long search.
        keep_on_interrupt: Ctrl-C ends the search with the best mapping so far, if there is one.
    """

    name = "native"
    weighs_refresh = True

    def __init__(
        self, rules: ModelRules = TIMELOOP, progress: Progress | None = None, keep_on_interrupt: bool = False
    ) -> None:
        self.rules = rules
        self.progress = progress
        self.keep_on_interrupt = keep_on_interrupt

    def version(self) -> str:
        """Version of this package and a digest of the engine's sources: no stale result survives a change."""
        return f"{package_version('camel-plugin')}+{source_digest(Path(__file__).parent)}"

    def map(self, task: Task, objective: Objective, budget_s: float) -> MapResult:
        """The best mapping and a bound that no mapping is below.

        The same input gives the same result, unless ``budget_s`` cuts the search off; a result without proof
        has an ``optimality_gap`` above 0.

        Raises:
            InfeasibleError: no mapping is valid; says what is missing.
            EngineError: the budget ran out before any valid mapping was found.
        """
        start = time.perf_counter()
        space = MapSpace(task)
        model = Model(task, self.rules)
        search = Search(space, model, Objective(objective), budget_s, self.progress)
        try:
            search.run()
        except KeyboardInterrupt:
            if not self.keep_on_interrupt or search.best.batch is None:
                raise
        best = search.best
        if best.batch is None:
            missing = shortfalls(space)
            if math.isfinite(search.bound) and not missing:
                raise EngineError(f"no valid mapping of {task.problem.name} found within {budget_s:g} s")
            raise InfeasibleError(f"{task.name or task.problem.name} on {task.machine.name}", missing or (UNEXPLAINED,))
        return MapResult(
            mapping=best.batch.mapping(0),
            evaluation=model.report(model.evaluate(best.batch), 0),
            objective=Objective(objective),
            value=best.value,
            lower_bound=search.bound,
            evaluated=best.evaluated,
            wall_s=time.perf_counter() - start,
        )
