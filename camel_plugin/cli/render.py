"""``camel render``: the Timeloop v0.4 files of a machine and of a network's training step."""

from __future__ import annotations

from camel_plugin.cli import options


def render_command(
    arch: options.Arch,
    net: options.MaybeNet = None,
    settings: options.Settings = None,
    temperature: options.Temperature = None,
    input: options.Input = None,
    batch: options.Batch = None,
    micro_batch: options.MicroBatch = None,
    schedule: options.ScheduleOption = None,
    training: options.Training = None,
    out: options.Out = None,
) -> None:
    """Write the Timeloop v0.4 architecture, its energies and, with --net, every distinct problem."""
    import sys

    from camel_plugin.arch import load_machine
    from camel_plugin.errors import InputError
    from camel_plugin.report import export
    from camel_plugin.report.specs import machine_files, problem_files
    from camel_plugin.workload.network_file import load_network

    machine = load_machine(arch, options.parse_settings(settings), temperature_C=temperature)
    if out is None:
        if net is not None:
            raise InputError("problems are files", field="--net", value=net, suggestion="say where with --out DIR")
        sys.stdout.write(machine.yaml)
        return
    files = machine_files(machine)
    if net is not None:
        network = load_network(
            net,
            input=options.parse_input(input),
            batch=batch,
            micro_batch=micro_batch,
            schedule=schedule.value if schedule else None,
            training=options.parse_settings(training, "--training"),
        )
        files |= problem_files(network.step())
    for path in export.add(out, files):
        print(path)
