"""Accelergy's own command line on the rendered `camel` and action counts: a recorded run, and a live one where it is.

The archive was made by scripts/record_accelergy.py with Accelergy 6911d15.
"""

import runpy
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from camel_plugin.components import estimate, refresh_power
from camel_plugin.components.machines import load_machine
from camel_plugin.engine.timeloop import tools
from camel_plugin.interop.accelergy.architecture import write_accelergy

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "tests" / "recorded" / "accelergy-camel.tar.xz"
OURS = {
    "dram": "PackedDram",
    "act_edram": "Edram",
    "w_sram": "LogicSram",
    "oreg": "LogicRegfile",
    "wreg": "LogicRegfile",
    "mac": "BfpMac",
}
CAMEL = load_machine("camel")


def plug_in_at(accelergy: str | None) -> bool:
    """Accelergy's environment has the plug-in (``camel doctor`` says so too)."""
    return accelergy is not None and bool(
        list(Path(accelergy).resolve().parents[1].glob("share/accelergy/estimation_plug_ins/camel/*.estimator.yaml"))
    )


@pytest.fixture(scope="module", params=["recorded", "live"])
def run(request, tmp_path_factory) -> Path:
    """A folder with the input and the output of a run."""
    folder = tmp_path_factory.mktemp("accelergy")
    if request.param == "recorded":
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
    elif plug_in_at(shutil.which("accelergy")):
        runpy.run_path(str(ROOT / "scripts" / "record_accelergy.py"))["run_accelergy"](CAMEL, folder)
    else:
        pytest.skip(f"no accelergy with camel-plugin beside it is on PATH; {tools.CONTAINER}")
    return folder


def tables(folder: Path, file: str = "ERT.yaml") -> dict[str, dict[str, float]]:
    """Component -> action -> pJ."""
    found = yaml.safe_load((folder / file).read_text())["ERT"]["tables"]
    return {bare(table["name"]): {a["name"]: a["energy"] for a in table["actions"]} for table in found}


def bare(name: str) -> str:
    """Without the path before it and the range behind it."""
    return name.partition("[")[0].rpartition(".")[2]


def components(folder: Path) -> dict[str, dict]:
    """Component -> its entry in the architecture given."""
    (chip,) = yaml.safe_load((folder / "architecture.yaml").read_text())["architecture"]["subtree"]
    return {bare(entry["name"]): entry for entry in chip["local"]}


def test_what_it_was_given_is_what_is_rendered(run):
    assert (run / "architecture.yaml").read_text() == write_accelergy(CAMEL)


def test_the_estimators_are_ours(run):
    summary = yaml.safe_load((run / "ERT_summary.yaml").read_text())["ERT_summary"]["table_summary"]
    answered = {bare(entry["name"]): entry["primitive_estimation(s)"][0]["estimator"] for entry in summary}
    assert {name: answered[name] for name in OURS} == OURS
    assert "dummy" not in " ".join(answered.values()).lower()


@pytest.mark.parametrize("name", OURS)
def test_energies_are_those_of_the_components(run, name):
    entry = components(run)[name]
    cost = estimate(entry.get("subclass", entry["class"]), entry["attributes"])
    expected = dict(cost.actions_J)
    static_W = cost.leakage_W
    if cost.edram:
        static_W += refresh_power(cost.edram)  # the policy is worst_case, where nobody says otherwise
    expected["leak"] = static_W * 2e-9
    for action, energy_pJ in tables(run)[name].items():
        assert energy_pJ == pytest.approx(expected[action] * 1e12, rel=1e-5)  # six digits are printed
    assert tables(run)[name].keys() >= {"leak", "compute" if name == "mac" else "update"}


def test_the_counts_are_charged_with_them(run):
    (chip,) = yaml.safe_load((run / "counts.yaml").read_text())["action_counts"]["subtree"]
    answer = yaml.safe_load((run / "energy_estimation.yaml").read_text())["energy_estimation"]
    energies = {bare(entry["name"]): entry["energy"] for entry in answer["components"]}
    assert energies.keys() == {bare(node["name"]) for node in chip["local"]} >= OURS.keys()
    for node in chip["local"]:
        table = tables(run)[bare(node["name"])]
        charged = sum(table[each["name"]] * each["counts"] for each in node["action_counts"])
        assert energies[bare(node["name"])] == pytest.approx(charged, rel=1e-9)
    assert answer["Total"] == pytest.approx(sum(energies.values()), rel=1e-9)
    assert "refresh" not in tables(run)["act_edram"]  # it is in leak
