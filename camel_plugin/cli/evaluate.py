"""``camel eval`` (also ``camel-eval``): one training step on one machine, and on those beside it."""

from camel_plugin.cli import options
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.settings import Energies, Order


def eval_command(
    arch: options.Arch,
    net: options.Net,
    baseline: options.Baselines = None,
    settings: options.Settings = None,
    jinja: options.Jinja = None,
    dense: options.Dense = False,
    input: options.Input = None,
    batch: options.Batch = None,
    micro_batch: options.MicroBatchOrAuto = None,
    norm_group: options.NormGroup = None,
    depth_first: options.DepthFirst = Order.NETWORK,
    plan: options.Plan = None,
    schedule: options.ScheduleOption = None,
    training: options.Training = None,
    strict: options.Strict = False,
    refresh: options.Refresh = "lifetime",
    temperature: options.Temperature = None,
    dataset: options.Dataset = None,
    epochs: options.Epochs = None,
    objective: options.ObjectiveOption = Objective.EDP,
    engine: options.Engine = "native",
    energies: options.EnergiesOption = Energies.BUILTIN,
    budget: options.Budget = options.BUDGET_S,
    pad: options.Pad = True,
    jobs: options.Jobs = None,
    out: options.Out = None,
    plots: options.Plots = False,
    as_json: options.AsJson = False,
    no_cache: options.NoCache = False,
) -> None:
    """Evaluate one training step: time, energy by part, refresh, DRAM traffic, lifetimes."""
    import typer
    from rich.console import Console

    from camel_plugin.cache import Cache, default_folder
    from camel_plugin.cli.json_output import infeasible_as_json, print_json
    from camel_plugin.cli.progress import MappingProgress
    from camel_plugin.errors import InputError
    from camel_plugin.interop.specs import result_files
    from camel_plugin.pipeline import compare
    from camel_plugin.report import export, html, table
    from camel_plugin.report.plots import write_plots

    if out is not None:
        export.check_writable(out)
    elif plots:
        raise InputError("plots are files", field="--plots", suggestion="say where with --out DIR")
    errors = Console(stderr=True)
    try:
        with infeasible_as_json(as_json), MappingProgress(errors) as progress:
            result = compare(
                [arch, *(baseline or [])],
                net,
                overrides=options.parse_settings(settings),
                reading=options.parse_reading(jinja, dense),
                input=options.parse_input(input),
                batch=batch,
                micro_batch=options.parse_micro_batch(micro_batch),
                norm_group=norm_group,
                depth_first=depth_first,
                plan=plan,
                schedule=schedule,
                training=options.parse_settings(training, "--training"),
                strict=strict,
                refresh=refresh,
                temperature_C=temperature,
                objective=objective,
                dataset=dataset,
                epochs=epochs,
                engine=engine,
                energies=energies,
                budget_s=budget,
                pad=pad,
                workers=jobs,
                cache=None if no_cache else Cache(default_folder()),
                progress=progress,
            )
    except KeyboardInterrupt:
        errors.print("interrupted; finished mappings are in the cache and will not be done again")
        raise typer.Exit(130) from None
    if out is not None:
        export.write(result, out, extra={**result_files(result), html.FILE_NAME: html.render(result)})
        if plots:
            write_plots(result, out)
    if as_json:
        print_json(result.to_dict())
    else:
        table.render(result, Console())
