"""Where Timeloop's programs are on this computer."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from camel_plugin.errors import EngineError

CONTAINER = "the container timeloopaccelergy/accelergy-timeloop-infrastructure has it"
PYTHON_VARIABLE = "CAMEL_TIMELOOP_PYTHON"
FRONT_END = Path(__file__).with_name("front_end.py")


@dataclass(frozen=True)
class FrontEnd:
    """A Python that has Timeloop's front end.

    Attributes:
        python: the interpreter.
        package: ``pytimeloop.timeloopfe`` or ``timeloopfe``.
    """

    python: str
    package: str


def program(name: str) -> str:
    """Path of ``timeloop-mapper``, ``timeloop-model`` or ``accelergy``.

    Raises:
        EngineError: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise EngineError(f"{name} is not on PATH; {CONTAINER}; `camel doctor` lists what is missing")
    return found


def digest(path: str) -> str:
    """First 12 digits of the SHA-256 of a program: Timeloop's binaries know no version."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def front_end() -> FrontEnd:
    """The first Python that has the front end.

    ``$CAMEL_TIMELOOP_PYTHON`` if that is set; else this Python, the ones that the front end's and Accelergy's
    commands belong to, and ``python3``.

    Raises:
        EngineError: none has it; with what each one said.
    """
    return _front_end(os.environ.get(PYTHON_VARIABLE), os.environ.get("PATH"))


def front_end_if_any() -> FrontEnd | None:
    """:func:`front_end`, None where there is none.

    Raises:
        EngineError: ``$CAMEL_TIMELOOP_PYTHON`` is set, and has none.
    """
    try:
        return front_end()
    except EngineError:
        if os.environ.get(PYTHON_VARIABLE):
            raise
        return None


@cache
def _front_end(chosen: str | None, path: str | None) -> FrontEnd:
    reasons = []
    for python in [chosen] if chosen else dict.fromkeys(_pythons()):
        try:
            answer = subprocess.run(  # noqa: S603
                [python, str(FRONT_END)], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reasons.append(f"{python}: {error}")
            continue
        if answer.returncode == 0:
            return FrontEnd(python, answer.stdout.split()[-1])
        reasons.append(f"{python}: {(answer.stderr.strip().splitlines() or ['no answer'])[-1]}")
    raise EngineError(
        f"Timeloop's front end (pytimeloop or timeloopfe) is in none of the Pythons at hand ({'; '.join(reasons)}); "
        f"{CONTAINER}; {PYTHON_VARIABLE} names another Python"
    )


def _pythons() -> Iterator[str]:
    yield sys.executable
    for command in ("tl", "timeloop", "accelergy"):
        if found := shutil.which(command):
            with Path(found).open("rb") as file:
                first = file.readline(512)
            if first.startswith(b"#!") and b"python" in first:
                yield first[2:].split()[0].decode()
    if found := shutil.which("python3"):
        yield found
