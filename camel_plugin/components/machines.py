"""Machines: machine files, their rendering to Timeloop v0.4, and reading that."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from camel_plugin import resources
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import InputError, SpecError
from camel_plugin.files.machine_file import MachineFile, read_machine_file
from camel_plugin.files.parameters import Parameter
from camel_plugin.files.render import render
from camel_plugin.files.sources import AS_THEY_LIE, Reading, Source, expand, is_file_name, top_keys
from camel_plugin.files.specification import is_specification
from camel_plugin.spec.machine import Machine

__all__ = [
    "Machine",
    "MachineFile",
    "Parameter",
    "load_machine",
    "load_machine_file",
    "machine_sources",
    "render_machine",
]


def load_machine(
    name_or_path: str | Path,
    overrides: Mapping[str, str | float] | None = None,
    *,
    temperature_C: float | None = None,
    reading: Reading = AS_THEY_LIE,
) -> Machine:
    """A machine, ready to be mapped on.

    Args:
        name_or_path: name of a registered machine (``camel``), path of a machine file, or ordinary Timeloop v0.4
            files: what :func:`camel_plugin.files.sources.expand` takes.
        overrides: parameter name -> number or text of a YAML scalar; machine files only.
        temperature_C: replaces the machine's ``temperature``, in degrees Celsius; machine files only.
        reading: how Timeloop files are read.

    Raises:
        SpecError: the files are wrong, or parameters are given for files that have none.
        UnknownNameError: no such machine, parameter, field or component.
    """
    given = _overrides(overrides, temperature_C)
    files = _timeloop_files(str(name_or_path))
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
            file=str(name_or_path),
            value=", ".join(given),
            suggestion="change the file, or make a template and a machine file of it",
        )
    return read_machine(files, reading=reading)


def load_machine_file(name_or_path: str | Path, overrides: Mapping[str, str | float] | None = None) -> MachineFile:
    """The parameters and the template behind a machine; arguments and errors as in :func:`load_machine`."""
    return read_machine_file(resources.find("arch_specs", str(name_or_path)), overrides)


def render_machine(name_or_path: str | Path, overrides: Mapping[str, str | float] | None = None) -> str:
    """Timeloop v0.4 text of a machine file; arguments and errors as in :func:`load_machine`."""
    return render(load_machine_file(name_or_path, overrides))


def machine_sources(name_or_path: str | Path) -> list[Source]:
    """Timeloop v0.4 files as they lie, a machine file or a registered machine as it is rendered.

    Raises:
        SpecError: the files are wrong.
        UnknownNameError: no such machine.
    """
    files = _timeloop_files(str(name_or_path))
    if files is not None:
        return list(files)
    return [(f"{name_or_path} (rendered)", render_machine(name_or_path))]


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
    """The files of an ordinary Timeloop specification, None for a machine file or a name."""
    if name_or_path in resources.available("arch_specs") or not is_file_name(name_or_path):
        return None
    files = expand(name_or_path)
    keys = top_keys(files[0]) if len(files) == 1 else None
    return files if keys is None or is_specification(keys) else None
