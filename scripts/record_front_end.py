"""Record what Timeloop's front end makes of the files in tests/recorded/front-end, and how it fills meshes.

Run it with a Python that has pytimeloop (b8aaf2c, with the attributes of storages of its commit 346b922, where width
and depth may be left out):

    python scripts/record_front_end.py tests/recorded/front-end

``answers.json`` holds the processed problem and, node by node, what tests/unit/files/test_front_end.py compares with
our reading; ``filling.json`` what ``maximize_dims`` chooses for random loops and meshes.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

FILLINGS = 200
STORAGE = (
    *("datawidth", "word_bits", "width", "memory_width", "depth", "memory_depth", "entries", "sizeKB"),
    *("block_size", "cluster_size", "read_bandwidth", "write_bandwidth", "bandwidth"),
)


def main() -> None:
    """Record both files."""
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    answers = {name: processed([str(folder / file) for file in case["files"]], case["values"])
               for name, case in cases.items()}  # fmt: skip
    for name, content in {"answers.json": answers, "filling.json": list(fillings())}.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def processed(files: list[str], values: dict[str, object]) -> dict[str, object]:
    """The problem and the nodes of the processed specification."""
    import pytimeloop.timeloopfe.v4 as front_end

    spec = front_end.Specification.from_yaml_files(*files, jinja_parse_data=values)._process()
    shape = spec.problem.shape
    problem = {
        "instance": {str(key): value for key, value in spec.problem.instance.items() if isinstance(value, int)},
        "dimensions": list(map(str, shape.dimensions)),
        "coefficients": {str(each["name"]): each["default"] for each in shape.coefficients},
        "data_spaces": [[str(each.name), plain(each.projection), bool(each.read_write)] for each in shape.data_spaces],
    }
    return {"problem": problem, "nodes": [described(node) for node in leaves(spec.architecture)]}


def leaves(branch: Any) -> list[Any]:
    """The nodes that are enabled and not nothing, outermost first."""
    found = []
    for node in branch.nodes:
        if "nodes" in node:
            found += leaves(node)
        elif node.get("enabled", True) and type(node).__name__ != "Nothing":
            found.append(node)
    return found


def described(node: Any) -> dict[str, object]:
    """Class, attributes, mesh and constraints of a node."""
    constraints = node.constraints
    attributes = {key: plain(node.attributes.get(key)) for key in STORAGE if node.attributes.get(key) is not None}
    loops = {
        kind: {
            "factors": sorted(map(str, constraints[kind].factors)),
            "permutation": list(map(str, constraints[kind].permutation)),
            "split": constraints[kind].get("split"),
        }
        for kind in ("temporal", "spatial")
    }
    return {
        "kind": type(node).__name__,
        "name": str(node.name),
        "class": str(node.get("class", "")),
        "mesh": [node.spatial.meshX, node.spatial.meshY],
        "attributes": attributes if type(node).__name__ == "Storage" else {},
        "keep": sorted(map(str, constraints.dataspace.keep)),
        "bypass": sorted(map(str, constraints.dataspace.bypass)),
        **loops,
    }


def plain(value: Any) -> Any:
    """Without the front end's classes."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value if isinstance(value, int | float | bool) or value is None else str(value)


def fillings() -> Any:
    """[sizes of loops, capacity, factors] of random cases."""
    from pytimeloop.timeloopfe.v4.processors.constraint_macro import greedy_allocate

    draw = random.Random(20261127)  # noqa: S311
    for _ in range(FILLINGS):
        sizes = [
            draw.choice((1, 2, 3, 5, 7, 8, 12, 14, 16, 28, 30, 56, 64, 96, 112)) for _ in range(draw.randint(1, 3))
        ]
        capacity = draw.randint(1, 48)
        factors = [1] * len(sizes)
        for index, _, most in greedy_allocate(dict(enumerate(sizes)), capacity)[0]:
            factors[index] *= most
        yield [sizes, capacity, factors]


if __name__ == "__main__":
    main()
