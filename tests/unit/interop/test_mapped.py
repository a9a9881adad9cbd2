"""What lies beside the mappings of a result: the machines and problems that Timeloop takes with them."""

import csv
import io
from collections import Counter

import pytest

from camel_plugin.components.resolve import read_machine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.files.v04 import read_mapping, read_problem
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.interop.specs import result_files
from camel_plugin.pipeline import evaluate as evaluate_step
from camel_plugin.spec.task import Task

EVERY = {"pads": {"pad": True}, "true sizes": {"pad": False}, "samples": {"pad": False, "depth_first": "none"}}


@pytest.fixture(scope="module", params=EVERY)
def result(request):
    return evaluate_step("camel", "lenet5", **EVERY[request.param])


@pytest.fixture(scope="module")
def files(result):
    return result_files(result)


def rows(files):
    return {row["operation"]: row for row in csv.DictReader(io.StringIO(files["timeloop/mapped.csv"]))}


def mappings(result):
    return {each.name: each.mapping.text for each in result.operations if each.mapping is not None}


def test_every_mapping_has_a_machine_and_a_problem(result, files):
    found = rows(files)
    assert found.keys() == mappings(result).keys()
    for row in found.values():
        assert row["architecture"] in files
        assert row["problem"] in files


def test_no_constraint_of_the_machine_is_said_otherwise_in_the_mapping(result, files):
    """Timeloop's front end joins both, and refuses two permutations, splits or factors that are not the same text."""
    for name, row in rows(files).items():
        said = {(each["target"], each["type"]): each for each in directives(mappings(result)[name])}
        for node in nodes(load_yaml_text(files[row["architecture"]], row["architecture"])):
            for kind, given in node.get("constraints", {}).items():
                other = said[node["name"], kind]
                if kind == "dataspace":
                    assert not set(given.get("keep", ())) & set(other["bypass"])
                    assert not set(given.get("bypass", ())) & set(other["keep"])
                else:
                    assert given.keys() <= {"factors"}
                    assert not {text.partition("=")[0] for text in given["factors"]} & {
                        text.partition("=")[0] for text in other["factors"]
                    }


def directives(text):
    return load_yaml_text(text, "mapping").plain()["mapping"]


def nodes(tree):
    found = tree.at(["architecture", "nodes"]).plain()
    return [each for node in found for each in node.get("nodes", [node]) if "name" in each]


def test_what_the_model_counts_and_the_old_sums_make_the_cost_of_a_run(result, files, tmp_path):
    ert = tmp_path / "ERT.yaml"
    ert.write_text(files["timeloop/camel.ERT.yaml"])
    costs = {each.name: each.cost for each in result.operations}
    seen = Counter()
    for name, row in rows(files).items():
        problem = read_problem([(row["problem"], files[row["problem"]])])
        machine = read_machine([(row["architecture"], files[row["architecture"]])], ert=ert, problem=problem)
        mapping = read_mapping([(name, mappings(result)[name])], machine, problem)
        counted = evaluate(Task(machine, problem), mapping)
        more = {row["read_again_level"]: float(row["read_again_J"])}
        for level, stats in counted.levels.items():
            expected = costs[name].dram_J if level == "dram" else costs[name].dynamic_J.get(level, 0.0)
            assert stats.energy_J + more.get(level, 0.0) == pytest.approx(expected, rel=1e-9), (name, level)
        assert costs[name].cycles == counted.cycles or (row["read_again_level"] and costs[name].cycles > counted.cycles)
        seen[bool(row["read_again_level"])] += 1
    assert seen[True]
    assert seen[False]


def test_the_page_names_files_that_are_there(files):
    text = files["timeloop/mapped.md"]
    assert "camel.ERT.yaml" in text
    assert "timeloop/translate.py" in files
    assert "timeloop/mapped/000.yaml" in files
