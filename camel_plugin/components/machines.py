"""Machines: machine files, their rendering to Timeloop v0.4, and reading that."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from camel_plugin import resources
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import InputError, SpecError
from camel_plugin.files.machine_file import MachineFile, is_machine_file, read_machine_file
from camel_plugin.files.parameters import Parameter
from camel_plugin.files.render import render
from camel_plugin.files.yaml_source import load_yaml
from camel_plugin.spec.machine import Machine

__all__ = ["Machine", "MachineFile", "Parameter", "load_machine", "load_machine_file", "render_machine"]


def load_machine(
    name_or_path: str, overrides: Mapping[str, str | float] | None = None, *, temperature_C: float | None = None
) -> Machine:
    """A machine, ready to be mapped on.

    Args:
        name_or_path: name of a registered machine (``camel``), path of a machine file, or ordinary Timeloop v0.4
            files: one path, a folder, or several paths joined by commas.
        overrides: parameter name -> number or text of a YAML scalar; machine files only.
        temperature_C: replaces the machine's ``temperature``, in degrees Celsius; machine files only.

    Raises:
        SpecError: the files are wrong, or parameters are given for files that have none.
        UnknownNameError: no such machine, parameter, field or component.
    """
    given = _overrides(overrides, temperature_C)
    files = _timeloop_files(name_or_path)
    if files is None:
        machine_file = load_machine_file(name_or_path, given)
        text = render(machine_file)
        try:
            machine = read_machine([(f"{machine_file.path} (rendered)", text)])
        except InputError as error:
            raise _blamed(error, machine_file) from error
        unconfirmed = (*machine_file.unconfirmed, *machine.unconfirmed)
        return replace(
            machine, name=machine_file.name, yaml=text, published=machine_file.published, unconfirmed=unconfirmed
        )
    if given:
        raise SpecError(
            "a Timeloop v0.4 file has no parameters to set",
            file=name_or_path,
            value=", ".join(given),
            suggestion="change the file, or make a template and a machine file of it",
        )
    return read_machine(files)


def load_machine_file(name_or_path: str, overrides: Mapping[str, str | float] | None = None) -> MachineFile:
    """The parameters and the template behind a machine; arguments and errors as in :func:`load_machine`."""
    return read_machine_file(resources.find("arch_specs", name_or_path), overrides)


def render_machine(
    name_or_path: str, overrides: Mapping[str, str | float] | None = None, *, temperature_C: float | None = None
) -> str:
    """Timeloop v0.4 text of a machine; arguments and errors as in :func:`load_machine`."""
    if _timeloop_files(name_or_path) is not None:
        return load_machine(name_or_path, overrides, temperature_C=temperature_C).yaml
    return render(load_machine_file(name_or_path, _overrides(overrides, temperature_C)))


def _blamed(error: InputError, machine_file: MachineFile) -> InputError:
    """The error placed at the parameter that holds the refused value, if there is exactly one."""
    holders = [
        each
        for each in machine_file.parameters.values()
        if type(each.value) is type(error.value) and each.value == error.value
    ]
    if len(holders) != 1:
        return error
    holder = holders[0]
    return SpecError(
        error.message,
        file=holder.file,
        line=holder.line,
        field=holder.name if holder.line is None else f"parameters.{holder.name}",
        value=error.value,
        suggestion=error.suggestion,
    )


def _overrides(overrides: Mapping[str, str | float] | None, temperature_C: float | None) -> dict[str, str]:
    given = {name: str(value) for name, value in (overrides or {}).items()}
    if temperature_C is not None:
        given["temperature"] = repr(temperature_C)
    return given


def _timeloop_files(name_or_path: str) -> list[Path] | None:
    """The files of an ordinary Timeloop v0.4 specification, None for a machine file or a name."""
    path = Path(name_or_path)
    if name_or_path in resources.available("arch_specs"):
        return None
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix in {".yaml", ".yml"})
        if not files:
            raise SpecError("the folder holds no YAML files", file=name_or_path)
        return files
    if "," in name_or_path and not path.is_file():
        parts = [_timeloop_files(part) or [Path(part)] for part in name_or_path.split(",") if part]
        return [file for part in parts for file in part]
    if path.suffix in {".yaml", ".yml"} and path.is_file() and not is_machine_file(load_yaml(path)):
        return [path]
    return None
