"""The AccelForge engine behind a fake interpreter that answers with a recorded run, tests/recorded/accelforge-small."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.components.resolve import read_machine
from camel_plugin.engine import accelforge
from camel_plugin.engine.accelforge import AccelForgeEngine
from camel_plugin.engine.accelforge.specification import write_mapping, write_specification
from camel_plugin.errors import EngineError
from camel_plugin.files.v04 import read_problem
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

RECORDED = Path(__file__).parents[2] / "recorded"
SMALL = RECORDED / "timeloop-small"
MACHINE = read_machine([SMALL / "given.yaml"], ert=SMALL / "ERT.yaml", name="small")
PROBLEM = read_problem([SMALL / "given.yaml"])
ANSWER = json.loads((RECORDED / "accelforge-small" / "answer.json").read_text())
WELL = "cp {answer} answer.json"


class Bench:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.python, self.answer = folder / "a python", folder / "answer"
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.dot = folder / "bin" / "dot"
        self.dot.parent.mkdir()
        self.dot.write_text("#!/bin/sh\n")
        self.dot.chmod(self.dot.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{self.dot.parent}:/bin")
        monkeypatch.setenv(accelforge.PYTHON_VARIABLE, str(self.python))
        monkeypatch.setattr("tempfile.tempdir", str(self.jobs))
        accelforge._python.cache_clear()
        self.write(ANSWER)
        self.script(WELL)

    def write(self, rows) -> None:
        self.answer.write_text(json.dumps(rows))

    def script(self, mapping: str, version: str = "echo 1.0.467") -> None:
        text = mapping.format(answer=f"'{self.answer}'")
        self.python.write_text(f"#!/bin/sh\nif [ $# -eq 1 ]; then {version}; else {text}; fi\n")
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def map(self, budget_s=30.0, problem=PROBLEM):
        return AccelForgeEngine().map(Task(MACHINE, problem), "edp", budget_s)

    def fails(self, match: str, **given):
        with pytest.raises(EngineError, match=match) as caught:
            self.map(**given)
        (folder,) = self.jobs.iterdir()
        assert str(folder) in str(caught.value)
        assert (folder / "specification.yaml").exists()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    yield Bench(tmp_path, monkeypatch)
    accelforge._python.cache_clear()


def changed(**figures):
    row = ANSWER[0]
    return [{**row, "figures": {**row["figures"], **figures}}]


def test_the_specification_that_was_recorded():
    assert (
        write_specification(Task(MACHINE, PROBLEM))
        == (RECORDED / "accelforge-small" / "specification.yaml").read_text()
    )


def test_the_recorded_run(bench):
    result = bench.map()
    evaluation, figures = result.evaluation, ANSWER[0]["figures"]
    # Its figures are single precision: 256 ns are 128 cycles of 2 ns, all four units busy.
    assert evaluation.cycles == 128
    assert evaluation.utilization == 1
    assert evaluation.bound_by == "compute"
    assert evaluation.energy_J == figures["Total/energy"]
    # Accesses of 8 words at the DRAM: A and B once, Z once.
    outermost = evaluation.levels["dram"].tensors
    assert (outermost["A"].reads, outermost["B"].reads, outermost["Z"].updates) == (8 * 16, 16 * 4, 8 * 4)
    assert evaluation.levels["buffer"].tensors["A"].fills == 8 * 16
    assert evaluation.levels["buffer"].tensors["A"].utilized_capacity == 8 * 16
    assert result.mapping.at("buffer").factors == {"N": 2, "M": 8, "K": 8}
    assert result.mapping.at("buffer").permutation == ("N", "M", "K")
    assert result.mapping.at("pe").factors == {"N": 2, "K": 2}
    assert result.mapping.at("pe").x_dims == {"N", "K"}
    assert result.value == evaluation.energy_J * 128 * 2e-9
    assert not list(bench.jobs.iterdir())


def test_the_best_of_several(bench):
    worse = changed(**{"Total/latency": 1e-6, "Total/energy": 2e-9})
    bench.write([*worse, *ANSWER])
    assert bench.map().evaluation.cycles == 128
    assert AccelForgeEngine().map(Task(MACHINE, PROBLEM), "energy", 30.0).evaluation.cycles == 500


def test_a_tensor_that_is_dropped(bench):
    kept = [
        {**node, "tensors": [name for name in node.get("tensors", []) if name != "B"]} for node in ANSWER[0]["nodes"]
    ]
    bench.write([{**ANSWER[0], "nodes": kept}])
    bench.fails("dropped B")


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"Operation/action/mac/None/compute": 256.0}, "256 multiply-accumulates"),
        ({"Total/energy": -1.0}, "cannot be true"),
        ({"Total/latency": float("inf")}, "cannot be true"),
    ],
)
def test_figures_that_cannot_be_true(bench, figures, reason):
    bench.write(changed(**figures))
    bench.fails(reason)


def test_a_figure_that_is_missing(bench):
    figures = {name: value for name, value in ANSWER[0]["figures"].items() if name != "Operation/action/dram/A/read"}
    bench.write([{**ANSWER[0], "figures": figures}])
    bench.fails("lacks Operation/action/dram/A/read")


def test_loops_of_another_problem(bench):
    bench.fails("splits N = 5 into tiles of 2", problem=replace(PROBLEM, bounds=(8, 5, 16)))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo ValueError: no; exit 1", "ValueError: no"),
        ("true", "printed nothing"),
        ("echo '[]' > answer.json", "found no mapping"),
    ],
)
def test_failures(bench, script, reason):
    bench.script(script)
    bench.fails(reason)


def test_a_search_that_takes_too_long(bench):
    bench.script("exec sleep 20")
    bench.fails("did not finish within 0.2 s", budget_s=0.2)


def test_where_it_is_not_installed(bench):
    bench.script(WELL, version="echo ModuleNotFoundError: accelforge >&2; exit 1")
    with pytest.raises(EngineError, match=r"not installed .*accelforge\).*pip install 'camel-plugin\[accelforge\]'"):
        AccelForgeEngine().version()


def test_what_it_forgets_goes_with_its_folder(bench):
    bench.script(f'echo x > "$TMPDIR/forgotten.pkl"; touch mapping.svg; {WELL}')
    bench.map()
    assert not list(bench.jobs.iterdir())


def test_without_graphviz(bench, monkeypatch):
    monkeypatch.setenv("PATH", str(bench.jobs))
    with pytest.raises(EngineError, match="graphviz's dot, which is not on PATH"):
        AccelForgeEngine().version()


def test_what_a_specification_says_of_camel():
    conv = Problem(
        ("C", "M", "P"),
        (4, 4, 8),
        (
            Dataspace("Weights", ((("C", 1),), (("M", 1),))),
            Dataspace("Inputs", ((("C", 1),), (("P", 2),))),
            Dataspace("Outputs", ((("M", 1),), (("P", 1),)), read_write=True),
        ),
    )
    text = write_specification(Task(load_machine("camel"), conv, {"Inputs": "act_edram"}))
    nodes = {node["name"]: node for node in load_yaml_text(text, "specification").plain()["arch"]["nodes"]}
    assert nodes["dram"]["tensors"] == {"keep": "Weights | Outputs", "may_keep": "Nothing"}
    assert nodes["act_edram"]["tensors"] == {"keep": "Inputs | Outputs", "may_keep": "Nothing"}
    # Lanes only reduce.
    (lane,) = nodes["lane"]["spatial"]
    assert lane["loop_bounds"] == [{"expression": "over_M | over_P", "operator": "==", "value": 1}]
    assert (lane["name"], lane["fanout"]) == ("lane_y", 9)
    assert "INPUTS1: 2 * over_P" in text


def test_a_tile_stands_outside_the_loops_that_do_not_move_it():
    mapping = Mapping(
        (
            NodeMapping("dram", {"K": 16, "N": 2}, ("K", "N"), keep=frozenset({"A", "B", "Z"})),
            NodeMapping("buffer", {"N": 2, "M": 2}, ("N", "M"), keep=frozenset({"A", "Z"})),
            NodeMapping("pe", {"M": 4}, ("M",), x_dims=frozenset({"M"})),
        )
    )
    text = write_mapping(mapping, Task(MACHINE, PROBLEM))
    assert text.splitlines()[2:] == [
        "  - !Storage {tensors: [A], component: dram}",
        "  - !Storage {tensors: [B], component: dram}",
        "  - !Storage {tensors: [Z], component: dram}",
        "  - !Temporal {rank_variable: over_K, tile_shape: 1}",
        "  - !Storage {tensors: [A], component: buffer}",  # N, which stands outside the buffer, does not move A
        "  - !Temporal {rank_variable: over_N, tile_shape: 2}",
        "  - !Storage {tensors: [Z], component: buffer}",
        "  - !Temporal {rank_variable: over_N, tile_shape: 1}",
        "  - !Temporal {rank_variable: over_M, tile_shape: 4}",
        "  - !Spatial {rank_variable: over_M, tile_shape: 1, name: pe_x, component: pe}",
        "  - !Compute {einsum: Operation, component: mac}",
    ]
    at_home = write_mapping(mapping, Task(MACHINE, PROBLEM, {"Z": "buffer"})).splitlines()
    assert at_home[5] == "  - !Storage {tensors: [Z], component: buffer}"
