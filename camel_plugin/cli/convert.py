"""``camel convert``: Timeloop files as one plain v0.4 file."""

from typing import Annotated

import typer

from camel_plugin.cli import options


def convert_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT", help="Files, folders, patterns or machines; the last is written, - prints."
        ),
    ],
    jinja: options.Jinja = None,
    dense: options.Dense = False,
) -> None:
    """Write what several Timeloop files say together as one v0.4 file: no template, anchor or older form is left."""
    import sys
    from pathlib import Path

    from camel_plugin.cli.model import arch_sources
    from camel_plugin.errors import InputError
    from camel_plugin.files.specification import read_specification

    *given, out = files
    if not given:
        raise InputError("one file more is needed", field="OUT", suggestion="camel convert IN... OUT, or - to print")
    text = read_specification(arch_sources(given), options.parse_reading(jinja, dense)).text
    if out == "-":
        sys.stdout.write(text)
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=out) from error
