"""What Timeloop's rules that are not physics change for a training step on a machine (the table in docs/model.md).

    python scripts/compare_rules.py [MACHINE [NETWORK]]

Every operation keeps the mapping that is best under Timeloop's rules; only its cost is counted anew.
"""

import sys

from camel_plugin import load_machine, load_network
from camel_plugin.cache import Cache, default_folder
from camel_plugin.engine.jobs import map_all
from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.native.model_rules import PHYSICAL, TIMELOOP, ModelRules
from camel_plugin.schedule.residency import place, task
from camel_plugin.spec.settings import Settings

RULES = {
    "all rules (Timeloop)": TIMELOOP,
    "without `forget_halo`": ModelRules(forget_halo=False),
    "without `link_transfers`": ModelRules(link_transfers=False),
    "without `count_gaps`": ModelRules(count_gaps=False),
    "without all three": PHYSICAL,
}


def main(arch: str = "camel", net: str = "revresnet") -> None:
    """Print the table."""
    step, machine = load_network(net).step(), load_machine(arch)
    plan = place(machine, step)
    tasks, repeats = [], []
    for operation in step.operations:
        if operation.problem is not None:
            tasks.append(task(plan, operation))
            repeats.append(step.trips(operation.name))
    found = map_all(tasks, Settings(budget_s=60.0), cache=Cache(default_folder()))
    first: tuple[float, ...] = ()
    print("| rules | cycles | energy | accesses on chip | DRAM accesses |\n|---|---|---|---|---|")
    for name, rules in RULES.items():
        sums = [0.0] * 4
        for each, runs, result in zip(tasks, repeats, found, strict=True):
            cost = evaluate(each, result.mapping, rules)
            words = {
                level: sum(t.reads + t.fills + t.updates for t in stats.tensors.values()) * stats.utilized_instances
                for level, stats in cost.levels.items()
            }
            off_chip = words.pop(machine.storages[0].name)
            for position, value in enumerate((cost.cycles, cost.energy_J, sum(words.values()), off_chip)):
                sums[position] += value * runs
        first = first or tuple(sums)
        print(
            f"| {name} | "
            + " | ".join(f"{value / own - 1:+.2%}" for value, own in zip(sums, first, strict=True))
            + " |"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
