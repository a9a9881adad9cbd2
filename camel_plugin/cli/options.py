"""Options that several commands share, and the parsing of their values."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camel_plugin.errors import InputError
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.recipe import Schedule
from camel_plugin.spec.settings import Energies, Order

if TYPE_CHECKING:
    from camel_plugin.files.sources import Reading

Arch = Annotated[
    str,
    typer.Option(
        help="Machine: a name of `camel list`, a machine file, or Timeloop v0.4 files (a file, a pattern, a folder, or "
        "several joined by commas)."
    ),
]
Net = Annotated[str, typer.Option(help="Network: a name of `camel list`, a network file, or package.module:factory.")]
MaybeNet = Annotated[str | None, typer.Option("--net", help="Network whose problems are written too.")]
Baselines = Annotated[list[str] | None, typer.Option("--baseline", help="Machine to compare with; repeatable.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Machine parameter.")]
Jinja = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Value for the Jinja2 templates in Timeloop files; repeatable."),
]
Dense = Annotated[
    bool, typer.Option("--dense", help="Leave sparse optimizations and densities in Timeloop files out: all is dense.")
]
Training = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Recipe setting: optimizer, trainable, checkpoint_blocks, checkpoint_bytes, reversible, precision, "
        "precision.KIND; repeatable.",
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]C,H,W[:TYPE]",
        help="Shape of one sample, in place of the file's: 3,32,32, or 128:int64; of several inputs one each by name.",
    ),
]
Batch = Annotated[int | None, typer.Option(min=1, help="Samples of one step.")]
NormGroup = Annotated[
    int | None,
    typer.Option(min=1, help="Samples over which norms take their statistics together; by default the batch."),
]
MicroBatch = Annotated[int | None, typer.Option(min=1, help="Samples of one run of an operation.")]
MicroBatchOrAuto = Annotated[
    str | None,
    typer.Option("--micro-batch", metavar="N|auto", help="Samples of one run of an operation; auto searches."),
]
DepthFirst = Annotated[
    Order, typer.Option(help="How far a micro-batch runs before the next one; cut: least traffic; auto: all.")
]
Plan = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="plan.yaml of a result, edited or not: its tree, homes and mappings are run."),
]
Dataset = Annotated[int | None, typer.Option(min=1, metavar="SAMPLES", help="Samples of an epoch, for its totals.")]
Epochs = Annotated[
    float | None, typer.Option(min=0.0, help="Epochs to the target accuracy: time and energy to it (with --dataset).")
]
ScheduleOption = Annotated[Schedule | None, typer.Option(help="Training schedule.")]
Refresh = Annotated[
    str, typer.Option(help="Refresh policy: conventional, occupied, lifetime, none or a registered one.")
]
Temperature = Annotated[float | None, typer.Option(metavar="C", help="Die temperature in degrees Celsius.")]
ObjectiveOption = Annotated[Objective, typer.Option(help="What the mapper minimises.")]
Engine = Annotated[str, typer.Option(help="Engine that maps: native, or another registered one.")]
BUDGET_S = 10.0
"""Default wall-clock budget of the mapper for one distinct problem."""

EnergiesOption = Annotated[Energies, typer.Option(help="Component models: ours, or the installed Accelergy's.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse operators that are not modelled.")]
Budget = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Mapping time of one distinct problem.")]
Pad = Annotated[bool, typer.Option("--pad/--no-pad", help="Also try padded sizes, where meshes divide them better.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default one a core.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for result.json, operations.csv, mappings ...")]
Plots = Annotated[bool, typer.Option("--plots", help="Also draw plots into --out (extra report).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print result.json and nothing else.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Map anew, and store nothing.")]


def parse_settings(settings: Sequence[str] | None, option: str = "--set") -> dict[str, str]:
    """``KEY=VALUE`` strings as a dict.

    Raises:
        InputError: one has no ``=``, or a key stands twice with different values.
    """
    parsed: dict[str, str] = {}
    for entry in settings or ():
        key, separator, value = entry.partition("=")
        if not separator or not key.strip():
            raise InputError("not KEY=VALUE", field=option, value=entry)
        key = key.strip()
        if parsed.get(key, value) != value:
            raise InputError(f"{key} is set twice", field=option, value=entry, suggestion="give it once")
        parsed[key] = value
    return parsed


def parse_reading(jinja: Sequence[str] | None, dense: bool) -> "Reading":
    """How Timeloop files are read; ``jinja`` are ``KEY=VALUE`` strings, each value YAML: ``4`` is a number.

    Raises:
        InputError: as :func:`parse_settings`, or a value is broken YAML.
    """
    from camel_plugin.files.sources import Reading
    from camel_plugin.files.yaml_source import load_yaml_text

    settings = parse_settings(jinja, "--jinja")
    return Reading({key: load_yaml_text(text, "--jinja").plain() for key, text in settings.items()}, dense)


def parse_input(texts: Sequence[str] | None) -> tuple[int, ...] | InputTensor | dict[str, InputTensor] | None:
    """``3,32,32`` or, with its type, ``128:int64``; or several with a name each, ``tokens=128:int64``.

    Raises:
        InputError: anything else.
    """
    if not texts:
        return None
    inputs: dict[str, InputTensor] = {}
    for text in texts:
        name, _, described = text.rpartition("=")
        extents, _, dtype = described.partition(":")
        try:
            shape = tuple(int(part) for part in extents.split(","))
        except ValueError:
            shape = ()
        if not shape or min(shape) < 1 or text.startswith("=") or text.endswith(":"):
            raise InputError("not a shape", field="--input", value=text, suggestion="write 3,32,32 or tokens=128:int64")
        if name in inputs or (not name and len(texts) > 1):
            raise InputError("several inputs need a name each", field="--input", value=text)
        if not name and not dtype:
            return shape
        inputs[name] = InputTensor(shape, dtype or "float")
    return inputs.get("", inputs)


def parse_micro_batch(text: str | None) -> int | str | None:
    """A positive number, or ``auto``.

    Raises:
        InputError: anything else.
    """
    if text is None or text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise InputError("not a micro-batch", field="--micro-batch", value=text, suggestion="1 or more, or auto")
    return int(text)
