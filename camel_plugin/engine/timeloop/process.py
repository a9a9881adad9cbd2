"""Running one of Timeloop's programs: argument list, own folder, a log, and a wall-clock budget."""

import re
import signal
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from camel_plugin.errors import EngineError

GRACE_S = 20.0
"""Time that a program has to write down its best result after an interrupt, and again after a second one."""

LOG = "console.log"

_PREFIX = re.compile(r"[|\s]*(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.\d]* +[A-Z]+\s)?[|\s]*")
_CAUSE = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception): |(?i:error)\b(?! >>)|what\(\): |.*: Assertion ")
_BELOW, _ABOVE = "Error below", "Error above"
_LONGEST = 300


def run(arguments: Sequence[str], folder: Path, budget_s: float | None = None) -> None:
    """Run a program in ``folder``; what it prints is appended to ``console.log`` there.

    Paths in ``arguments`` that the program passes on to a shell are best given relative to ``folder``.

    Args:
        arguments: the program and its arguments.
        folder: working folder.
        budget_s: after that many seconds the program is interrupted (SIGINT), which makes the mapper stop and
            write its best mapping; None waits for ever.

    Raises:
        EngineError: it cannot be started, exits with an error, or does not stop when interrupted.
    """
    name = Path(arguments[0]).name
    with (folder / LOG).open("ab") as log:
        try:
            process = subprocess.Popen(  # noqa: S603
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_heed_interrupts,
            )
        except OSError as error:
            raise EngineError(f"{name} cannot be started: {error}") from error
        try:
            status = _wait(process, budget_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status is None:
        raise EngineError(f"{name} did not stop within {2 * GRACE_S:g} s of an interrupt")
    if status != 0:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        raise EngineError(f"{name} {how}: {cause(folder)}")


def _heed_interrupts() -> None:
    """Background jobs and workers ignore interrupts, and their children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait(process: subprocess.Popen[bytes], budget_s: float | None) -> int | None:
    """Exit status, None if the program outlived two interrupts."""
    for patience_s in (budget_s, GRACE_S, GRACE_S):
        try:
            return process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    return None


def cause(folder: Path) -> str:
    """Why a program failed, in its own words: the line of its log that names an error, else the last one that speaks.

    Accelergy says where its error stands, above or below, among rows of signs.
    """
    text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    lines = [_PREFIX.sub("", line, count=1).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if re.search(r"\w", line) and _ABOVE not in line]
    below = [after for line, after in pairwise(lines) if _BELOW in line and "Traceback" not in after]
    named = below or [line for line in lines if _CAUSE.match(line)]
    found = (named or lines or ["it printed nothing"])[-1]
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]} ..."
