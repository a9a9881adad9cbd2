"""Record what Accelergy's stock estimators say of the exercises' machines, of classes and of random SRAMs.

Run by the Python that has Accelergy, its library, Aladdin and CACTI plug-ins and Timeloop's front end:

    python scripts/record_stock_accelergy.py DESIGNS tests/recorded/accelergy-stock.json

DESIGNS is ``example_designs`` of timeloop-accelergy-exercises. Accelergy has no estimator for the address generators of
``eyeriss_like`` at its 65 nm; that machine is recorded at 45 nm. tests/unit/components/test_stock_accelergy.py and
scripts/compare_accelergy.py compare the component models with the file.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

MACHINES = ("eyeriss_like", "simba_like", "simple_output_stationary", "simple_weight_stationary")
KEPT = ("type", "technology", "width", "depth", "datawidth", "n_banks", "cluster_size")
MAC_KEPT = ("multiplier_width", "adder_width")
MEMORY, UNIT = ("read", "write", "update", "leak"), ("compute", "leak")
RUN = """\
import sys
import pytimeloop.timeloopfe.v4 as tl
spec = tl.Specification.from_yaml_files(sys.argv[1], jinja_parse_data={"architecture": sys.argv[2]})
sys.exit(tl.call_accelergy_verbose(spec, output_dir=sys.argv[3]))
"""
Record = dict[str, Any]


def main() -> None:
    """Run everything and write the file."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("designs", type=Path)
    arguments.add_argument("output", type=Path)
    options = arguments.parse_args()
    components = sorted((options.designs / "_components").glob("*.yaml"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorded = {
            "provenance": "Accelergy 6911d15, library plug-in ba4e9da, Aladdin plug-in 5e2e126, CACTI plug-in with its "
            "CACTI; timeloop-accelergy-exercises 2d55108; eyeriss_like at 45 nm in place of 65 nm",
            "machines": {machine: list(_machine(options.designs, machine, folder)) for machine in MACHINES},
            "classes": list(_asked(list(_classes()), folder / "classes", components)),
            "primitives": list(_asked(list(_primitives()), folder / "primitives", [])),
            "srams": list(_asked(list(_srams(random.Random(7), 64)), folder / "srams", [])),  # noqa: S311
        }
    options.output.write_text(_lines(recorded), encoding="utf-8")


def _lines(recorded: Mapping[str, Any]) -> str:
    """JSON with one record a line."""
    record = re.compile(r"\{\n\s+\"name\".*?\n\s+\}(?=,?\n\s+[\]{])", re.DOTALL)
    return record.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), json.dumps(recorded, indent=1)) + "\n"


def _machine(designs: Path, machine: str, folder: Path) -> Iterator[Record]:
    copy, out = folder / "designs", folder / machine
    if not copy.is_dir():
        shutil.copytree(designs, copy)
    arch = copy / machine / "arch.yaml"
    arch.write_text(arch.read_text().replace("65nm", "45nm"))
    out.mkdir()
    command = [sys.executable, "-c", RUN, str(copy / "top.yaml.jinja2"), machine, str(out)]
    subprocess.run(command, check=True, cwd=out, stdout=subprocess.DEVNULL)  # noqa: S603
    given = yaml.safe_load((out / "parsed-processed-input.yaml").read_text())
    described = {component["name"]: component for component in _components(given["architecture"])}
    for name, figures in _figures(out).items():
        component = described[name]
        attributes = {
            key: component["attributes"][key]
            for key in (*KEPT, *MAC_KEPT)
            if component["attributes"].get(key) is not None
        }
        kind = component.get("subclass", component["class"])
        yield {"name": name, "class": kind, "attributes": {**attributes, "global_cycle_seconds": 1e-9}, **figures}


def _components(node: Any) -> Iterator[Record]:
    """Every component of a nested architecture, without the range behind its name."""
    for each in node if isinstance(node, list) else [node]:
        for component in each.get("local", []):
            yield {**component, "name": component["name"].split("[")[0]}
        yield from _components(each.get("subtree", []))


def _figures(out: Path) -> dict[str, Record]:
    """Component -> its energies in pJ and its area in um2."""
    areas = yaml.safe_load((out / "ART.yaml").read_text())["ART"]["tables"]
    area = {_bare(table["name"]): table["area"] for table in areas}
    tables = yaml.safe_load((out / "ERT.yaml").read_text())["ERT"]["tables"]
    return {
        _bare(table["name"]): {
            "energies_pJ": {action["name"]: float(action["energy"]) for action in table["actions"]},
            "area_um2": area[_bare(table["name"])],
        }
        for table in tables
    }


def _bare(name: str) -> str:
    return name.split("[")[0].split(".")[-1]


