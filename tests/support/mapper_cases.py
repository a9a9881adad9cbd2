"""Cases that timeloop-mapper searched for a minute each (tests/golden/mapper/cases.jsonl)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from camel_plugin.spec.problem import Dataspace, Problem

FILE = Path(__file__).parents[1] / "golden" / "mapper" / "cases.jsonl"
CASES = [json.loads(line) for line in FILE.read_text().splitlines()]


def problem(case: dict[str, Any]) -> Problem:
    dataspaces = tuple(
        Dataspace(
            space["name"],
            tuple(tuple((dim, coefficient) for dim, coefficient in rank) for rank in space["projection"]),
            space["read_write"],
        )
        for space in case["dataspaces"]
    )
    return Problem(tuple(case["bounds"]), tuple(case["bounds"].values()), dataspaces, case["kind"], case["id"])
