"""The models against published figures: what they are anchored on, and what they were never told.

``python -m scripts.calibration docs/components.md`` rewrites the two tables of that page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from camel_plugin.components import edram, mac, regfile, retention, scaling, sram
from camel_plugin.components.accelergy import library
from camel_plugin.components.accelergy.cacti import ENERGY_PER_BIT
from camel_plugin.components.catalogue import estimate
from camel_plugin.components.constant import Constant
from camel_plugin.components.memory import quantity

_KB = 8 * 1024


@dataclass(frozen=True)
class Comparison:
    """One published figure beside the model's.

    Attributes:
        what: the quantity.
        unit: of both figures.
        published: by ``source``.
        model: computed now.
        source: publication, with what had to be assumed.
        within: factor by which the two may differ; 1 for an anchor.
    """

    what: str
    unit: str
    published: float
    model: float
    source: str
    within: float = 1.0

    @property
    def error(self) -> float:
        """Relative error of the model."""
        return self.model / self.published - 1

    @property
    def agrees(self) -> bool:
        """The figures differ by no more than the stated factor (anchors: a thousandth)."""
        ratio = max(self.model / self.published, self.published / self.model)
        return ratio <= max(self.within, 1.001)


def comparisons() -> list[Comparison]:
    """Every published figure that the models can speak to, anchors first."""
    return sorted([*_edram(), *_retention(), *_sram(), *_registers(), *_arithmetic()], key=lambda row: row.within > 1)


def _edram() -> Iterator[Comparison]:
    macro = estimate("edram", {"technology": 16, "width": 128, "depth": 8192, "voltage": 0.6, "retention_time": 77e-6})
    source = "Giterman, LSSC 2020: 16 nm 3T, 1 Mb, 0.6 V"
    yield Comparison("3T read", "pJ", 2.58, macro.actions_J["read"] * 1e12, source)
    yield Comparison("3T write", "pJ", 2.46, macro.actions_J["write"] * 1e12, source)
    yield Comparison("3T leakage", "uW", 105, macro.leakage_W * 1e6, source)
    yield Comparison("3T area", "um2", 131570, macro.area_m2 * 1e12, source)
    assert macro.edram is not None
    yield Comparison("3T refresh at 77 us", "uW", 276, retention.refresh_power(macro.edram) * 1e6, source)

    isaac = estimate("edram", {"technology": 32, "width": 256, "depth": 2048, "cell": "1T1C"})
    yield Comparison("1T1C access, 64 KB, 256 bit", "pJ", 20.45, isaac.actions_J["read"] * 1e12, "ISAAC, 32 nm")
    yield Comparison("1T1C area, 64 KB", "mm2", 0.083, isaac.area_m2 * 1e6, "ISAAC, 32 nm")

    row_J = edram.refresh_energy(edram.CELLS["3T"], 1, scaling.OperatingPoint(16, 0.8))
    yield Comparison("3T refresh", "fJ/bit", 45, row_J * 1e15, "SPICE note, thin-oxide 3T (16 nm, 0.8 V assumed)", 1.5)
    large = {"technology": 65, "width": 8, "depth": 4 * 2**20, "temperature": 25}
    kelle = estimate("edram", large)
    yield Comparison("3T read, 4 MB", "pJ/byte", 84.8, kelle.actions_J["read"] * 1e12, "Kelle (DESTINY), 65 nm", 5)
    sram_J = estimate("logic_sram", large).actions_J["read"]
    yield Comparison("3T read over SRAM read, 4 MB", "1", 84.8 / 185.9, kelle.actions_J["read"] / sram_J, "Kelle", 2)
    bank_J = edram.refresh_energy(edram.CELLS["1T1C"], 32 * _KB, scaling.OperatingPoint(65, 1.2))
    yield Comparison("1T1C refresh of 32 KB", "nJ", 48.1, bank_J * 1e9, "RANA, 65 nm (recalled)", 3)
    for node, published_mW, published_mm2 in ((65, 24.5, 5.96), (45, 10, 4.56), (32, 30, 1.44), (22, 9.8, 0.63)):
        cache = {"technology": node, "width": 512, "depth": 2 * 1024 * _KB // 512, "temperature": 76.85, "cell": "1T1C"}
        model = estimate("edram", cache)
        yield Comparison(
            f"1T1C leakage, 2 MB, {node} nm",
            "mW",
            published_mW,
            model.leakage_W * 1e3,
            "DESTINY, 350 K",
            1 if node == 22 else 6,
        )
        yield Comparison(f"1T1C area, 2 MB, {node} nm", "mm2", published_mm2, model.area_m2 * 1e6, "DESTINY", 2.5)


def _retention() -> Iterator[Comparison]:
    def model_us(cell: str, node_nm: float, temperature_C: float, yield_fraction: float = 0.999) -> float:
        return retention.retention_time(cell, node_nm, temperature_C, yield_fraction) * 1e6

    yield Comparison("3T retention, 16 nm, 100 C, 99.9 %", "us", 3.35, model_us("3T", 16, 100), "CAMEL")
    yield Comparison("3T retention, 65 nm, 105 C", "us", 45, model_us("3T", 65, 105), "Kelle (99.9 % assumed)")
    yield Comparison("retention at 27 C over 85 C", "1", 15, scaling.current_ratio(27, 85), "SPICE note, 3T")
    yield Comparison(
        "3T retention, 16 nm", "us", 77, model_us("3T", 16, 27), "Giterman, 0.6 V (27 C and 99.9 % assumed)", 1.5
    )
    yield Comparison(
        "gain cell retention, 65 nm, 85 C, 99.9 %",
        "us",
        110,
        model_us("3T", 65, 85),
        "Chun, JSSC 2012 (a 2T cell, 1.1 V)",
        1.5,
    )
    yield Comparison(
        "3T1C retention, 65 nm, 99.99 %",
        "us",
        16,
        model_us("3T", 65, 85, 0.9999),
        "Harel, LSSC 2022 (temperature not stated, 85 C assumed)",
        3,
    )
    camel = estimate("edram", {"technology": 16, "width": 58, "depth": 1024, "temperature": 100})
    assert camel.edram is not None
    yield Comparison(
        "availability under refresh of 1024 rows, 500 MHz",
        "%",
        100 * (1 - 1024 * 2e-9 / 3.35e-6),
        100 * retention.availability(camel.edram, 2e-9),
        "1 - rows t_row / t_retention (GEMTOO) with CAMEL's array",
    )
    for node, cold_mW, hot_mW in (
        (65, 1.35405e-3, 11.9519e-3),
        (45, 0.870412e-3, 7.77339e-3),
        (32, 1.15671e-3, 9.4895e-3),
    ):
        yield Comparison(
            f"leakage at 350 K over 300 K, {node} nm LSTP",
            "1",
            hot_mW / cold_mW,
            scaling.current_ratio(26.85, 76.85),
            "CACTI (program output)",
            1.5,
        )


def _sram() -> Iterator[Comparison]:
    horowitz = estimate("logic_sram", {"technology": 45, "width": 32, "depth": 2048, "voltage": 0.9})
    yield Comparison("SRAM read, 8 KB, 32 bit", "pJ", 5, horowitz.actions_J["read"] * 1e12, "Horowitz, 45 nm, 0.9 V")
    accelergy = estimate("logic_sram", {"technology": 32, "width": 64, "depth": 16384})
    source = "CACTI in Accelergy's Eyeriss-like example (its log: 32 nm)"
    yield Comparison("SRAM read, 128 KB, 64 bit", "pJ", 18.1554, accelergy.actions_J["read"] * 1e12, source)
    yield Comparison("SRAM write, 128 KB, 64 bit", "pJ", 14.1095, accelergy.actions_J["write"] * 1e12, source)
    for node, read_pJ, mm2 in ((65, 45.2295, 0.295373), (45, 33.927, 0.145515), (32, 17.5138, 0.0913991)):
        bank = {"technology": node, "width": 128, "depth": 3072, "design_rules": "foundry"}
        model = estimate("logic_sram", bank)
        cacti = f"CACTI LSTP, {node} nm (program output)"
        yield Comparison("SRAM read, 48 KB, 128 bit", "pJ", read_pJ, model.actions_J["read"] * 1e12, cacti, 2)
        yield Comparison("SRAM area, 48 KB, foundry rules", "mm2", mm2, model.area_m2 * 1e6, cacti, 1.5)
    rana = estimate("logic_sram", {"technology": 65, "width": 16, "depth": 384 * _KB // 16})
    yield Comparison(
        "SRAM access, 384 KB, 16 bit", "pJ", 18.2, rana.actions_J["read"] * 1e12, "RANA, 65 nm (recalled)", 2
    )
    kelle = estimate("logic_sram", {"technology": 65, "width": 8, "depth": 4 * 2**20})
    yield Comparison("SRAM read, 4 MB", "pJ/byte", 185.9, kelle.actions_J["read"] * 1e12, "Kelle (DESTINY), 65 nm", 5)
    for node, published_mW, published_mm2 in ((65, 124, 12.35), (45, 48.3, 8.89), (32, 235, 4.26), (22, 66, 1.84)):
        cache = {"technology": node, "width": 512, "depth": 2 * 1024 * _KB // 512, "temperature": 76.85}
        logic, foundry = (estimate("logic_sram", {**cache, "design_rules": rules}) for rules in ("logic", "foundry"))
        anchor = node == 22
        yield Comparison(
            f"SRAM leakage, 2 MB, {node} nm",
            "mW",
            published_mW,
            logic.leakage_W * 1e3,
            "DESTINY, 350 K",
            1 if anchor else 6,
        )
        yield Comparison(
            f"SRAM area, 2 MB, {node} nm, foundry rules",
            "mm2",
            published_mm2,
            foundry.area_m2 * 1e6,
            "DESTINY",
            1 if anchor else 1.3,
        )
        yield Comparison(
            f"SRAM area, 2 MB, {node} nm, logic rules", "mm2", published_mm2, logic.area_m2 * 1e6, "DESTINY", 3
        )


def _registers() -> Iterator[Comparison]:
    source = "Accelergy's Eyeriss-like example (its log: 32 nm)"
    for depth, read_pJ, write_pJ in ((12, 0.202442, 0.176713), (16, 0.2513, 0.2191), (192, 1.976602, 1.881657)):
        spad = estimate("logic_regfile", {"technology": 32, "width": 16, "depth": depth})
        yield Comparison(f"scratchpad read, {depth} x 16 bit", "pJ", read_pJ, spad.actions_J["read"] * 1e12, source)
        yield Comparison(f"scratchpad write, {depth} x 16 bit", "pJ", write_pJ, spad.actions_J["write"] * 1e12, source)
    psum = estimate("logic_regfile", {"technology": 32, "width": 16, "depth": 16})
    yield Comparison("scratchpad leakage, 16 x 16 bit", "uW", 0.134, psum.leakage_W * 1e6, source, 1.02)


def _arithmetic() -> Iterator[Comparison]:
    def energy_pJ(kind: str, **attributes: object) -> float:
        return estimate(kind, {"technology": 45, "voltage": 0.9, **attributes}).actions_J["compute"] * 1e12

    source = "Horowitz, 45 nm, 0.9 V"
    yield Comparison("FP16 multiply", "pJ", 1.1, energy_pJ("float_multiplier", width=16), source)
    yield Comparison("FP16 add", "pJ", 0.4, energy_pJ("float_adder", width=16), source)
    yield Comparison("FP32 multiply", "pJ", 3.7, energy_pJ("float_multiplier", width=32), source)
    yield Comparison("FP32 add", "pJ", 0.9, energy_pJ("float_adder", width=32), source)
    yield Comparison("int32 multiply", "pJ", 3.1, energy_pJ("integer_multiplier", width=32), source)
    yield Comparison("int32 add", "pJ", 0.1, energy_pJ("integer_adder", width=32), source)
    yield Comparison("int8 add", "pJ", 0.03, energy_pJ("integer_adder", width=8), source, 1.25)
    yield Comparison("int8 multiply", "pJ", 0.2, energy_pJ("integer_multiplier", width=8), f"{source} (recalled)", 1.25)
    eyeriss = estimate("integer_mac", {"technology": 32, "multiplier_width": 8, "adder_width": 16})
    yield Comparison(
        "int8 multiply-accumulate",
        "pJ",
        0.207692,
        eyeriss.actions_J["compute"] * 1e12,
        "Accelergy's Eyeriss-like example (its log: 32 nm, the multiplier taken from an adder)",
        1.25,
    )
    rana = estimate("integer_mac", {"technology": 65, "multiplier_width": 16, "adder_width": 32})
    yield Comparison(
        "int16 multiply-accumulate", "pJ", 1.3, rana.actions_J["compute"] * 1e12, "RANA, 65 nm (recalled)", 2
    )
    aladdin = "Aladdin in Accelergy's library, 40 nm"
    adder, multiplier = (
        estimate(kind, {"technology": 40, "width": 32}).actions_J["compute"]
        for kind in ("integer_adder", "integer_multiplier")
    )
    yield Comparison("int32 add", "pJ", 0.21, adder * 1e12, aladdin, 2)
    yield Comparison("int32 multiply", "pJ", 12.68, multiplier * 1e12, aladdin, 4)
    yield Comparison(
        "LPDDR4, 64 bit", "pJ", 512, estimate("LPDDR4", {"width": 64}).actions_J["read"] * 1e12, "Accelergy"
    )
    ddr3_pJ = estimate("DDR3", {"width": 16}).actions_J["read"] * 1e12
    yield Comparison("DDR3, 16 bit", "pJ", 2112.9, ddr3_pJ, "RANA (recalled)", 2)
    yield Comparison(
        "LPDDR4, 32 bit", "pJ", 640, estimate("LPDDR4", {"width": 32}).actions_J["read"] * 1e12, "Horowitz (DRAM)", 3
    )


def constants() -> list[Constant]:
    """Every sourced number behind the models."""
    return [
        *(constant for cell in edram.CELLS.values() for constant in cell.constants),
        *(entry.time for entries in retention.QUOTED.values() for entry in entries),
        retention.SIGMA_VTH,
        retention.SLOPE_FACTOR,
        scaling.RETENTION_COOL,
        scaling.RETENTION_HOT,
        scaling.NOMINAL_VOLTAGE,
        *sram.CONSTANTS,
        *regfile.CONSTANTS,
        *mac.CONSTANTS,
        *ENERGY_PER_BIT.values(),
        # A register that leaks nothing has no figure for it.
        *(each for entry in library.ENTRIES for each in (entry.energy, entry.leakage, entry.area) if each.value),
    ]


def constants_table() -> str:
    """The constants as a Markdown table."""
    lines = ["| constant | value | node | temperature | source |", "|---|---|---|---|---|"]
    for c in constants():
        node = "" if c.node_nm is None else f"{c.node_nm:g} nm"
        temperature = "" if c.temperature_C is None else f"{c.temperature_C:g} C"
        source = c.source if c.confirmed else f"**unconfirmed**: {c.source}"
        lines.append(f"| {c.what} | {quantity(c.value, c.unit)} | {node} | {temperature} | {source} |")
    return "\n".join(lines)


def calibration_table() -> str:
    """The comparisons as a Markdown table."""
    lines = ["| quantity | published | model | error | allowed | source |", "|---|---|---|---|---|---|"]
    for row in comparisons():
        allowed = f"factor {row.within:g}" if row.within > 1 else "anchor"
        published, model = (quantity(value, row.unit) for value in (row.published, row.model))
        error = f"{row.error:+.1%}" if abs(row.error) >= 0.0005 else "0"
        lines.append(f"| {row.what} | {published} | {model} | {error} | {allowed} | {row.source} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """``page`` with what stands between ``<!-- name -->`` and ``<!-- end -->`` replaced by the tables."""
    for name, table in (("constants", constants_table()), ("calibration", calibration_table())):
        before, rest = page.split(f"<!-- {name} -->\n", 1)
        page = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
