"""Size and bandwidth of a storage level, from the attributes that Timeloop itself reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from camel_plugin.errors import SpecError
from camel_plugin.files.schema import as_integer, as_number, misspelt
from camel_plugin.files.yaml_source import YamlNode

_READ = ("width", "datawidth", "depth", "entries", "sizeKB", "block_size", "cluster_size")
_BANDWIDTH = ("read_bandwidth", "write_bandwidth")
_NEUTRAL: Mapping[str, tuple[Any, str]] = {
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


@dataclass(frozen=True)
class Geometry:
    """Fields of :class:`camel_plugin.spec.machine.Storage` of the same names."""

    width_bits: int
    datawidth_bits: int
    depth: int | None
    cluster_size: int
    row_bits: float
    read_bandwidth: float | None
    write_bandwidth: float | None


def geometry(node: YamlNode, attributes: Mapping[str, Any], *, is_dram: bool) -> Geometry:
    """Check and convert the attributes of a storage component; their meaning is Timeloop's.

    Args:
        node: the component, for messages.
        attributes: evaluated, inherited ones included.
        is_dram: DRAM may leave its depth out, which makes it unlimited.

    Raises:
        SpecError: missing, misspelt, out of range, or not modelled.
    """
    _refuse(node, attributes)
    width = _integer(node, attributes, "width")
    datawidth = _integer(node, attributes, "datawidth")
    cluster = _cluster(node, attributes, width, datawidth)
    if is_dram and cluster != 1:
        raise _at(node, "cluster_size").error("DRAM cannot be clustered", value=cluster)
    row_bits = as_number(attributes["row_bits"], _at(node, "row_bits"), above=0) if "row_bits" in attributes else 0.0
    block = width // (datawidth * cluster)
    return Geometry(
        width_bits=width,
        datawidth_bits=datawidth,
        depth=_depth(node, attributes, block, datawidth, optional=is_dram),
        cluster_size=cluster,
        row_bits=row_bits,
        read_bandwidth=_bandwidth(node, attributes, "read_bandwidth"),
        write_bandwidth=_bandwidth(node, attributes, "write_bandwidth"),
    )


def _refuse(node: YamlNode, attributes: Mapping[str, Any]) -> None:
    for key, (neutral, reason) in _NEUTRAL.items():
        if attributes.get(key) not in (None, neutral):
            raise _at(node, key).error(reason, value=attributes[key])
    own = node.at(["attributes"])
    for key, child in own.value.items() if isinstance(own.value, dict) else ():
        if (close := misspelt(key, _KNOWN)) and close not in attributes:
            raise child.error("unknown attribute", value=key, suggestion=f"did you mean {close!r}?")


def _cluster(node: YamlNode, attributes: Mapping[str, Any], width: int, datawidth: int) -> int:
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
    node: YamlNode, attributes: Mapping[str, Any], block_words: int, datawidth: int, *, optional: bool
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


def _bandwidth(node: YamlNode, attributes: Mapping[str, Any], key: str) -> float | None:
    value = attributes.get(key)
    return None if value is None or value == float("inf") else as_number(value, _at(node, key), above=0)


def _integer(node: YamlNode, attributes: Mapping[str, Any], key: str) -> int:
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
