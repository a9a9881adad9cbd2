"""Every error that a user of this project can meet.

CamelError
+-- InputError            something the user wrote is wrong (exit code 2)
|   +-- SpecError         a machine, template or Timeloop v0.4 file
|   +-- WorkloadError     a network file, a module or its capture
|   +-- UnknownNameError  a name that is not registered; carries the nearest valid one
+-- InfeasibleError       no mapping or no placement exists; carries what was demanded and the bound
+-- EngineError           an engine failed or returned something that cannot be true
"""

import copy
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self


class CamelError(Exception):
    """Base of all errors raised on purpose by this project."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders whole, whatever their constructors ask for.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[CamelError], args: tuple[Any, ...], state: dict[str, Any]) -> CamelError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(CamelError):
    """Bad input, described so that the user can find and mend it.

    Args:
        message: what is wrong, one sentence without a full stop.
        file: the file it stands in.
        line: 1-based line in that file.
        field: dotted path of the offending field, ``nodes[2].attributes.depth``.
        value: the offending value.
        suggestion: the nearest valid value, or what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
        value: object = None,
        suggestion: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.field = field
        self.value = value
        self.suggestion = suggestion
        super().__init__(self._text())

    def placed(self, *, file: str | None = None, line: int | None = None, field: str | None = None) -> Self:
        """The same error at another place."""
        other = copy.copy(self)
        other.file, other.line, other.field = file, line, field
        other.args = (other._text(),)
        return other

    def _text(self) -> str:
        where = self.file or ""
        if self.line is not None:
            where = f"{where}:{self.line}" if where else f"line {self.line}"
        text = f"{where}: " if where else ""
        if self.field:
            text += f"{self.field}: "
        text += self.message
        if self.value is not None:
            text += f" (got {self.value!r})"
        if self.suggestion:
            text += f"; {self.suggestion}"
        return text


class SpecError(InputError):
    """A machine file, template or Timeloop v0.4 specification is wrong."""


class WorkloadError(InputError):
    """A network file or module cannot be turned into a training step."""


class UnknownNameError(InputError):
    """A name that nothing answers to."""

    def __init__(
        self,
        kind: str,
        name: str,
        valid: Iterable[str],
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        self.name = name
        self.valid = tuple(sorted(map(str, valid)))
        super().__init__(
            f"unknown {kind}", file=file, line=line, field=field, value=name, suggestion=nearest(name, self.valid)
        )


@dataclass(frozen=True)
class Shortfall:
    """One reason why something does not fit.

    Attributes:
        what: the resource, ``capacity of oreg`` or ``fanout X of pe``.
        demanded: the least that any mapping needs, in ``unit``.
        available: what the machine has, in ``unit``.
        unit: ``words``, ``instances``, ``bytes``, ``loops`` ...
        remedy: what would make it fit.
    """

    what: str
    demanded: float
    available: float
    unit: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.demanded:g} {self.unit} demanded, {self.available:g} available "
            f"({self.demanded - self.available:g} too many); {self.remedy}"
        )


class InfeasibleError(CamelError):
    """No valid mapping (or placement) exists.

    Args:
        subject: the problem or tensor.
        shortfalls: every reason found, the tightest first.
    """

    def __init__(self, subject: str, shortfalls: Sequence[Shortfall]) -> None:
        self.subject = subject
        self.shortfalls = tuple(shortfalls)
        super().__init__(f"nothing can hold {subject}: " + "; ".join(map(str, shortfalls)))


class EngineError(CamelError):
    """An engine failed, or its output cannot be true."""


def nearest(name: str, valid: Sequence[str]) -> str:
    """A hint naming the valid name closest to ``name``, or all of them."""
    match = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    if match:
        return f"did you mean {match[0]!r}?"
    return "valid: " + ", ".join(valid) if valid else "there are none"
