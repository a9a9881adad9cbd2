"""Size and bandwidth of a storage level, from the attributes that Timeloop itself reads."""

from collections.abc import Mapping

from camel_plugin.errors import SpecError
from camel_plugin.files.schema import as_integer, as_number, misspelt
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import Storage

_READ = ("width", "datawidth", "depth", "entries", "sizeKB", "block_size", "cluster_size")
_BANDWIDTH = ("read_bandwidth", "write_bandwidth")
_NEUTRAL: Mapping[str, tuple[object, str]] = {
    "multiple_buffering": (1, "multiple buffering is not modelled; divide the depth by it"),
    "min_utilization": (0, "a minimum utilization is not modelled"),
    "shared_bandwidth": (
        None,
        "a bandwidth shared by reads and writes is not modelled; give read_ and write_bandwidth",
    ),
    "bandwidth": (None, "this attribute is outdated; give read_bandwidth and write_bandwidth"),
    "per_dataspace_bandwidth_consumption_scale": ({}, "bandwidth scales are not modelled"),
    "network_fill_latency": (0, "network latencies are not modelled"),
    "network_drain_latency": (0, "network latencies are not modelled"),
    "allow_overbooking": (False, "overbooking is not modelled"),
    "has_power_gating": (False, "power gating is not modelled"),
    "metadata_storage_width": (0, "metadata storage is not modelled"),
    "metadata_storage_depth": (0, "metadata storage is not modelled"),
}
_KNOWN = (*_READ, *_BANDWIDTH, *_NEUTRAL, "row_bits", "temperature", "technology", "global_cycle_seconds")


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
    is_dram = "DRAM" in class_name
    _refuse(node, attributes)
    width = _integer(node, attributes, "width")
    datawidth = _integer(node, attributes, "datawidth")
    cluster = _cluster(node, attributes, width, datawidth)
    if is_dram and cluster != 1:
        raise _at(node, "cluster_size").error("DRAM cannot be clustered", value=cluster)
    block = width // (datawidth * cluster)
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
        if (close := misspelt(key, _KNOWN)) and close not in attributes:
            raise child.error("unknown attribute", value=key, suggestion=f"did you mean {close!r}?")


def _cluster(node: YamlNode, attributes: Mapping[str, object], width: int, datawidth: int) -> int:
    """Timeloop's rule: block_size * cluster_size * datawidth = width, either may be left out."""
    block = _integer(node, attributes, "block_size") if attributes.get("block_size") is not None else None
    cluster = _integer(node, attributes, "cluster_size") if attributes.get("cluster_size") is not None else None
    unit = datawidth * (block or 1) * (cluster or 1)
    if width % unit or (block and cluster and width != unit):
        what = "datawidth" if unit == datawidth else "datawidth * block_size * cluster_size"
        raise _at(node, "width").error(f"width must be a multiple of {what} = {unit}", value=width)
    if cluster is None:
        cluster = 1 if block is None else width // (datawidth * block)
    return cluster


def _depth(
    node: YamlNode, attributes: Mapping[str, object], block_words: int, datawidth: int, *, optional: bool
) -> int | None:
    given = [key for key in ("depth", "entries", "sizeKB") if attributes.get(key) is not None]
    if len(given) > 1:
        raise _at(node, given[1]).error(f"gives the size again, {given[0]} does already", value=attributes[given[1]])
    if not given:
        if optional:
            return None
        raise _missing(node, "depth")
    key = given[0]
    value = _integer(node, attributes, key)
    if key == "depth":
        return value
    words = value if key == "entries" else value * 1024 * 8 // datawidth
    if words % block_words:
        raise _at(node, key).error(f"must be whole accesses of {block_words} words", value=value)
    return words // block_words


def _bandwidth(node: YamlNode, attributes: Mapping[str, object], key: str) -> float | None:
    value = attributes.get(key)
    return None if value is None or value == float("inf") else as_number(value, _at(node, key), above=0)


def _integer(node: YamlNode, attributes: Mapping[str, object], key: str) -> int:
    if attributes.get(key) is None:
        raise _missing(node, key)
    return as_integer(attributes[key], _at(node, key), minimum=1)


def _at(node: YamlNode, key: str) -> YamlNode:
    return node.at(["attributes", key])


def _missing(node: YamlNode, key: str) -> SpecError:
    """A required attribute is absent, perhaps because another one is a misspelling of it."""
    own = node.at(["attributes"])
    for name, child in own.value.items() if isinstance(own.value, dict) else ():
        if name not in _KNOWN and misspelt(name, [key], 0.6):
            return child.error("unknown attribute", value=name, suggestion=f"did you mean {key!r}?")
    return own.error(f"{key} is missing, a storage needs it")
