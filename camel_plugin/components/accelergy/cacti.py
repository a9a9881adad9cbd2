"""SRAM and DRAM by the rules of Accelergy's CACTI plug-in.

CACTI itself is asked once, over a grid (``cacti.csv``, written by ``scripts/record_cacti.py``); between grid points its
figures are interpolated log-log over depth and width. Around that stand the plug-in's rules: the smallest array that
CACTI builds and how smaller ones scale, the nodes that it knows and what lies between, below and above them. Banks and
ports are recorded on a coarser grid, as factors over one bank with one port of the depth that a bank has.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from camel_plugin.components.accelergy.rule import ACCELERGY, Common, cost
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant

RULE = f"{ACCELERGY} (CACTI table)"
DRAM_RULE = f"{ACCELERGY} (DRAM by type)"
SOURCE = "CACTI 7 (ITRS-LSTP, 300 K, least leakage) as Accelergy's CACTI plug-in asks it"
NODES_NM = (22, 32, 45, 65, 90)
QUANTITIES = ("read_J", "write_J", "bank_leakage_W", "area_m2")
_LEAST_WIDTH, _LEAST_DEPTH = 32, 64
_DEPTH_EXPONENT = 1.56 / 2  # the plug-in: twice the depth, 1.56 times the dynamic energy
_FIXED_SHARE = 0.3  # of the dynamic energy, which does not follow the width below 32 bits, in the plug-in
_FINFET_LEAKAGE = 0.79  # the plug-in, after Parvais et al., VLSI-TSA 2009: fins leak 21 % less

ENERGY_PER_BIT: Mapping[str, Constant] = {
    "LPDDR4": Constant(8e-12, "J/bit", "Accelergy CACTI plug-in (public data)", what="LPDDR4 access"),
    "LPDDR": Constant(40e-12, "J/bit", "Malladi et al., ISCA 2012, in Accelergy's CACTI plug-in", what="LPDDR access"),
    "DDR3": Constant(70e-12, "J/bit", "Chatterjee et al., MICRO 2017, in the CACTI plug-in", what="DDR3 access"),
    "GDDR5": Constant(14e-12, "J/bit", "Accelergy CACTI plug-in, unattributed there", what="GDDR5 access"),
    "HBM2": Constant(3.9e-12, "J/bit", "Accelergy CACTI plug-in, unattributed there", what="HBM2 access"),
    "HMC": Constant(4.2e-12, "J/bit", "doi 10.1145/3093336.3037702, in Accelergy's CACTI plug-in", what="HMC access"),
}


@dataclass(frozen=True)
class Organisation:
    """What the plug-in passes on beside width and depth."""

    node_nm: int
    banks: int = 1
    ports: int = 1


Figures = tuple[float, ...]
"""A value for each of QUANTITIES."""


@dataclass(frozen=True)
class Line:
    """Figures over the depth for one organisation and width."""

    depths: Sequence[int]
    figures: Sequence[Figures]


@cache
def table() -> Mapping[Organisation, Mapping[int, Line]]:
    """The recorded grid by organisation and width; figures as logarithms."""
    text = files("camel_plugin.components.accelergy").joinpath("cacti.csv").read_text(encoding="utf-8")
    head, *rows = csv.reader(text.splitlines())
    depths = [int(depth) for depth in head[5:]]
    found: dict[Organisation, dict[int, Line]] = {}
    for group in zip(*[iter(rows)] * len(QUANTITIES), strict=True):
        node_nm, banks, ports, width = map(int, group[0][:4])
        columns = zip(depths, *(row[5:] for row in group), strict=True)
        given = [(depth, tuple(math.log(float(cell)) for cell in cells)) for depth, *cells in columns if all(cells)]
        line = Line([depth for depth, _ in given], [figures for _, figures in given])
        found.setdefault(Organisation(node_nm, banks, ports), {})[width] = line
    return found


def _between(grid: Sequence[float], at: float) -> tuple[int, float]:
    """Index of the interval of ``grid`` around ``at``, or the one next to it, and the logarithmic position there."""
    index = min(max(bisect_right(grid, at) - 1, 0), len(grid) - 2)
    return index, math.log(at / grid[index]) / math.log(grid[index + 1] / grid[index])


def _mixed(first: Figures, second: Figures, share: float) -> Figures:
    return tuple((1 - share) * a + share * b for a, b in zip(first, second, strict=True))


def _interpolated(lines: Mapping[int, Line], width: float, depth: float) -> Figures:
    """Logarithms of the figures at a point of the plane."""
    widths = sorted(lines)
    left, across = _between(widths, width)
    sides = []
    for line in (lines[widths[left]], lines[widths[left + 1]]):
        low, along = _between(line.depths, depth)
        sides.append(_mixed(line.figures[low], line.figures[low + 1], along))
    return _mixed(sides[0], sides[1], across)


@cache
def _factors(organisation: Organisation) -> Mapping[int, Line]:
    """What more banks or ports do to one bank with one port, as differences of logarithms."""
    single = table()[Organisation(organisation.node_nm)]

    def factor(width: int, depth: int, figures: Figures) -> Figures:
        bank = _interpolated(single, width, depth / organisation.banks)
        return tuple(figure - base for figure, base in zip(figures, bank, strict=True))

    return {
        width: Line(line.depths, [factor(width, *each) for each in zip(line.depths, line.figures, strict=True)])
        for width, line in table()[organisation].items()
    }


def array(organisation: Organisation, width: float, depth: float) -> Figures:
    """QUANTITIES of an SRAM that CACTI can build, from the table; beyond its ends the last slopes go on."""
    node_nm = organisation.node_nm
    logarithms = _interpolated(table()[Organisation(node_nm)], width, depth / organisation.banks)
    most = max(each.banks for each in table())
    whole = Organisation(node_nm, min(organisation.banks, most), organisation.ports)
    # More ports than recorded: a power of their number.
    apart = {replace(whole, ports=1): 1.0, Organisation(node_nm, 1, 2): math.log2(organisation.ports)}
    parts = {whole: 1.0} if whole in table() else apart
    for part, times in parts.items():
        # At the same depth of a bank.
        rows = max(depth / organisation.banks, _LEAST_DEPTH) * part.banks
        factors = _interpolated(_factors(part), width, rows)
        logarithms = tuple(a + times * b for a, b in zip(logarithms, factors, strict=True))
    return tuple(map(math.exp, logarithms))


@dataclass(frozen=True)
class Sram:
    """An SRAM as it is asked for."""

    width: int
    depth: int
    banks: int
    ports: int

    def at(self, node_nm: int) -> Figures:
        """Read and write energy (J), leakage (W) and area (m2) at one of CACTI's nodes."""
        banks = 2 ** math.ceil(math.log2(self.banks))
        width, depth = max(math.ceil(self.width / 8) * 8, _LEAST_WIDTH), max(self.depth, _LEAST_DEPTH * self.banks)
        across, along = self.width / width, self.depth / depth
        read_J, write_J, bank_leakage_W, area_m2 = array(Organisation(node_nm, banks, self.ports), width, depth)
        dynamic = (_FIXED_SHARE + (1 - _FIXED_SHARE) * across) * along**_DEPTH_EXPONENT
        static = across * along
        return read_J * dynamic, write_J * dynamic, bank_leakage_W * self.banks * static, area_m2 * static

    def figures(self, node_nm: float) -> Figures:
        """The same at any node: linear between CACTI's, and the plug-in's laws below and above them."""
        if node_nm < NODES_NM[0]:
            scale = node_nm / NODES_NM[0]
            root = math.sqrt(scale)
            laws = (root, root, root * _FINFET_LEAKAGE, scale)
            return tuple(figure * law for figure, law in zip(self.at(NODES_NM[0]), laws, strict=True))
        if node_nm > NODES_NM[-1]:
            return tuple(figure * (node_nm / NODES_NM[-1]) ** 2 for figure in self.at(NODES_NM[-1]))
        low = max(node for node in NODES_NM if node <= node_nm)
        high = min(node for node in NODES_NM if node >= node_nm)
        if low == high:
            return self.at(low)
        return _mixed(self.at(low), self.at(high), (node_nm - low) / (high - low))

    def outside(self) -> str | None:
        """What of it lies outside the recorded table."""
        recorded = table()
        lines = next(lines for each, lines in recorded.items() if each.banks == each.ports == 1)
        most = {
            "width": (self.width, max(lines)),
            "depth of a bank": (self.depth / self.banks, min(line.depths[-1] for line in lines.values())),
            "n_banks": (self.banks, max(each.banks for each in recorded)),
            "n_rw_ports": (self.ports, max(each.ports for each in recorded)),
        }
        beyond = [f"{what} {value:g} > {limit}" for what, (value, limit) in most.items() if value > limit]
        return ", ".join(beyond) or None


