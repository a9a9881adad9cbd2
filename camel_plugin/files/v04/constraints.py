"""Constraints of one node: which dataspaces it keeps and how its loops may look."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from camel_plugin.errors import nearest
from camel_plugin.files.schema import entries, integer, mapping, misspelt, number, refuse, text
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.spec.machine import FactorBound, LoopConstraints

CANONICAL_DATASPACES = ("Weights", "Inputs", "Outputs")

_LOOP_KEYS = {
    *("type", "target", "factors", "factors_only", "permutation", "no_reuse", "rmw_first_update", "remainders"),
    *("default_max_factor", "default_min_factor", "maximize_dims", "maximize_dims_capacity"),
    *("no_iteration_over_dataspaces", "must_iterate_over_dataspaces"),
}
_UNMODELLED_LOOP = {
    "default_max_factor": "default factor bounds are not supported; bound each dimension in factors",
    "default_min_factor": "default factor bounds are not supported; bound each dimension in factors",
    "remainders": "imperfect factors are not modelled",
    "no_reuse": "forbidding reuse or multicast is not modelled",
    "rmw_first_update": "rmw_first_update is not modelled",
    "no_link_transfer": "no_link_transfer is not modelled per level",
}
_FACTOR = re.compile(r"([A-Za-z_]\w*?)(<=|>=|=)([0-9]+)|([A-Za-z]+)([0-9]+)")


@dataclass(frozen=True)
class Names:
    """Names that constraints may use.

    Attributes:
        dataspaces: of the problem, or the usual three where no problem is at hand.
        dimensions: of the problem, None where no problem is at hand.
        known: the dataspaces are those of a problem.
    """

    dataspaces: tuple[str, ...] = CANONICAL_DATASPACES
    dimensions: tuple[str, ...] | None = None
    known: bool = False


@dataclass(frozen=True)
class NodeConstraints:
    """All constraints of one node."""

    keep: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()
    temporal: LoopConstraints = field(default_factory=LoopConstraints)
    spatial: LoopConstraints = field(default_factory=LoopConstraints)


def read_constraints(
    group: YamlNode | None, targets: Sequence[YamlNode], scope: Mapping[str, object], names: Names
) -> NodeConstraints:
    """Constraints that a node carries itself, combined with those that target it from outside.

    Args:
        group: the node's ``constraints`` mapping.
        targets: items of ``architecture_constraints.targets`` for this node.
        scope: names for expressions.
        names: dataspaces and dimensions.

    Raises:
        SpecError: unknown key or name, contradiction, or something that is not modelled.
    """
    kinds = {"dataspace", "temporal", "spatial", "max_overbooked_proportion"}
    parts = list(entries(group, kinds).items()) if group else []
    for target in targets:
        kind = mapping(target).get("type")
        if kind is None:
            raise target.error("type is missing")
        parts.append((text(kind), target))
    result = NodeConstraints()
    for name, node in parts:
        result = _add(result, name, node, scope, names)
    return result


def _add(
    result: NodeConstraints, kind: str, node: YamlNode, scope: Mapping[str, object], names: Names
) -> NodeConstraints:
    match kind:
        case "dataspace" | "bypass" | "datatype":
            keep, bypass = read_keep(node, names)
            clash = (result.keep | keep) & (result.bypass | bypass)
            if clash:
                raise node.error("is both kept and bypassed", value=sorted(clash))
            return replace(result, keep=result.keep | keep, bypass=result.bypass | bypass)
        case "temporal":
            return replace(result, temporal=_combine(result.temporal, _read_loops(node, scope, names, set()), node))
        case "spatial":
            loops = _read_loops(node, scope, names, {"split", "no_link_transfer"})
            return replace(result, spatial=_combine(result.spatial, loops, node))
        case "utilization" | "parallelism":
            bound = entries(node, {"type", "target", "min"}, {"min"})["min"]
            return replace(result, spatial=replace(result.spatial, min_parallelism=number(bound, scope, minimum=0)))
        case "max_overbooked_proportion":
            refuse({kind: node}, {kind: "overbooking is not modelled"})
            return result
    raise node.error(
        "unknown type of constraint", value=kind, suggestion=nearest(kind, ["dataspace", "spatial", "temporal"])
    )


def read_keep(node: YamlNode, names: Names) -> tuple[frozenset[str], frozenset[str]]:
    """The dataspaces that a constraint keeps, and those that it lets pass."""
    found = entries(node, {"type", "target", "keep", "bypass", "keep_only", "bypass_only", "no_coalesce"})
    refuse(found, {"no_coalesce": "no_coalesce is not modelled"})
    sets = {key: dataspaces(found[key], names) for key in found if key.startswith(("keep", "bypass"))}
    keep, bypass = sets.get("keep", frozenset()), sets.get("bypass", frozenset())
    every = frozenset(names.dataspaces)
    if "keep_only" in sets:
        keep, bypass = keep | sets["keep_only"], bypass | (every - sets["keep_only"])
    if "bypass_only" in sets:
        keep, bypass = keep | (every - sets["bypass_only"]), bypass | sets["bypass_only"]
    return keep, bypass


def dataspaces(node: YamlNode, names: Names) -> frozenset[str]:
    """A set of dataspaces: names, ``*`` or ``All`` for all, ``Nothing``, ``~Name`` for all but one."""
    chosen: set[str] = set()
    for word, item in _words(node):
        name = word.removeprefix("~").strip()
        if name in ("*", "All", "Nothing"):
            these = set() if name == "Nothing" else set(names.dataspaces)
        else:
            close = nearest(name, names.dataspaces) if names.known else misspelt(name, names.dataspaces, 0.8)
            if name not in names.dataspaces and (names.known or close):
                hint = close if names.known else f"did you mean {close!r}?"
                raise item.error("unknown dataspace", value=name, suggestion=hint)
            these = {name}
        chosen |= set(names.dataspaces) - these if word.startswith("~") else these
    return frozenset(chosen)


def _read_loops(node: YamlNode, scope: Mapping[str, object], names: Names, more: set[str]) -> LoopConstraints:
    found = entries(node, _LOOP_KEYS | more)
    refuse(found, _UNMODELLED_LOOP)
    loops = LoopConstraints(factors=read_factors(found["factors"], names) if "factors" in found else {})
    if "factors_only" in found:
        only = LoopConstraints(factors=read_factors(found["factors_only"], names), only=True)
        loops = _combine(loops, only, found["factors_only"])

    def of(key: str) -> frozenset[str]:
        return dataspaces(found[key], names) if key in found else frozenset()

    return replace(
        loops,
        permutation=read_permutation(found["permutation"], names) if "permutation" in found else (),
        split=integer(found["split"], scope, minimum=0) if "split" in found else None,
        no_iteration_over=of("no_iteration_over_dataspaces"),
        must_iterate_over=of("must_iterate_over_dataspaces") if "must_iterate_over_dataspaces" in found else None,
        maximize=_groups(found.get("maximize_dims"), names, set(loops.factors)),
        maximize_capacity=_capacity(found, scope, spatial="split" in more),
    )


def _groups(node: YamlNode | None, names: Names, taken: set[str]) -> tuple[tuple[str, ...], ...]:
    """``maximize_dims``: a list of dimensions, or several such lists."""
    if node is None or not node.value:
        return ()
    inner = node.value if isinstance(node.value, list) else []
    nested = bool(inner) and all(isinstance(item.value, list) for item in inner)
    groups = tuple(read_permutation(each, names) for each in (inner if nested else [node]))
    for name in (name for group in groups for name in group):
        if name in taken:
            raise node.error("this dimension has a factor here already", value=name)
        taken.add(name)
    return groups


def _capacity(found: Mapping[str, YamlNode], scope: Mapping[str, object], *, spatial: bool) -> int | None:
    """``maximize_dims_capacity``, which temporal loops need."""
    if "maximize_dims_capacity" in found:
        return integer(found["maximize_dims_capacity"], scope, minimum=1)
    if not spatial and "maximize_dims" in found and found["maximize_dims"].value:
        raise found["maximize_dims"].error("temporal loops need maximize_dims_capacity, the product they may reach")
    return None


def read_factors(node: YamlNode, names: Names) -> dict[str, FactorBound]:
    """Factors as ``[C=4, M<=8]``, ``"C=4 M=8"``, ``{C: 4}`` or, as the mapper prints them, ``"C4 M8"``.

    Raises:
        SpecError: not of these forms, an unknown dimension, or one given twice with different factors.
    """
    if isinstance(node.value, dict):
        words: Iterable[tuple[str, YamlNode]] = [(f"{key}={child.value}", child) for key, child in node.value.items()]
    else:
        words = _words(node, re.compile(r"\s*(<=|>=|=)\s*"))
    factors: dict[str, FactorBound] = {}
    for word, item in words:
        match = _FACTOR.fullmatch(word)
        if match is None:
            raise item.error("is no factor", value=word, suggestion="write C=4, C<=4 or C>=4 with a whole number")
        name, bound = match[1] or match[4], FactorBound(match[2] or "=", int(match[3] or match[5]))
        check_dimension(name, item, names)
        if factors.setdefault(name, bound) != bound:
            raise item.error("this dimension has another factor here already", value=word)
    return factors


def read_permutation(node: YamlNode, names: Names) -> tuple[str, ...]:
    """Dimensions, innermost first: ``[C, M]``, ``"C, M"`` or, for one-letter dimensions, ``CM`` or ``C M``.

    Raises:
        SpecError: an unknown dimension or one given twice.
    """
    words = list(_words(node))
    known = names.dimensions or ()
    if isinstance(node.value, str) and "," not in node.value and not all(word in known for word, _ in words):
        words = [(letter, node) for letter in node.value if not letter.isspace()]
    for index, (name, item) in enumerate(words):
        check_dimension(name, item, names)
        if name in [earlier for earlier, _ in words[:index]]:
            raise item.error("this dimension stands twice in the permutation", value=name)
    return tuple(name for name, _ in words)


def check_dimension(name: str, node: YamlNode, names: Names) -> None:
    """Refuse a dimension that the problem does not have."""
    if names.dimensions is not None and name not in names.dimensions:
        raise node.error("unknown dimension", value=name, suggestion=nearest(name, names.dimensions))


def _words(node: YamlNode, tight: re.Pattern[str] | None = None) -> Iterator[tuple[str, YamlNode]]:
    """Words of a list or of a text separated by commas or spaces; ``tight`` marks signs without spaces around."""
    for item in node.value if isinstance(node.value, list) else [node]:
        if item.value is None:
            continue
        joined = tight.sub(r"\1", text(item)) if tight else text(item)
        for word in re.split(r"[,\s]+", joined.strip()):
            if word:
                yield word, item


def _combine(first: LoopConstraints, second: LoopConstraints, node: YamlNode) -> LoopConstraints:
    for name, bound in second.factors.items():
        if first.factors.get(name, bound) != bound:
            raise node.error(f"another constraint bounds {name} differently", value=f"{bound.relation}{bound.value}")
    for what in ("permutation", "split"):
        before, after = getattr(first, what), getattr(second, what)
        if before not in ((), None, after) and after not in ((), None):
            raise node.error(f"another constraint gives a different {what}", value=after)
    return replace(
        first,
        factors={**first.factors, **second.factors},
        permutation=second.permutation or first.permutation,
        split=first.split if second.split is None else second.split,
        only=first.only or second.only,
        no_iteration_over=first.no_iteration_over | second.no_iteration_over,
        must_iterate_over=(
            first.must_iterate_over
            if second.must_iterate_over is None
            else second.must_iterate_over | (first.must_iterate_over or frozenset())
        ),
        maximize=first.maximize + second.maximize,
        maximize_capacity=first.maximize_capacity or second.maximize_capacity,
    )
