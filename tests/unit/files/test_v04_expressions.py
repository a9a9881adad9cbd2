"""Expressions of specifications."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.errors import SpecError
from camel_plugin.files.expressions import ExpressionError, evaluate, resolve
from camel_plugin.files.yaml_source import load_yaml_text

NAMES = {"depth": 192, "width": 16, "glb": {"attributes": {"depth": 7}, "spatial": {"meshX": 3}}, "rates": [1, 2, 3]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 * 4 + 1", 13),
        ("max(1, ceil(log2(depth)))", 8),
        ("width * depth // 8", 384),
        ("depth ** (1.56 / 2)", 192**0.78),
        ("max(1, 2) if depth >= 1 else 1", 2),
        ("-width % 5", 4),
        ("pow(2, 10)", 1024),
        ("sqrt(2) * pi", math.sqrt(2) * math.pi),
        ('glb.attributes["depth"] + glb.spatial.meshX', 10),
        ("rates[-1] + sum(rates) + len(rates)", 12),
        ("1 < width <= 16 and not depth == 1", True),
        ("0 or width", 16),
        ('("a" + "b")', "ab"),
        ("2 in rates", True),
        ("True", True),
        ("1 << 3 | 1", 9),
        ("isqrt(depth) ^ ~width & 7 >> 1", 13 ^ (~16 & 3)),
    ],
)
def test_values(text, value):
    assert evaluate(text, NAMES) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dept", "did you mean 'depth'"),
        ("cel(3)", "did you mean 'ceil'"),
        ("45nm", "put strings in double quotes"),
        ("1 / 0", "has no value"),
        ("9 ** 9 ** 9", "too large"),
        ("pow(10, 100000)", "too large"),
        ("(-8) ** 0.5", "no real value"),
        ("'a' * 100000000", "no number"),
        ("'a' << 30", "no number"),
        ("1 << 100000", "too large"),
        ("1 << 0.5", "has no value"),
        ("1 << -1", "has no value"),
        ("factorial(100000)", "no function is called"),
        ("__import__('os')", "no function is called"),
        ("().__class__", "has no fields"),
        ("glb.__class__", "nothing is called"),
        ("[x for x in rates]", "not allowed"),
        ("(lambda: 1)()", "not allowed"),
        ("rates[9]", "has no value"),
        ("log2(-1)", "has no value"),
        ("int('9' + 'x')", "has no value"),
        ("(" * 500 + "1" + ")" * 500, "expression|deeply|put strings"),
        ("1+" * 3000 + "1", "longer than"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(ExpressionError, match=message):
        evaluate(text, NAMES)


def test_resolve_keeps_quoted_strings_and_sees_earlier_keys():
    node = load_yaml_text('a: 2\nb: a * 3\nc: "a * 3"\nd: [b, b + 1]\n', "f.yaml")
    assert resolve(node, {}) == {"a": 2, "b": 6, "c": "a * 3", "d": [6, 7]}


def test_resolve_points_at_the_text():
    with pytest.raises(SpecError) as error:
        resolve(load_yaml_text("a: 2\nb:\n  c: LPDDR4\n", "f.yaml"), {})
    assert (error.value.file, error.value.line, error.value.field) == ("f.yaml", 3, "b.c")


@given(st.text(max_size=40))
def test_any_text_has_a_value_or_is_refused(text):
    with contextlib.suppress(ExpressionError):
        evaluate(text, NAMES)
