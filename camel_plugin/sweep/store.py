"""Finished points on disk: one line of JSON each, so that a sweep goes on where it was interrupted."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from camel_plugin.errors import InputError

OK = "ok"
FAILED = "failed"


@dataclass(frozen=True)
class Record:
    """One finished point.

    Attributes:
        key: its content hash.
        status: ``ok`` or ``failed``.
        varied: what tells it from the other points.
        arguments: of ``evaluate``.
        wall_s: seconds it took.
        result: what was kept of the result, empty if it failed.
        message: of the failure, else empty.
    """

    key: str
    status: str
    varied: dict[str, object]
    arguments: dict[str, object]
    wall_s: float
    result: dict[str, object] = field(default_factory=dict)
    message: str = ""


class Store:
    """Records by key, in a JSON-lines file that only ever grows.

    Args:
        path: of the file; made if absent.

    Raises:
        InputError: the file cannot be read or written, or is not a store.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._records: dict[str, Record] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.seek(0)
                content = file.read()
                whole = content.rfind(b"\n") + 1
                for number, line in enumerate(content[:whole].splitlines(), start=1):
                    record = self._parse(line, number)
                    self._records[record.key] = record
                # A torn last line is a point that never finished; left there it would spoil the next one.
                file.truncate(whole)
        except OSError as error:
            raise self._unusable(error) from error

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __getitem__(self, key: str) -> Record:
        return self._records[key]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def append(self, record: Record) -> None:
        """Add a record; when this returns it is on the disk.

        Raises:
            InputError: the file cannot be written.
            ValueError: the record holds a number that is not finite.
        """
        line = json.dumps(asdict(record), allow_nan=False, ensure_ascii=False).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from error
        self._records[record.key] = record

    def _parse(self, line: bytes, number: int) -> Record:
        try:
            return Record(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise InputError(
                "not a finished point of a sweep",
                file=str(self.path),
                line=number,
                suggestion="name another file, or remove the line",
            ) from error

    def _unusable(self, error: OSError) -> InputError:
        return InputError(f"cannot use the store: {error.strerror or error}", file=str(self.path))
