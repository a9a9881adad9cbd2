"""Native model against the real Timeloop, where it is present, on machines and problems that nobody recorded."""

import pytest
from timeloop_parity import differences

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.timeloop import TimeloopEngine, tools
from camel_plugin.errors import EngineError
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