def estimate_sram(values: Mapping[str, object]) -> ComponentCost:
    """``SRAM`` from ``technology``, ``width`` and ``depth``, and optionally ``n_banks`` (1) and ``n_rw_ports`` (1)."""
    attributes = Attributes("SRAM", values)
    common = Common.of(attributes)
    sram = Sram(
        attributes.integer("width"),
        attributes.integer("depth"),
        attributes.integer("n_banks", default=1),
        attributes.integer("n_rw_ports", default=1),
    )
    read_J, write_J, leakage_W, area_m2 = sram.figures(common.node_nm)
    outside = sram.outside()
    return cost(
        common,
        {"read": read_J, "write": write_J, "update": write_J},
        leakage_W,
        area_m2,
        rule=RULE,
        source=SOURCE,
        assumptions=() if outside is None else (f"CACTI's figures continued beyond the recorded table: {outside}",),
    )


def _dram(values: Mapping[str, object], default_type: str) -> ComponentCost:
    attributes = Attributes("DRAM", values)
    per_bit = ENERGY_PER_BIT[attributes.choice("type", ENERGY_PER_BIT, default_type)]
    access_J = per_bit.value * attributes.integer("width")
    return ComponentCost(
        dict.fromkeys(("read", "write", "update"), access_J), 0.0, 0.0, sources=(per_bit.source,), rule=DRAM_RULE
    )


def estimate_dram(values: Mapping[str, object]) -> ComponentCost:
    """``DRAM`` from ``width`` and optionally ``type`` (LPDDR4); no leakage, no area."""
    return _dram(values, "LPDDR4")
