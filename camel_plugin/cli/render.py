"""``camel render``: the Timeloop v0.4 files of a machine and of a network's training step."""

from camel_plugin.cli import options
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.settings import Order


def render_command(
    arch: options.Arch,
    net: options.MaybeNet = None,
    settings: options.Settings = None,
    jinja: options.Jinja = None,
    dense: options.Dense = False,
    temperature: options.Temperature = None,
    input: options.Input = None,
    batch: options.Batch = None,
    micro_batch: options.MicroBatch = None,
    norm_group: options.NormGroup = None,
    schedule: options.ScheduleOption = None,
    training: options.Training = None,
    depth_first: options.DepthFirst = Order.NETWORK,
    out: options.Out = None,
) -> None:
    """Write a machine and, with --net, its operations for Timeloop and Accelergy, and how to run them there."""
    import sys

    from camel_plugin.components.machines import load_machine
    from camel_plugin.engine.timeloop.limits import limited_text
    from camel_plugin.errors import InputError
    from camel_plugin.interop.timeloop_kit import timeloop_files
    from camel_plugin.report import export
    from camel_plugin.schedule.search import search
    from camel_plugin.spec.refresh import LifetimeRefresh
    from camel_plugin.workload.load import load_network

    machine = load_machine(
        arch, options.parse_settings(settings), temperature_C=temperature, reading=options.parse_reading(jinja, dense)
    )
    if out is None:
        if net is not None:
            raise InputError("problems are files", field="--net", value=net, suggestion="say where with --out DIR")
        sys.stdout.write(limited_text(machine))
        return
    plan = None
    if net is not None:
        network = load_network(
            net,
            input=options.parse_input(input),
            batch=batch,
            micro_batch=micro_batch,
            norm_group=norm_group,
            schedule=schedule,
            training=options.parse_settings(training, "--training"),
        )
        size = network.sized.micro_batch
        plan = search(machine, lambda _: network.step(), [size], depth_first, Objective.EDP, LifetimeRefresh())[0].plan
    for path in export.add(out, timeloop_files(machine, plan)):
        print(path)
