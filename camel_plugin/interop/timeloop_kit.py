"""Everything that a user of Timeloop needs to map a training step with the real tools, without this package."""

import csv
import io

from camel_plugin.engine.timeloop import write_mapper
from camel_plugin.engine.timeloop.limits import laid_out
from camel_plugin.engine.timeloop.tools import FRONT_END
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.interop.accelergy.architecture import write_accelergy
from camel_plugin.interop.specs import machine_files, problem_files
from camel_plugin.schedule.residency import task
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import Plan

README = """\
# {name} for Timeloop and Accelergy

`{name}.yaml` is the machine, with the classes of its components; `{name}.ERT.yaml` holds their energies, for users
without the estimators of camel-plugin. `mapper.yaml` are the settings of the mapper.

One problem on the whole machine, every tensor from DRAM. `translate.py` runs Timeloop's own front end (pytimeloop or
timeloopfe, Python) and needs nothing else; a fresh folder for each run, because output files have fixed names:

    python translate.py mapper input.yaml {name}.yaml mapper.yaml PROBLEM.yaml
    timeloop-mapper input.yaml {name}.ERT.yaml

Without the second file timeloop-mapper asks Accelergy, which then needs camel-plugin in its environment. There the
leakage of an eDRAM includes its worst-case refresh; in `{name}.ERT.yaml` refresh is left out.

Accelergy alone, with action counts of yours if you have some:

    accelergy {name}.accelergy.yaml [COUNTS.yaml] -o OUT
"""
STEP = """
`problems/` are the distinct problems of the training step, `problems.csv` says which operation is which. Tensors of
the step rest on chip between operations; `operations.csv` names for each operation its problem and, in `operations/`,
the machine as it is left for it: residents bypass DRAM, and no loop outside their home runs over their dimensions or,
where the other tensors would not fit then, their rows are taken from their home.

    python translate.py mapper input.yaml operations/000.yaml mapper.yaml problems/PROBLEM.yaml
    timeloop-mapper input.yaml {name}.ERT.yaml

They constrain a mapper. A mapping that is found already goes with the machines that `camel eval --out` writes.
"""


def timeloop_files(machine: Machine, plan: Plan | None = None) -> dict[str, str]:
    """Relative path -> text of the machine's files and of those of a training step that is planned on it.

    Raises:
        InputError: the step has formats that Timeloop has no words for.
    """
    files = {
        **machine_files(machine),
        f"timeloop/{machine.name}.accelergy.yaml": write_accelergy(machine),
        "timeloop/mapper.yaml": write_mapper(Objective.EDP),
        "timeloop/translate.py": FRONT_END.read_text(encoding="utf-8"),
        "timeloop/README.md": README.format(name=machine.name),
    }
    if plan is not None:
        problems = problem_files(plan.step)
        files |= problems | _operation_files(plan, problems["timeloop/problems.csv"])
        files["timeloop/README.md"] += STEP.format(name=machine.name)
    return files


def _operation_files(plan: Plan, problems: str) -> dict[str, str]:
    """The machine as it is left for each operation, each distinct one once, and their index."""
    problem_of = {row["operation"]: row["problem"] for row in csv.DictReader(io.StringIO(problems))}
    paths: dict[str, str] = {}
    index = io.StringIO()
    rows = csv.writer(index)
    rows.writerow(["operation", "architecture", "problem", "repeats"])
    for operation in plan.step.operations:
        if operation.problem is None:
            continue
        each = task(plan, operation)
        machine, homes = laid_out(each)
        text = write_architecture(machine, operation.problem, homes)
        path = paths.setdefault(text, f"timeloop/operations/{len(paths):03d}.yaml")
        rows.writerow([operation.name, path, problem_of[operation.name], plan.step.trips(operation.name)])
    return {**{path: text for text, path in paths.items()}, "timeloop/operations.csv": index.getvalue()}