def _classes() -> Iterator[Record]:
    """Every class at nodes and clocks where rules change."""

    def each(kind: str, actions: tuple[str, ...], **attributes: object) -> Record:
        return {"class": kind, "actions": actions, "attributes": attributes}

    for node in ("45nm", "40nm"):
        for cycle in (0.4e-9, 1e-9, 3e-9, 8e-9, 20e-9):
            point = {"technology": node, "global_cycle_seconds": cycle}
            for kind in ("intadder", "comparator", "counter", "reg", "bitwise"):
                yield each(kind, UNIT, **point, width=12)
            yield each("intmultiplier", ("mult_random", "mult_gated", "mult_reused", "leak"), **point, width=12)
            yield each("intmac", UNIT, **point, multiplier_width=8, adder_width=20)
            yield each("fpadder", UNIT, **point, exponent=8, mantissa=23)
            yield each("fpmultiplier", ("mult_random", "mult_gated", "leak"), **point, exponent=5, mantissa=10)
            yield each("fpmac", ("mac_random", "mac_gated", "mac_reused", "leak"), **point, exponent=11, mantissa=52)
            yield each("crossbar", UNIT, **point, width=16, n_inputs=3, n_outputs=8)
    for node in ("5nm", "7nm", "16nm", "28nm", "45nm", "65nm", "100nm", "180nm"):
        point = {"technology": node, "global_cycle_seconds": 2e-9}
        yield each("aladdin_adder", ("add", "leak"), **point, width=24)
        yield each("aladdin_comparator", ("compare", "leak"), **point, n_bits=3)
        yield each("aladdin_counter", ("count", "leak"), **point, datawidth=8)
        yield each("aladdin_multiplier", ("multiply", "leak"), **point, width_a=8, width_b=12, n_instances=3)
        yield each("aladdin_multiplier", ("read", "leak"), **point, width=8)
        yield each("aladdin_register", MEMORY, **point, width=9)
        yield each("intmac", UNIT, **point, multiplier_width=16, adder_width=48)
    yield each("dummy_storage", MEMORY, technology="45nm", global_cycle_seconds=1e-9)
    for kind in ("LPDDR4", "LPDDR", "DDR3", "GDDR5", "HBM2", "HMC"):
        yield each("DRAM", MEMORY, technology="45nm", global_cycle_seconds=1e-9, width=64, type=kind)
    for shape in ({"width": 16, "depth": 12}, {"width": 40, "depth": 200}, {"width": 100, "depth": 1}):
        yield each("smartbuffer_RF", MEMORY, technology="45nm", global_cycle_seconds=3e-9, **shape)
    for width, depth, ports in ((16, 12, 1), (200, 5000, 1), (64, 700, 2)):
        point = {"technology": "45nm", "global_cycle_seconds": 3e-9}
        yield each("smartbuffer_SRAM", MEMORY, **point, width=width, depth=depth, n_rw_ports=ports)


def _primitives() -> Iterator[Record]:
    """Classes that are others without the exercises' component files, and widths under both of their names."""
    regfiles = (
        *(("45nm", 1e-9, *shape) for shape in ((8, 32), (16, 192), (64, 16), (8, 1), (8, 0), (24, 2), (8, 3))),
        *(("40nm", cycle, 33, 129) for cycle in (0.4e-9, 2e-9, 5e-9)),
        *(("45nm", cycle, 20, 24) for cycle in (3e-9, 6e-9, 8e-9, 20e-9)),
    )
    for node, cycle, width, depth in regfiles:
        point = {"technology": node, "global_cycle_seconds": cycle}
        yield {"class": "regfile", "actions": MEMORY, "attributes": {**point, "width": width, "depth": depth}}
    for kind, widths in (
        ("aladdin_register", {"datawidth": 8, "width": 16}),
        ("aladdin_register", {"width": 16, "datawidth": 8}),
        ("aladdin_multiplier", {"datawidth_a": 8, "width_a": 16, "width_b": 4, "datawidth_b": 7}),
        ("aladdin_multiplier", {"datawidth": 8, "width": 16, "width_b": 4, "datawidth_a": 7}),
    ):
        point = {"technology": "45nm", "global_cycle_seconds": 1e-9}
        yield {"class": kind, "actions": MEMORY, "attributes": {**point, **widths}}


def _srams(dice: random.Random, count: int) -> Iterator[Record]:
    """SRAMs off the recorded grid, three in four with one bank and one port, spread evenly in the logarithm."""
    for index in range(count):
        plain = index % 4 > 0
        yield {
            "class": "SRAM",
            "actions": MEMORY,
            "attributes": {
                "technology": f"{dice.choice((7, 16, 22, 28, 32, 40, 45, 55, 65, 90, 130))}nm",
                "global_cycle_seconds": 5e-9,
                "width": round(2 ** dice.uniform(4, 9)),
                "depth": round(2 ** dice.uniform(4, 16)),
                "n_banks": 1 if plain else dice.choice((2, 2, 4, 6, 8)),
                "n_rw_ports": 1 if plain else dice.choice((1, 1, 1, 2)),
            },
        }


def _asked(records: list[Record], folder: Path, files: list[Path]) -> Iterator[Record]:
    """The records with what Accelergy's command line says of each."""
    folder.mkdir()
    local = [
        {
            "name": f"c{index}",
            "class": record["class"],
            "required_actions": list(record["actions"]),
            "attributes": record["attributes"],
        }
        for index, record in enumerate(records)
    ]
    top = {"name": "system", "attributes": {"technology": "45nm", "global_cycle_seconds": 1e-9}, "local": local}
    text = json.dumps({"architecture": {"version": 0.4, "subtree": [top]}}, indent=1)
    (folder / "in.yaml").write_text(text)
    command = ["accelergy", "in.yaml", *map(str, files), "-o", "."]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
    figures = _figures(folder)
    for index, record in enumerate(records):
        name = f"c{index}"
        yield {"name": name, "class": record["class"], "attributes": record["attributes"], **figures[name]}


if __name__ == "__main__":
    main()
