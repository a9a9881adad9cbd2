"""What the array of a training machine multiplies."""

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.errors import InputError


def lane(**overrides):
    return load_machine("camel", overrides).compute


def test_floating_point_lanes_cost_what_is_published_for_them():
    blocks, half, single = lane(), lane(arithmetic="fp16"), lane(arithmetic="fp32")
    # Horowitz, ISSCC 2014: multiply and add 1.1 + 0.4 pJ at 16 bits, 3.7 + 0.9 pJ at 32; 1640 + 1360, 7700 + 4184 um2.
    assert single.energy_J / half.energy_J == pytest.approx(4.6 / 1.5)
    assert single.area_m2 / half.area_m2 == pytest.approx(11884 / 3000)
    assert blocks.energy_J < half.energy_J and blocks.leakage_W < half.leakage_W < single.leakage_W


def test_without_an_exponent_lanes_multiply_integers():
    # 8 x 8 bits of a 32 x 32 multiplier of 3.1 pJ, and a 32-bit adder of 0.1 pJ, against the 16 bits of FP16 above.
    integer = lane(mantissa_bits="8", exponent_bits="0")
    assert integer.energy_J / lane(arithmetic="fp16").energy_J == pytest.approx((3.1 / 16 + 0.1) / 1.5)


def test_other_formats_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"arithmetic: .*did you mean 'fp32'"):
        lane(arithmetic="fp8")
