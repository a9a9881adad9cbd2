"""Problems of Timeloop v0.1 to v0.3 as v0.4 has them; what is older still is named as what it is."""

from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.errors import nearest
from camel_plugin.files.schema import mapping
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text

_OLD = ("0.1", "0.2", "0.3")
_NOTHING = YamlNode(None, "", 0)
_PROBLEM = {"version", "shape", "name", "instance"}
_SHAPES: Mapping[str, str] = {
    "cnn_layer": """
name: CNN_Layer
dimensions: [R, S, P, Q, C, K, N]
coefficients:
- {name: Wstride, default: 1}
- {name: Hstride, default: 1}
- {name: Wdilation, default: 1}
- {name: Hdilation, default: 1}
data_spaces:
- {name: Weights, projection: [[[C]], [[K]], [[R]], [[S]]]}
- {name: Inputs, projection: [[[N]], [[C]], [[R, Wdilation], [P, Wstride]], [[S, Hdilation], [Q, Hstride]]]}
- {name: Outputs, projection: [[[N]], [[K]], [[Q]], [[P]]], read_write: true}
""",
    "gemm_ABZ": """
name: gemm_ABZ
dimensions: [M, N, K]
data_spaces:
- {name: A, projection: [[[M]], [[K]]]}
- {name: B, projection: [[[N]], [[K]]]}
- {name: Z, projection: [[[M]], [[N]]], read_write: true}
""",
}
"""The shapes that Timeloop ships and files name."""


def modern(tree: YamlNode) -> YamlNode:
    """The tree of one file as v0.4 has it.

    Raises:
        SpecError: an architecture of v0.1, or a shape that Timeloop does not ship.
    """
    found = mapping(tree)
    if "arch" in found:
        raise found["arch"].error(
            "this is an architecture of Timeloop v0.1, only v0.2 to v0.4 are read",
            suggestion="write architecture: {version: 0.4, nodes: [...]}, storages outermost first as !Component "
            "nodes, and the fanout between them as !Container nodes with spatial: {meshX, meshY}",
        )
    if "problem" not in found:
        return tree
    return replace(tree, value={**found, "problem": _problem(found["problem"])})


def _problem(node: YamlNode) -> YamlNode:
    """Sizes beside the shape become the instance; a shape that is only named is spelt out, as is one left out."""
    found = mapping(node)
    sizes = {key: child for key, child in found.items() if key not in _PROBLEM and isinstance(child.value, int)}
    named = "shape" in found and not isinstance(found["shape"].value, dict)
    if not sizes and not named and not _hyphenated(found.get("shape")) and _version(found) not in _OLD:
        return node
    rest = {key: child for key, child in found.items() if key not in (*sizes, "version")}
    if sizes:
        rest["instance"] = replace(node, value={**mapping(found.get("instance", _NOTHING)), **sizes})
    return replace(node, value={**rest, "shape": _shape(found.get("shape"), node)})


def _version(found: Mapping[str, YamlNode]) -> str:
    return str(found["version"].value).removeprefix("v") if "version" in found else ""


def _shape(shape: YamlNode | None, problem: YamlNode) -> YamlNode:
    if shape is not None and isinstance(shape.value, dict):
        return _underscored(shape)
    name = str(shape.value).replace("-", "_") if shape is not None else "cnn_layer"
    if shape is not None and name not in _SHAPES:
        raise shape.error("Timeloop ships no such shape", value=shape.value, suggestion=nearest(name, sorted(_SHAPES)))
    where = shape or problem
    return replace(load_yaml_text(_SHAPES[name], where.file), line=where.line, field=where.field)


def _hyphenated(shape: YamlNode | None) -> bool:
    """``data-spaces``, or ``read-write`` in one of them."""
    if shape is None or not isinstance(shape.value, dict):
        return False
    return bool(_underscored(shape).plain() != shape.plain())


def _underscored(node: YamlNode) -> YamlNode:
    """``data-spaces`` and ``read-write`` as v0.4 spells them."""
    if isinstance(node.value, dict):
        return replace(node, value={key.replace("-", "_"): _underscored(each) for key, each in node.value.items()})
    if isinstance(node.value, list):
        return replace(node, value=[_underscored(each) for each in node.value])
    return node
