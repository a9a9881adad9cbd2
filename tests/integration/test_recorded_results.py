"""Whole results of an earlier version, made again from its mappings: every field, to 1e-12.

What the code searches for may change; what a plan with its mappings costs may not, unless it is recorded anew
(scripts/record_results.py) with a reason.
"""

import json
import lzma
import math
from pathlib import Path

import pytest

from camel_plugin import compare, pipeline
from camel_plugin.cache import adapter
from camel_plugin.engine.native.chosen import costed
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.plan import ChosenMapping

FOLDER = Path(__file__).parents[1] / "recorded" / "results"


def replaying(mapped):
    """Stands for the mapper: each task gets the mapping that was found for it, evaluated by today's model."""

    def map_all(tasks, settings, **_):
        assert len(tasks) == len(mapped)
        found = []
        for task, then in zip(tasks, mapped, strict=True):
            mapping = adapter(Mapping).validate_python(then["mapping"])
            chosen = ChosenMapping(mapping, then["padded"], then["lower_bound"])
            found.append(costed(task, chosen, settings.objective))
            assert found[-1].value == pytest.approx(then["value"], rel=1e-12)
        return found

    return map_all


def leaves(data, path=""):
    """Path -> value of everything in plain data."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, f"{path}.{key}")
    else:
        yield path, data


def same(one, other):
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12)
    return one == other


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.json.xz")))
def test_the_recorded_mappings_give_the_recorded_result(name, monkeypatch):
    recorded = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
    monkeypatch.setattr(pipeline, "map_all", replaying(recorded["mapped"]))
    found = compare(**recorded["arguments"]).to_dict()
    now, then = (
        {path: value for path, value in leaves(data) if ".versions." not in path}
        for data in (found, recorded["result"])
    )
    assert now.keys() == then.keys()
    assert {path: (value, now[path]) for path, value in then.items() if not same(value, now[path])} == {}


def test_there_are_recordings():
    assert len(list(FOLDER.glob("*.json.xz"))) > 10
