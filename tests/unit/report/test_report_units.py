"""Engineering units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.report.units import column, quantity


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (0.0, "s", "0 s"),
        (3.35e-6, "s", "3.350 us"),
        (1.0, "s", "1.000 s"),
        (0.999e-3, "J", "999.0 uJ"),
        (12.3456e-3, "J", "12.35 mJ"),
        (2048, "B", "2.048 kB"),
        (512, "B", "512 B"),
        (9e9, "MAC", "9.000 GMAC"),
        (1.5e-6, "m2", "1.500 mm2"),
        (2.5, "ratio", "2.500"),
        (7, "count", "7"),
        (1e7, "s", "10000000 s"),
    ],
)
def test_quantity(value, base, text):
    assert quantity(value, base) == text


@given(st.floats(1e-15, 1e6), st.sampled_from(["s", "J", "ratio"]))
def test_what_is_written_is_within_half_a_thousandth_of_the_largest(value, base):
    chosen = column([value, value / 3], base)
    written = chosen.format(value)
    if not written.startswith("<"):
        assert float(written) * chosen.scale == pytest.approx(value, rel=5.1e-4, abs=0.501 * chosen.scale * 1e-3)
