"""Time and energy: what CAMEL, RANA and the Eyeriss-like example publish."""

from __future__ import annotations

from camel_plugin.components.machines import load_machine
from camel_plugin.result import StepResult
from camel_plugin.spec.step import Pass

from .runs import HEAD, Runs, compared, table

ORDER = "cut"
DUDNN, FINE_TUNED = "dudnn-branch6-resnet50", "dudnn-fi-resnet50"
VIT = "dudnn-branch12-vit16"


def camel(runs: Runs) -> str:
    """Table VI and the headline factors, as ratios of one step."""
    same = "as many steps to the target on either machine"
    mean = "the paper's mean over networks against ours of one"
    rows = []
    for net in (VIT, DUDNN, "revresnet"):
        edram, sram = (runs(arch, net, depth_first=ORDER).totals for arch in ("camel", "camel-sram"))
        lossy = runs("camel", net, depth_first=ORDER, refresh="none").totals
        name = f"{net}: camel-sram / camel"
        time, energy = sram.latency_s / edram.latency_s, sram.energy_J / edram.energy_J
        if net == VIT:
            rows.append(compared(3.33 / 2.51, time, same, f"{name}, time (Table VI, TTA)", factor=True))
            rows.append(compared(3.91 / 2.73, energy, same, f"{name}, energy (Table VI, ETA)", factor=True))
        else:
            rows.append(compared("", time, same, f"{name}, time"))
        rows.append(compared(2.34, energy, mean, f"{name}, energy (mean ETA)", factor=True))
        free = "no refresh, as if all data died in time (CAMEL's Table V for four models); ours would be lost"
        rows.append(
            compared(2.34, sram.energy_J / lossy.energy_J, free, f"{name}, energy, refresh left out", factor=True)
        )
        if net != VIT:
            cool = [runs(arch, net, depth_first=ORDER, temperature_C=25.0).totals for arch in ("camel", "camel-sram")]
            room = "both at 25 C: retention 98.7 us instead of 3.35 us, and less leakage"
            rows.append(compared(2.34, cool[1].energy_J / cool[0].energy_J, room, f"{name}, energy, 25 C", factor=True))
    four = [runs(arch, "revresnet", depth_first=ORDER, micro_batch=4).totals for arch in ("camel", "camel-sram")]
    share = "micro-batch 4, where the smaller SRAM spills"
    name = "revresnet: camel-sram / camel"
    rows.append(compared("", four[1].dram_bytes / four[0].dram_bytes, share, f"{name}, DRAM traffic, micro-batch 4"))
    rows.append(
        compared(2.34, four[1].energy_J / four[0].energy_J, share, f"{name}, energy, micro-batch 4", factor=True)
    )
    other = runs("camel-sram", FINE_TUNED, depth_first=ORDER).totals
    ours = runs("camel", DUDNN, depth_first=ORDER).totals
    name = f"{FINE_TUNED} on camel-sram / {DUDNN} on camel"
    steps = "FI takes as many steps as DuDNN; which platforms the paper's mean covers is not readable"
    rows.append(compared(2.5, other.latency_s / ours.latency_s, steps, f"{name}, time (2.5x)", factor=True))
    rows.append(compared(2.8, other.energy_J / ours.energy_J, steps, f"{name}, energy (2.8x)", factor=True))
    return table(HEAD, rows)


def parts(runs: Runs) -> str:
    """Where the energy of a step goes on either machine."""
    rows = []
    for net in (VIT, DUDNN, "revresnet"):
        for arch in ("camel", "camel-sram"):
            result = runs(arch, net, depth_first=ORDER)
            found = result.totals
            joules = (found.compute_J, found.dynamic_J, found.leakage_J, found.refresh_J, found.dram_J, found.energy_J)
            machine = load_machine(arch)
            used = found.macs / found.cycles / machine.instances(machine.compute.name)
            stalls = sum(op.refresh.stall_cycles for op in result.operations) / found.cycles
            rows.append((net, arch, *(value * 1e3 for value in joules), f"{stalls:.0%}", f"{used:.0%}"))
    energies = ("compute mJ", "on chip", "leakage", "refresh", "DRAM", "all")
    return table(("network", "machine", *energies, "refresh stalls", "array in use"), rows) + (
        f"\nA block of 58 bits, read and written, costs {_block_pJ('camel', 'act_edram')} in the eDRAM of camel and "
        f"{_block_pJ('camel-sram', 'act_sram')} in the SRAM of camel-sram, which has half the capacity.\n"
    )


def _block_pJ(arch: str, level: str) -> str:
    energy = load_machine(arch).storage(level).energy
    return f"{energy.read_J * 1e12:.3g} and {energy.write_J * 1e12:.3g} pJ"


