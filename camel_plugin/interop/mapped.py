"""What Timeloop's model needs beside each mapping of a result."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.engine.timeloop.limits import as_mapped
from camel_plugin.engine.timeloop.tools import FRONT_END
from camel_plugin.files.schema import items
from camel_plugin.files.v04 import write_mapping, write_problem
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.schedule.residency import task
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.step import Operation

TEXT = """\
# The mappings of this result in Timeloop

`mapped.csv` names for each operation the machine and the problem that its mapping goes with; `mapping_file` in
`../operations.csv` names the mapping. The machine has the sizes of `{name}.yaml`, less the rows that tensors at rest
take, and keeps and bypasses what the mapping does: Timeloop's front end joins a mapping with the constraints of a
machine and takes equal ones only, and a tensor that rests on chip bypasses the DRAM, which `{name}.yaml` has keep it.

    python translate.py model input.yaml mapped/000.yaml problems/PROBLEM.yaml ../mappings/MAPPING.yaml
    timeloop-model input.yaml {name}.ERT.yaml

Cycles, counts and energies are those of one run of the operation. The result has more, because Timeloop sees one
operation that starts from nothing:

- A gradient that is summed over runs is read once before each run adds to it: `read_again_words` from
  `read_again_level`, for `read_again_J`. That doubles the traffic of a gradient that rests in the DRAM.
- A padded problem is mapped in full; the result names the multiply-accumulates of the problem itself.
- A step has `repeats` runs, refresh and what waits for it, operations of the vector unit, and moves between memories.
- Every instance leaks there, used or not, and so do the multiply-accumulate units.
"""


def mapped_files(plan: Plan, problems: dict[Problem, str]) -> dict[str, str]:
    """Machines, padded problems and an index for the mappings of a plan, and how to run them, relative path -> text.

    Operations whose values a recipe has given a size of their own are left out: Timeloop has no words for them.

    Args:
        plan: with its mappings.
        problems: of the step -> path of the file.
    """
    problems = dict(problems)
    machines: dict[str, str] = {}
    padded: dict[str, str] = {}
    index = io.StringIO()
    rows = csv.writer(index)
    rows.writerow(
        ["operation", "architecture", "problem", "repeats", "read_again_words", "read_again_level", "read_again_J"]
    )
    for operation, mapping, problem in _mapped(plan):
        if problem not in problems:
            problems[problem] = f"timeloop/problems/{len(problems):03d}-{problem.shape}-padded.yaml"
            padded[problems[problem]] = write_problem(problem)
        text = _machine(plan, operation, mapping, problem)
        path = machines.setdefault(text, f"timeloop/mapped/{len(machines):03d}.yaml")
        repeats = plan.step.trips(operation.name)
        rows.writerow([operation.name, path, problems[problem], repeats, *_read_again(plan, operation)])
    if not machines:
        return {}
    return {
        **{path: text for text, path in machines.items()},
        **padded,
        "timeloop/mapped.csv": index.getvalue(),
        "timeloop/mapped.md": TEXT.format(name=plan.machine.name),
        "timeloop/translate.py": FRONT_END.read_text(encoding="utf-8"),
    }


def _mapped(plan: Plan) -> Iterator[tuple[Operation, Mapping, Problem]]:
    """Operations with a mapping that Timeloop has words for, and the problem that was mapped."""
    for operation in plan.step.operations:
        chosen, problem = plan.mappings.get(operation.name), plan.mapped_problem(operation)
        if chosen is None or problem is None:
            continue
        if all(size == 1 for size in task(plan, operation).value_words.values()):
            yield operation, chosen.mapping, problem


def _machine(plan: Plan, operation: Operation, mapping: Mapping, problem: Problem) -> str:
    """The machine of a mapping, with the factors that the mapping as written leaves to the whole machine."""
    text = write_mapping(mapping, plan.machine, problem)
    directives = items(load_yaml_text(text, operation.name).at(["mapping"]))
    loops = [each.plain() for each in directives if each.at(["type"]).value in ("temporal", "spatial")]
    left_out = {}
    for node, written in zip(mapping.nodes, loops, strict=True):
        said = {factor.partition("=")[0] for factor in written.get("factors", ())}
        left_out[node.target] = {name: node.factor(name) for name in problem.dimensions if name not in said}
    return write_architecture(as_mapped(replace(task(plan, operation), problem=problem), mapping, left_out), problem)


def _read_again(plan: Plan, operation: Operation) -> tuple[int, str, float]:
    """Words of a tensor that the operation adds to, where it rests, and the energy of reading them."""
    for name in operation.reads:
        if name in operation.writes:
            words, level = plan.step.tensors[name].words(), plan.machine.storage(plan.home_levels[name])
            return words, level.name, level.rows(words) * level.energy.read_J
    return 0, "", 0.0
