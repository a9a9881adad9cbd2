"""Native model against the real Timeloop, where it is present, on machines and problems that nobody recorded."""

import csv
import re
import subprocess

import pytest
from timeloop_parity import differences

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.timeloop import TimeloopEngine, tools
from camel_plugin.errors import EngineError
from camel_plugin.interop.specs import result_files
from camel_plugin.pipeline import evaluate as evaluate_step
from camel_plugin.report import export
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

CONV = Problem(
    ("C", "M", "R", "S", "N", "P", "Q"),
    (8, 12, 3, 3, 2, 6, 10),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
        Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 2)), (("S", 1), ("Q", 2)))),
        Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
    ),
    name="strided",
)
CAMEL, EYERISS = load_machine("camel"), load_machine("eyeriss")
TASKS = {
    "camel at 60 C": Task(load_machine("camel", temperature_C=60), CONV),
    "camel 4 x 8": Task(load_machine("camel", {"array_rows": "4", "array_columns": "8"}), CONV),
    "camel, resident": Task(CAMEL, CONV, {"Inputs": "act_edram", "Outputs": "act_edram"}),
    "camel, all resident": Task(CAMEL, CONV, {"Inputs": "act_edram", "Outputs": "act_edram", "Weights": "w_sram"}),
    "camel-sram": Task(load_machine("camel-sram"), CONV),
    "eyeriss": Task(EYERISS, CONV),
    "eyeriss, resident": Task(EYERISS, CONV, {"Inputs": "shared_glb"}),
    # Outside the home no dimension is left for the inputs, which do not fit as a whole.
    "eyeriss, residents that leave no room": Task(
        load_machine("eyeriss", {"glb_kib": "8"}), CONV, {"Weights": "shared_glb", "Outputs": "shared_glb"}
    ),
    "rana": Task(load_machine("rana"), CONV),
}


@pytest.fixture(params=["front end", "binaries alone"])
def engine(request, monkeypatch):
    try:
        tools.program("timeloop-mapper")
        if request.param == "front end":
            tools.front_end()
        else:
            monkeypatch.setattr(tools, "front_end_if_any", lambda: None)
    except EngineError as error:
        pytest.skip(str(error))
    return TimeloopEngine(patience=50)


@pytest.mark.parametrize("name", TASKS)
def test_the_mapping_that_timeloop_chose(engine, name):
    found = engine.map(TASKS[name], Objective.EDP, 10.0)
    assert differences(evaluate(TASKS[name], found.mapping), found.evaluation) == []


@pytest.mark.parametrize("name", TASKS)
def test_the_mapping_that_the_native_engine_chose(engine, name):
    found = NativeEngine().map(TASKS[name], Objective.EDP, 1.0)
    assert differences(found.evaluation, engine.evaluate(TASKS[name], found.mapping)) == []


@pytest.mark.parametrize("arch", ["camel", "eyeriss"])
def test_the_mappings_of_a_result_as_they_lie(arch, tmp_path):
    """Joined by the front end with what lies beside them, whatever the constraints of the machine."""
    try:
        model, front_end = tools.program("timeloop-model"), tools.front_end()
    except EngineError as error:
        pytest.skip(str(error))
    result = evaluate_step(arch, "lenet5")
    export.write(result, tmp_path / "out", extra=result_files(result))
    folder = tmp_path / "out" / "timeloop"
    mapping_of = {row["name"]: row["mapping_file"] for row in rows(tmp_path / "out" / "operations.csv")}
    costs = {each.name: each.cost for each in result.operations}
    index = rows(folder / "mapped.csv")
    for row in index:
        given = [
            tmp_path / "out" / path for path in (row["architecture"], row["problem"], mapping_of[row["operation"]])
        ]
        subprocess.run([front_end.python, "translate.py", "model", "input.yaml", *given], cwd=folder, check=True)
        subprocess.run([model, "input.yaml", f"{arch}.ERT.yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        stats = (folder / "timeloop-model.stats.txt").read_text()
        cycles, dram = int(re.search(r"^Cycles: (\d+)", stats, re.M)[1]), stats.partition("=== dram ===")[2]
        total_pJ = sum(map(float, re.findall(r"Energy \(total\) +: +(\S+)", dram.partition("Networks")[0])))
        cost, again_J = costs[row["operation"]], float(row["read_again_J"]) * (row["read_again_level"] == "dram")
        assert cycles == cost.cycles or row["read_again_level"]
        assert total_pJ * 1e-12 + again_J == pytest.approx(cost.dram_J, rel=1e-5, abs=1e-13)
    assert len(index) > 10


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))
