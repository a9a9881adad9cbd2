import pytest

from camel_plugin.cli.options import parse_input, parse_settings
from camel_plugin.errors import InputError
from camel_plugin.spec.inputs import InputTensor


def test_settings():
    assert parse_settings(["a=1", " b = x=y", "a=1"]) == {"a": "1", "b": " x=y"}
    assert parse_settings(None) == {}


@pytest.mark.parametrize("settings", [["a"], ["=1"], ["a=1", "a=2"]])
def test_bad_settings(settings):
    with pytest.raises(InputError, match="--set"):
        parse_settings(settings)


def test_input():
    assert parse_input(["3,32,32"]) == (3, 32, 32)
    assert parse_input(None) is None
    assert parse_input(["128:int64"]) == InputTensor((128,), "int64")
    assert parse_input(["tokens=128:int64", "image=3,8,8"]) == {
        "tokens": InputTensor((128,), "int64"),
        "image": InputTensor((3, 8, 8)),
    }


@pytest.mark.parametrize("text", ["", "3,,32", "3x32", "0,32", "-3,32,32", "3.5,2", "a=", "3:", "=3"])
def test_bad_input(text):
    with pytest.raises(InputError, match="--input"):
        parse_input([text])


@pytest.mark.parametrize("texts", [["3", "4"], ["a=3", "a=4"], ["a=3", "4:int64"]])
def test_several_inputs_need_names(texts):
    with pytest.raises(InputError, match="several inputs need a name each"):
        parse_input(texts)
