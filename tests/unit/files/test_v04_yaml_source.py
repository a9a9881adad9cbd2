"""YAML with positions."""

import math

import pytest

from camel_plugin.errors import SpecError
from camel_plugin.files.yaml_source import load_yaml, load_yaml_text

TEXT = """\
architecture:
  version: 0.4
  nodes:
  - !Container
    name: chip
    attributes: {technology: "45nm", global_cycle_seconds: 1e-9}
  - !Nothing
"""


def test_lines_tags_and_fields():
    tree = load_yaml_text(TEXT, "a.yaml")
    assert tree.at(["architecture"]).line == 1
    assert tree.at(["architecture", "nodes", 0, "name"]).line == 5
    assert tree.at(["architecture", "nodes", 0, "attributes", "technology"]).line == 6
    assert tree.at(["architecture", "nodes", 9]).line == 3
    nodes = tree.at(["architecture", "nodes"]).value
    assert [node.tag for node in nodes] == ["Container", "Nothing"]
    assert nodes[0].at(["attributes", "technology"]).quoted
    assert nodes[0].at(["attributes", "technology"]).field == "architecture.nodes[0].attributes.technology"
    assert tree.plain()["architecture"]["nodes"][0]["attributes"] == {
        "technology": "45nm",
        "global_cycle_seconds": 1e-9,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-9", 1e-9),
        ("-1E3", -1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("0x1F", 31),
        ("0o17", 15),
        ("+7", 7),
        ("on", "on"),
        ("N", "N"),
        ("y", "y"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'12'", "12"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("3 * 4", "3 * 4"),
    ],
)
def test_scalars_of_yaml_1_2(text, value):
    loaded = load_yaml_text(f"a: {text}", "t").plain()["a"]
    assert loaded == value
    assert type(loaded) is type(value)


def test_merge_keys_shallow_and_deep():
    text = """\
one: &one {a: 1, deep: {x: 1, y: 2}, items: [d], fixed: [4]}
two: &two {a: 2, b: 3}
shallow: {<<: [*one, *two], deep: {x: 9}}
deep: {<<<: *one, deep: {x: 9}, items: [c], fixed: !nomerge [1]}
"""
    tree = load_yaml_text(text, "t").plain()
    assert tree["shallow"] == {"a": 1, "b": 3, "deep": {"x": 9}, "items": ["d"], "fixed": [4]}
    assert tree["deep"] == {"a": 1, "deep": {"x": 9, "y": 2}, "items": ["c", "d"], "fixed": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", "t.yaml:2: broken YAML"),
        ("a: 1\nb: 2\na: 3\n", "t.yaml:3: a: duplicate key, first given in line 1"),
        ("a:\n\t- 1\n", "t.yaml:2: broken YAML"),
        ("a: *nowhere\n", "t.yaml:1: broken YAML: found undefined alias"),
        ("a: &x [*x]\n", "aliases never end"),
        ("\n\na: !!python/object:os.system 1\n", "t.yaml:3: a: tag"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2: broken YAML"),
        ("{[1]: 2}\n", "t.yaml:1: a key must be"),
        ("a: {<<: 3}\n", "t.yaml:1: a: only mappings can be merged"),
        ("a: !!int x\n", "t.yaml:1: a: is no int"),
        ("a: 010\n", "t.yaml:1: a: octal in YAML 1.1, decimal in 1.2"),
        ("\na: \x07\n", "t.yaml:2: broken YAML: special characters"),
        ("[" * 3000, "t.yaml: broken YAML: nested too deeply"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
            "never end",
        ),
    ],
)
def test_broken_yaml_is_refused_with_file_and_line(text, message):
    with pytest.raises(SpecError) as error:
        load_yaml_text(text, "t.yaml")
    assert message in str(error.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(SpecError, match="No such file"):
        load_yaml(tmp_path / "absent.yaml")
    with pytest.raises(SpecError, match="directory"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(SpecError, match="UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_empty_file_is_none():
    assert load_yaml_text("# nothing\n", "t").plain() is None
