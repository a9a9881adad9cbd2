"""The problems of a step as Timeloop v0.4 files: read back they are the same, and the native model takes them."""

import csv
import io

import pytest
import yaml
from torch import nn
from typer import Typer
from typer.testing import CliRunner

from camel_plugin.cli.problems import problems_command
from camel_plugin.components.machines import load_machine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.files.v04.problem_file import read_problem
from camel_plugin.interop.specs import problem_files
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task
from camel_plugin.workload.load import load_network

MODULES = {
    "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 8, 8)),
    "uneven": (nn.Conv2d(4, 6, 3, stride=2), (4, 8, 8)),
    "grouped": (nn.Conv2d(4, 8, 3, groups=4, dilation=2), (4, 8, 8)),
    "transposed": (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), (4, 4, 4)),
    "volume": (nn.Conv3d(2, 4, 3, padding=1), (2, 4, 4, 4)),
    "linear": (nn.Linear(12, 5), (12,)),
}


def step_of(name):
    module, shape = MODULES[name]
    # Something trainable below, so that there is an input gradient.
    below = nn.BatchNorm1d(shape[0]) if len(shape) == 1 else [nn.BatchNorm2d, nn.BatchNorm3d][len(shape) - 3](shape[0])
    return load_network(nn.Sequential(below, module), input=shape, batch=4, micro_batch=2, norm_group=2).step()


@pytest.mark.parametrize("name", MODULES)
def test_files_read_back_are_the_problems(name, tmp_path):
    step = step_of(name)
    files = problem_files(step, folder="")
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    index = list(csv.DictReader(io.StringIO(files["problems.csv"])))
    operations = [op for op in step.operations if op.problem]
    assert [row["operation"] for row in index] == [op.name for op in operations]
    assert {row["pass"] for row in index} == {"forward", "weight_grad", "input_grad"}
    for row, op in zip(index, operations, strict=True):
        assert read_problem([tmp_path / row["problem"]]) == op.problem
        assert int(row["macs"]) == op.macs and int(row["repeats"]) == 2
        assert {row["Weights"], row["Inputs"], row["Outputs"]} == set(op.roles.values())


@pytest.mark.parametrize("name", MODULES)
def test_the_native_model_takes_them(name):
    machine = load_machine("camel")
    for problem in {op.problem for op in step_of(name).operations if op.problem}:
        result = NativeEngine().map(Task(machine, problem), Objective.EDP, 0.05)
        assert result.evaluation.computes == problem.macs


def test_command_writes_problems_and_index(tmp_path):
    app = Typer()
    app.command("problems")(problems_command)
    out = tmp_path / "out"
    ran = CliRunner().invoke(app, ["--net", "lenet5", "--out", str(out), "--batch", "2"])
    assert ran.exit_code == 0, ran.output
    rows = list(csv.DictReader(io.StringIO((out / "problems.csv").read_text())))
    assert {row["pass"] for row in rows} == {"forward", "weight_grad", "input_grad"}
    named = {row["problem"] for row in rows}
    assert named == {f"problems/{path.name}" for path in (out / "problems").iterdir()}
    # C1 of LeNet-5: 6 kernels of 5x5 on 28x28 pixels.
    (first,) = [row for row in rows if row["operation"] == "c1"]
    instance = yaml.safe_load((out / first["problem"]).read_text())["problem"]["instance"]
    assert {key: instance[key] for key in "CMRSPQN"} == {"C": 1, "M": 6, "R": 5, "S": 5, "P": 28, "Q": 28, "N": 1}
