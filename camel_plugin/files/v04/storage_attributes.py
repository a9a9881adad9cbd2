"""Size and bandwidth of a storage level, from the attributes that Timeloop itself reads."""

from collections.abc import Mapping

from camel_plugin.errors import SpecError
from camel_plugin.files.attribute_names import NAMES
from camel_plugin.files.schema import as_integer, as_number, misspelt
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import Storage

_READ = (*(name for names in NAMES.values() for name in names), "entries", "sizeKB", "cluster_size", "instances")
_BANDWIDTH = ("read_bandwidth", "write_bandwidth", "bandwidth")
OWN = ("cluster_size", "n_banks", "multiple_buffering", "min_utilization", "reduction_supported", "allow_overbooking")
"""Attributes that a storage does not inherit, because the front end gives each one its default."""

_NEUTRAL: Mapping[str, tuple[object, str]] = {
    "multiple_buffering": (1, "multiple buffering is not modelled; divide the depth by it"),
    "min_utilization": (0, "a minimum utilization is not modelled"),
    "shared_bandwidth": (
        None,
        "a bandwidth shared by reads and writes is not modelled; give read_ and write_bandwidth",
    ),
    "per_dataspace_bandwidth_consumption_scale": ({}, "bandwidth scales are not modelled"),
    "network_fill_latency": (0, "network latencies are not modelled"),
    "network_drain_latency": (0, "network latencies are not modelled"),
    "allow_overbooking": (False, "overbooking is not modelled"),
    "has_power_gating": (False, "power gating is not modelled"),
    "reduction_supported": (True, "a storage that cannot take part in reductions is not modelled"),
    "vector_access_energy": (None, "energies stand in an ERT (--ert) or in a component class"),
    "addr_gen_energy": (None, "address generators belong in a component class or an ERT (--ert)"),
}
_MEANT = (*_READ, *_BANDWIDTH, *_NEUTRAL, "row_bits", "temperature", "technology", "global_cycle_seconds")
"""What an attribute with a slip of the pen may be meant to be."""

_OTHERS = (
    *("n_instances", "num_ports", "n_ports", "num_banks", "n_banks", "metadata_block_size", "metadata_datawidth"),
    *("metadata_word_bits", "metadata_storage_width", "metadata_width", "metadata_storage_depth", "metadata_depth"),
)
"""Names that Timeloop or Accelergy read and that change nothing here, although they look like others."""


def read_storage(
    node: YamlNode, name: str, class_name: str, technology: str, attributes: Mapping[str, object]
) -> Storage:
    """A storage component with its size and bandwidth; the meaning of its attributes is Timeloop's.

    Args:
        node: the component, for messages.
        name: of the storage.
        class_name: Timeloop class; DRAM may leave its depth out, which makes it unlimited.
        technology: see :class:`Storage`.
        attributes: evaluated, inherited ones included.

    Raises:
        SpecError: missing, misspelt, out of range, or not modelled.
    """
    is_dram = "DRAM" in class_name or attributes.get("technology") == "DRAM"
    _refuse(node, attributes)
    datawidth = _integer(node, attributes, "datawidth")
    width, block, cluster = _access(node, attributes, datawidth)
    if is_dram and cluster != 1:
        raise _at(node, "cluster_size").error("DRAM cannot be clustered", value=cluster)
    return Storage(
        name,
        class_name,
        technology,
        width,
        datawidth,
        _depth(node, attributes, block, datawidth, optional=is_dram),
        cluster,
        as_number(attributes["row_bits"], _at(node, "row_bits"), above=0) if "row_bits" in attributes else 0.0,
        _bandwidth(node, attributes, "read_bandwidth"),
        _bandwidth(node, attributes, "write_bandwidth"),
        is_dram=is_dram,
    )


