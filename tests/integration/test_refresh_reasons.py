"""Where a better machine refreshes more, the report names why, and the reasons it names are true."""

import itertools
import math

import pytest

from camel_plugin import evaluate
from camel_plugin.cache import Cache
from camel_plugin.report import refresh_reasons as refresh

AXES = {
    "capacity": [{"overrides": {"activation_banks": str(banks)}} for banks in (1, 2, 12)],
    "temperature": [{"temperature_C": degrees} for degrees in (100.0, 75.0, 25.0)],
    "micro-batch": [{"micro_batch": size} for size in (4, 1)],
    "array": [{"overrides": {"array_rows": n, "array_columns": n}} for n in ("3", "12")],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("cache"))

    def along(axis):
        usual = {"batch": 4, "micro_batch": 1, "budget_s": 0.0, "pad": False, "workers": 1, "cache": cache}
        return [evaluate("camel", "lenet5", **{**usual, **point}) for point in AXES[axis]]

    return along


def facts(result):
    """(tensors that rest in eDRAM, tensor -> longest life there, rows of them written, retention time)."""
    (level,) = result.lifetimes
    resting = {tensor.name.partition("@")[0] for tensor in result.tensors if tensor.home == level.level}
    lives = {}
    for operation in result.operations:
        for data in operation.lifetimes:
            name = data.tensor.partition("@")[0]
            lives[name] = max(lives.get(name, 0.0), data.lifetime_s)
    return resting, lives, level.retention_s


@pytest.mark.parametrize("axis", AXES)
def test_reasons_make_up_every_change_and_hold(axis, results):
    for first, better in itertools.pairwise(results(axis)):
        change_J = better.totals.refresh_J - first.totals.refresh_J
        found = refresh.reasons(better, first)
        largest = max(better.totals.refresh_J, first.totals.refresh_J)
        assert math.isclose(sum(reason.refresh_J for reason in found), change_J, abs_tol=1e-9 * largest)
        if change_J > 1e-9 * largest:
            assert any(reason.refresh_J > 0 for reason in found)
            assert refresh.change_note(better, first)
        (then, lived, kept_s), (now, live, keeps_s) = facts(first), facts(better)
        if axis == "temperature" and change_J > 0:
            assert now - then or any(live[name] > lived.get(name, 0.0) for name in live)
        for reason in found:
            more = reason.refresh_J > 0
            names = set(reason.tensors)
            if reason.what in refresh.RESTS:
                # One way: into eDRAM; the other: out of it. Either may refresh more or less (tiles pass through too).
                assert names <= then ^ now
            elif reason.what in refresh.RETENTION:
                assert (keeps_s < kept_s) == more
            elif reason.what in refresh.LIVES and kept_s == keeps_s and len(names) == 1:
                assert (live[reason.tensors[0]] > lived[reason.tensors[0]]) == more
