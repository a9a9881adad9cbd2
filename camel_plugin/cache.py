"""Results on disk, keyed by the content of what they were made from: same input and code, same result."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def default_folder() -> Path:
    """``$CAMEL_CACHE``, else ``camel-plugin`` in the user's cache folder (XDG)."""
    if folder := os.environ.get("CAMEL_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camel-plugin"


def source_digest(folder: Path) -> str:
    """Digest of the Python sources below ``folder``: part of a key, no stale result survives a change of the code."""
    sources = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Reads and writes dataclasses of type ``kind`` as plain data; made once, which takes a while."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def content_key(*parts: object) -> str:
    """SHA-256 of the content of ``parts``: dataclasses by their compared fields, sets sorted, labels left out."""
    text = json.dumps([_plain(part) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        content = {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.compare}
        return {"": type(value).__name__, **content}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return repr(value)
    return value


class Cache:
    """A folder of results. Entries appear whole or not at all; an unreadable one counts as absent.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str, kind: type[T]) -> T | None:
        """The stored dataclass of type ``kind``, or None."""
        try:
            return adapter(kind).validate_json((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, key: str, result: object) -> None:
        """Store a dataclass. A folder that cannot be written makes the cache useless, not the run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(handle, "wb") as file:
                file.write(adapter(type(result)).dump_json(result))
            Path(name).replace(self.folder / f"{key}.json")
        except OSError:
            return
