"""What `camel render` leaves for users of the real tools."""

import csv
import io
import re

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import InputError
from camel_plugin.files.v04 import read_problem
from camel_plugin.interop.timeloop_kit import timeloop_files
from camel_plugin.schedule.formats import in_words
from camel_plugin.schedule.order import ORDERS, ordered
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.plan import Plan
from camel_plugin.workload.load import load_network

CAMEL = load_machine("camel")


@pytest.fixture(scope="module", params=ORDERS)
def planned(request) -> Plan:
    return plan(CAMEL, ordered(load_network("lenet5").step(), request.param))


@pytest.fixture(scope="module")
def files(planned) -> dict[str, str]:
    return timeloop_files(CAMEL, planned)


def test_every_operation_has_a_machine_and_a_problem(files, planned):
    step = planned.step
    index = list(csv.DictReader(io.StringIO(files["timeloop/operations.csv"])))
    operations = [operation for operation in step.operations if operation.problem]
    assert [row["operation"] for row in index] == [operation.name for operation in operations]
    for row, operation in zip(index, operations, strict=True):
        assert read_problem([(row["problem"], files[row["problem"]])]) == operation.problem
        assert int(row["repeats"]) == step.trips(operation.name)
        assert row["architecture"] in files


def test_residents_bypass_dram_and_have_no_loop_outside_their_home(files, planned, tmp_path):
    step = planned.step
    ert = tmp_path / "ERT.yaml"
    ert.write_text(files["timeloop/camel.ERT.yaml"])
    by_name = {operation.name: operation for operation in step.operations}
    seen = 0
    for row in csv.DictReader(io.StringIO(files["timeloop/operations.csv"])):
        operation = by_name[row["operation"]]
        sources = [(path, files[path]) for path in (row["architecture"], row["problem"])]
        dram = read_machine(sources, ert=ert).storage("dram")
        for dataspace, home in planned.operand_homes(step.operations[step.index[row["operation"]]]).items():
            if home != "dram":
                assert dataspace in dram.bypass
                bounds, dimensions = operation.problem.size, operation.problem.dataspace(dataspace).dimensions
                for name in (name for name in dimensions if bounds[name] > 1):
                    assert dram.temporal.factors[name].value == 1
                seen += 1
    assert seen


def test_commands_name_files_that_are_there(files):
    text = files["timeloop/README.md"]
    named = set(re.findall(r"[\w./]+\.(?:yaml|py)", text)) - {"input.yaml", "PROBLEM.yaml", "COUNTS.yaml"}
    assert {f"timeloop/{name}" for name in named} - {"timeloop/problems/PROBLEM.yaml"} <= files.keys()
    for name in ("mapper.yaml", "translate.py", "camel.accelergy.yaml"):
        assert name in text


def test_a_machine_alone():
    assert set(timeloop_files(CAMEL)) == {
        f"timeloop/{name}"
        for name in ("README.md", "camel.yaml", "camel.ERT.yaml", "camel.accelergy.yaml", "mapper.yaml", "translate.py")
    }


def test_formats_that_timeloop_has_no_words_for():
    step = load_network("lenet5", training={"precision": {"activation": "fp32"}}).step()
    with pytest.raises(InputError, match="size of word"):
        timeloop_files(CAMEL, plan(CAMEL, in_words(CAMEL, step)))