NETS = (
    ("revresnet", "reversible"),
    ("revresnet", "store-all"),
    ("resnet32", "store-all"),
    ("revnet110", "reversible"),
    ("revnet110", "store-all"),
    (DUDNN, "reversible"),
    (DUDNN, "store-all"),
)


def overview(runs: Runs) -> str:
    """Networks and their store-all counterparts on three machines."""
    rows = []
    for net, schedule in NETS:
        for arch in ("camel", "camel-sram", "eyeriss-16nm"):
            found = runs(arch, net, schedule=schedule, depth_first=ORDER).totals
            rows.append(
                (
                    net,
                    schedule,
                    arch,
                    found.latency_s * 1e3,
                    found.energy_J * 1e3,
                    found.refresh_J * 1e3,
                    found.dram_J * 1e3,
                    found.dram_bytes / 1e6,
                )
            )
    return table(("network", "schedule", "machine", "ms", "mJ", "refresh mJ", "DRAM mJ", "DRAM MB"), rows)


RANA_NET = "resnet50"
SRAM_OF_EQUAL_AREA = {"activation_memory": "sram", "activation_banks": "8", "weight_banks": "4"}
STRETCHED = {"edram_retention": "734e-6"}


def rana(runs: Runs) -> str:
    """RANA's figures: inference, so the forward pass alone."""
    choices = {"batch": 1, "schedule": "store-all"}
    conventional = runs("rana", RANA_NET, refresh="conventional", **choices)
    aware = runs("rana", RANA_NET, refresh="lifetime", overrides=STRETCHED, **choices)
    flags = runs("rana", RANA_NET, refresh="occupied", overrides=STRETCHED, **choices)
    sram = runs("rana", RANA_NET, overrides=SRAM_OF_EQUAL_AREA, **choices)
    counts = "the machine's recalled parameters; ResNet-50, not the mean of RANA's four networks"
    rows = [
        compared(0.997, 1 - _forward(aware, "refresh_count") / _forward(conventional, "refresh_count"), counts,
                 "share of refreshes removed, by lifetime, 734 us"),
        compared(0.997, 1 - _forward(flags, "refresh_count") / _forward(conventional, "refresh_count"), counts,
                 "the same, by bank flags"),
        compared(0.417, 1 - _forward(aware, "dram_bytes") / _forward(sram, "dram_bytes"),
                 "SRAM of equal area: 384 KB for 1.454 MB (recalled)", "fewer off-chip accesses than SRAM"),
        compared(0.662, 1 - _forward(aware, "energy_J") / _forward(conventional, "energy_J"), counts,
                 "less system energy than conventional refresh"),
        compared(0.662, 1 - _forward(aware, "energy_J") / _forward(sram, "energy_J"), counts,
                 "less system energy than SRAM"),
        compared(48.1, _bank_refresh_J() * 1e9, "cell model at 65 nm; published figure recalled",
                 "refresh of a bank of 32 KB, nJ"),
    ]  # fmt: skip
    return table(HEAD, rows)


def _bank_refresh_J() -> float:
    refresh = load_machine("rana").storage("act_edram").edram
    assert refresh is not None
    return refresh.rows_per_bank * refresh.row_energy_J


def _forward(result: StepResult, part: str) -> float:
    return sum(
        float(getattr(operation.totals, part))
        for operation in result.operations
        if operation.pass_ == Pass.FORWARD.value
    )


EYERISS_PJ = {
    ("shared_glb", "read"): 18.18,
    ("shared_glb", "write"): 14.14,
    ("weights_spad", "read"): 1.98,
    ("psum_spad", "read"): 0.25,
    ("ifmap_spad", "read"): 0.20,
}
"""Accelergy's Eyeriss-like example, 65 nm, 8-bit words, an access of 64 bits to the global buffer."""


def eyeriss() -> str:
    """Energies per access of the Eyeriss-like example."""
    machine = load_machine("eyeriss", {"word_bits": "8"})
    rows = []
    for (level, action), published in EYERISS_PJ.items():
        energy = machine.storage(level).energy
        ours = energy.read_J if action == "read" else energy.write_J
        rows.append(compared(published, ours * 1e12, "the published figure is for 32 nm", f"{level} {action}, pJ"))
    rows.append(compared(0.208, machine.compute.energy_J * 1e12, "Horowitz, scaled to 65 nm", "8-bit MAC, pJ"))
    dram_J = machine.storages[0].energy.read_J
    rows.append(compared(512.0, dram_J * 1e12, "the same source, no test", "dram, 64 bits, pJ"))
    return table(HEAD, rows)