def _refuse(node: YamlNode, attributes: Mapping[str, object]) -> None:
    for key, (neutral, reason) in _NEUTRAL.items():
        if attributes.get(key) not in (None, neutral):
            raise _at(node, key).error(reason, value=attributes[key])
    own = node.at(["attributes"])
    for key, child in own.value.items() if isinstance(own.value, dict) else ():
        if key not in _OTHERS and (close := misspelt(key, _MEANT)) and close not in attributes:
            raise child.error("unknown attribute", value=key, suggestion=f"did you mean {close!r}?")


def _access(node: YamlNode, attributes: Mapping[str, object], datawidth: int) -> tuple[int, int, int]:
    """Bits and words of an access, and the instances that share it: width = block_size * cluster_size * datawidth."""
    block = _integer(node, attributes, "block_size") if _given(attributes, "block_size") else None
    cluster = _integer(node, attributes, "cluster_size") if _given(attributes, "cluster_size") else 1
    if not _given(attributes, "width") and (block is not None or not _misspelling(node, "width")):
        return datawidth * (block or 1) * cluster, block or 1, cluster
    width = _integer(node, attributes, "width")
    unit = datawidth * cluster
    if width % unit:
        what = "datawidth" if cluster == 1 else "datawidth * cluster_size"
        raise _at(node, "width").error(f"width must be a multiple of {what} = {unit}", value=width)
    if block not in (None, width // unit):
        raise _at(node, "block_size").error(
            f"width must be datawidth * block_size * cluster_size = {unit * (block or 1)}",
            value=width,
            suggestion=f"block_size: {width // unit}, or leave it out",
        )
    return width, width // unit, cluster


def _depth(
    node: YamlNode, attributes: Mapping[str, object], block_words: int, datawidth: int, *, optional: bool
) -> int | None:
    given = [key for key in ("depth", "entries", "sizeKB") if _given(attributes, key)]
    if len(given) > 1:
        raise _at(node, given[1]).error(f"gives the size again, {given[0]} does already", value=attributes[given[1]])
    if not given:
        if optional:
            return None
        raise _missing(node, "depth")
    key = given[0]
    if key == "depth":
        return _integer(node, attributes, key, minimum=0)
    value = _integer(node, attributes, key)
    words = value if key == "entries" else value * 1024 * 8 // datawidth
    if words % block_words:
        raise _at(node, key).error(f"must be whole accesses of {block_words} words", value=value)
    return words // block_words


def _bandwidth(node: YamlNode, attributes: Mapping[str, object], key: str) -> float | None:
    """Words a cycle; half of a ``bandwidth`` for what has none of its own, as in Timeloop."""
    value, share = attributes.get(key), 1.0
    if value is None and attributes.get("bandwidth") is not None:
        key, value, share = "bandwidth", attributes["bandwidth"], 0.5
    return None if value is None or value == float("inf") else as_number(value, _at(node, key), above=0) * share


def _given(attributes: Mapping[str, object], key: str) -> str | None:
    """The name under which an attribute is given."""
    return next((name for name in NAMES.get(key, (key,)) if attributes.get(name) is not None), None)


def _integer(node: YamlNode, attributes: Mapping[str, object], key: str, minimum: int = 1) -> int:
    name = _given(attributes, key)
    if name is None:
        raise _missing(node, key)
    return as_integer(attributes[name], _at(node, name), minimum=minimum)


def _at(node: YamlNode, key: str) -> YamlNode:
    return node.at(["attributes", key])


def _missing(node: YamlNode, key: str) -> SpecError:
    """A required attribute is absent, perhaps because another one is a misspelling of it."""
    child = _misspelling(node, key)
    if child is not None:
        return child.error("unknown attribute", value=child.field.split(".")[-1], suggestion=f"did you mean {key!r}?")
    return node.at(["attributes"]).error(f"{key} is missing, a storage needs it")


def _misspelling(node: YamlNode, key: str) -> YamlNode | None:
    """The attribute of this component that is meant to be ``key``."""
    own = node.at(["attributes"]).value
    names = own if isinstance(own, dict) else {}
    return next((names[name] for name in names if name not in (*_MEANT, *_OTHERS) and misspelt(name, [key], 0.6)), None)
