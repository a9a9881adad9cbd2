"""``--json`` where nothing fits: data on the standard output, the message beside it, and the exit code of an error."""

import json

import jsonschema
import pytest

from camel_plugin.cli import main
from camel_plugin.result import schema

TIGHT = """
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {width: 64, datawidth: 8}}
  - !Component
    name: buf
    class: SRAM
    attributes: {width: 8, depth: 2, datawidth: 8, technology: "45nm"}
    constraints: {dataspace: {keep: [Weights, Inputs, Outputs]}}
  - !Component {name: mac, class: intmac, attributes: {multiplier_width: 8, adder_width: 16, technology: "45nm"}}
variables: {global_cycle_seconds: 1e-9, technology: "45nm"}
"""
PROBLEM = """
problem:
  version: 0.4
  shape:
    name: dot
    dimensions: [K]
    data_spaces:
    - {name: Weights, projection: [[[K]]]}
    - {name: Inputs, projection: [[[K]]]}
    - {name: Outputs, projection: [], read_write: true}
  instance: {K: 4}
"""


@pytest.mark.parametrize("command", ["eval", "map"])
def test_what_does_not_fit_is_data(command, tmp_path, capsys):
    arch, problem = tmp_path / "tight.yaml", tmp_path / "dot.yaml"
    arch.write_text(TIGHT)
    problem.write_text(PROBLEM)
    what = ["--net", "lenet5", "--no-cache"] if command == "eval" else ["--problem", str(problem)]
    with pytest.raises(SystemExit) as stopped:
        main([command, "--arch", str(arch), *what, "--json"])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    jsonschema.validate(data, schema())
    assert data["infeasible"] is True
    (first, *_) = data["shortfalls"]
    assert (first["what"], first["demanded"], first["available"], first["unit"]) == ("capacity of buf", 3, 2, "words")
    assert "nothing can hold" in printed.err and first["remedy"] in printed.err
