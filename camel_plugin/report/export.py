"""Results as files. All or nothing: a folder is complete, or it is not there."""

import csv
import io
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from camel_plugin.errors import EngineError, InputError
from camel_plugin.files.plan_file import PLAN_FILE, write_plan
from camel_plugin.result import OperationResult, StepResult, rows

MANIFEST = ".camel-result"
"""Marks a folder as a result of ours and lists its files, so that replacing it never takes a user's own file."""

_LONGEST_NAME = 120


def write(result: StepResult, directory: Path, *, extra: Mapping[str, str | bytes] | None = None) -> list[Path]:
    """Write ``result.json``, ``operations.csv``, ``tensors.csv``, ``plan.yaml`` and ``mappings/*.yaml``.

    An earlier result in ``directory`` is replaced as a whole, once the new one is complete.

    Args:
        result: of an evaluation.
        directory: absent, empty, or an earlier result.
        extra: further files, relative path -> content.

    Returns:
        The files written.

    Raises:
        InputError: the directory cannot be written, or holds something else.
        EngineError: a number of the result is not finite.
    """
    contents = {**_files(result), **(extra or {})}
    return _replace(Path(directory), {path: _bytes(content) for path, content in contents.items()})


def add(directory: Path, contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write single files (relative path -> content) into a folder, one of :func:`write` or any other.

    Raises:
        InputError: the directory cannot be written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        manifest = directory / MANIFEST
        if manifest.is_file():
            known = manifest.read_text(encoding="utf-8").splitlines()
            _put(manifest, _manifest({*known, *contents}))
        paths = [_inside(directory, path) for path in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(path, _bytes(content))
    except OSError as error:
        raise _unwritable(directory, error) from error
    return paths


def check_writable(directory: Path) -> None:
    """Refuse early what :func:`write` would refuse after the evaluation.

    Raises:
        InputError: the directory cannot be written, or holds something that is not a result of ours.
    """
    directory = Path(directory).resolve()
    try:
        _refuse_foreign(directory)
    except OSError as error:
        raise _unwritable(directory, error) from error
    parent = next(folder for folder in directory.parents if folder.exists())
    if not parent.is_dir():
        raise _unwritable(directory, NotADirectoryError(0, f"{parent} is not a directory"))
    try:
        # Permission bits do not tell of a read-only or special file system: only trying does.
        tempfile.TemporaryDirectory(dir=parent).cleanup()
    except OSError as error:
        raise _unwritable(directory, error) from error


def refuse_non_finite(data: object, path: str = "") -> None:
    """Refuse NaN and infinity in plain data: JSON has neither, and no cost is one.

    Raises:
        EngineError: names the first by its path.
    """
    if isinstance(data, float) and not math.isfinite(data):
        raise EngineError(f"{path} is {data}, which no cost can be")
    if isinstance(data, dict):
        for key, value in data.items():
            refuse_non_finite(value, f"{path}.{key}" if path else key)
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            refuse_non_finite(value, f"{path}[{index}]")


def _files(result: StepResult) -> dict[str, str]:
    data = result.to_dict()
    refuse_non_finite(data)
    mappings = _mapping_files(result.operations)
    plan = {} if result.plan is None else {PLAN_FILE: write_plan(result.plan)}
    return {
        **plan,
        "result.json": json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "operations.csv": csv_text(
            [{**row, "mapping_file": mappings.get(i, ("",))[0]} for i, row in enumerate(rows(result.operations))]
        ),
        "tensors.csv": csv_text(rows(result.tensors)),
        **dict(mappings.values()),
    }


def _mapping_files(operations: Iterable[OperationResult]) -> dict[int, tuple[str, str]]:
    """Index of the operation -> relative path and text; different also where only upper and lower case differ."""
    taken: set[str] = set()
    found = {}
    for index, operation in enumerate(operations):
        if operation.mapping is None:
            continue
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", operation.name).lstrip(".")[:_LONGEST_NAME] or "operation"
        name = next(name for name in _candidates(stem) if name.lower() not in taken)
        taken.add(name.lower())
        found[index] = f"mappings/{name}.yaml", operation.mapping.text
    return found


def _candidates(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def csv_text(table: Sequence[Mapping[str, object]]) -> str:
    """Rows as CSV; columns in the order in which they occur."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in table for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _replace(directory: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Put a complete new folder in the place of ``directory``."""
    directory = directory.resolve()
    try:
        _refuse_foreign(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        new, old = staging / "new", staging / "old"
        try:
            for path, content in {**contents, MANIFEST: _manifest(contents).encode()}.items():
                target = _inside(new, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            _swap(directory, new, old)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise _unwritable(directory, error) from error
    return [directory / path for path in contents]


def _swap(directory: Path, new: Path, old: Path) -> None:
    try:
        if directory.exists():
            directory.rename(old)
        new.rename(directory)
    except BaseException:
        if old.exists() and not directory.exists():
            old.rename(directory)
        raise


def _refuse_foreign(directory: Path) -> None:
    """InputError unless ``directory`` is absent, empty or holds nothing but an earlier result."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise NotADirectoryError(0, "it is a file")
    for name in _foreign(directory):
        raise InputError(
            f"the output directory holds {name!r}, which no earlier result wrote",
            file=str(directory),
            suggestion="name a new directory, or move the file away",
        )


def _foreign(directory: Path) -> Iterator[str]:
    manifest = directory / MANIFEST
    if not manifest.is_file():
        yield from (entry.name for entry in directory.iterdir())
        return
    known = {MANIFEST, *manifest.read_text(encoding="utf-8").splitlines()}
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if not path.is_dir() and name not in known:
            yield name


def _inside(directory: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise InputError("a file of a result must lie in its directory", file=str(directory), value=path)
    return directory.joinpath(*parts)


def _put(path: Path, content: bytes | str) -> None:
    """Write a file such that it is never seen half-written."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(_bytes(content))
    partial.replace(path)


def _manifest(paths: Iterable[str]) -> str:
    return "".join(f"{path}\n" for path in sorted(paths))


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _unwritable(directory: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write the output directory: {error.strerror or error}",
        file=str(directory),
        suggestion="name a directory below one that you may write",
    )
