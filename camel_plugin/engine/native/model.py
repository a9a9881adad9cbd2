"""The native model: what a mapping costs, for many mappings at once."""

from __future__ import annotations

from camel_plugin.arch.machine import Machine
from camel_plugin.engine.base import Evaluation
from camel_plugin.engine.mapping import Mapping
from camel_plugin.engine.native.batch import MappingBatch
from camel_plugin.engine.native.result import BatchResult
from camel_plugin.engine.native.rules import TIMELOOP, Rules
from camel_plugin.workload.problem import Problem


class Model:
    """Evaluates mappings of one problem on one machine."""

    def __init__(self, machine: Machine, problem: Problem, rules: Rules = TIMELOOP) -> None:
        self.machine = machine
        self.problem = problem
        self.rules = rules

    def evaluate(self, batch: MappingBatch) -> BatchResult:
        """Costs of every mapping of ``batch``."""
        raise NotImplementedError

    def report(self, result: BatchResult, index: int) -> Evaluation:
        """Mapping number ``index`` of ``result`` in the form that every engine returns."""
        raise NotImplementedError


def evaluate(machine: Machine, problem: Problem, mapping: Mapping, rules: Rules = TIMELOOP) -> Evaluation:
    """Cost of one mapping."""
    model = Model(machine, problem, rules)
    return model.report(model.evaluate(MappingBatch.from_mappings(machine, problem, [mapping])), 0)
