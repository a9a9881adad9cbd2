"""Runs the points of a sweep that are not finished yet."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace

from camel_plugin.errors import CamelError
from camel_plugin.report.export import refuse_non_finite
from camel_plugin.result import StepResult
from camel_plugin.sweep.space import Point
from camel_plugin.sweep.store import FAILED, OK, Record, Store

Evaluate = Callable[..., StepResult]
Progress = Callable[[int, int, Record], None]
"""Called with the number of points done, that of the sweep, and the record just finished or found in the store."""


def run(
    points: Sequence[Point],
    store: Store,
    evaluate: Evaluate,
    *,
    versions: Mapping[str, str] | None = None,
    retry_failed: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Evaluate the points that are not in the store; an interrupt keeps what is finished.

    Args:
        points: of the sweep.
        store: where finished points go, one by one.
        evaluate: called with the arguments of each point; picklable if the executor has processes.
        versions: what the results hang on beside the arguments (see :meth:`Point.key`).
        retry_failed: evaluate again what failed before.
        executor: runs points side by side (of ``concurrent.futures``, or a Dask client's); None: one after the other.
        progress: told of every point.

    Returns:
        One record a point, in the order of ``points`` (of equal points the first).

    Raises:
        KeyboardInterrupt: passed on; running the same sweep again goes on from there.
    """
    keyed = {point.key(versions): point for point in points}
    missing = {
        key: point for key, point in keyed.items() if key not in store or (retry_failed and store[key].status == FAILED)
    }
    found = (store[key] for key in keyed if key not in missing)
    finished = _finished(missing, evaluate, store, executor)
    for done, record in enumerate(itertools.chain(found, finished), start=1):
        if progress:
            progress(done, len(keyed), record)
    # The store may know a point under the labels of another sweep.
    return [replace(store[key], varied=dict(point.varied)) for key, point in keyed.items()]


def to_rows(records: Iterable[Record]) -> list[dict[str, object]]:
    """Flat rows for a CSV file, all with the same columns: the axes, status, message, totals and seconds spent."""
    flat = [
        {
            **record.varied,
            "status": record.status,
            "message": record.message,
            **_part(record, "totals"),
            **{name: record.result[name] for name in ("peak_onchip_bytes", "area_m2") if name in record.result},
            **_part(record, "summary"),
            "wall_s": record.wall_s,
        }
        for record in records
    ]
    columns = dict.fromkeys(column for row in sorted(flat, key=len, reverse=True) for column in row)
    return [{column: row.get(column, "") for column in columns} for row in flat]


def _part(record: Record, name: str) -> Mapping[str, object]:
    part = record.result.get(name)
    return part if isinstance(part, Mapping) else {}


def digest(result: StepResult) -> dict[str, object]:
    """What a sweep keeps of a result: all but the single operations and tensors.

    Raises:
        EngineError: a number is not finite.
    """
    data = result.to_dict()
    operations = result.operations
    for key in ("operations", "tensors", "baselines"):
        del data[key]
    data["summary"] = {
        "stall_cycles": sum(operation.refresh.stall_cycles for operation in operations),
        "worst_optimality_gap": max((each.mapping.optimality_gap for each in operations if each.mapping), default=0.0),
        "worst_corrupted_share": max((each.refresh.corrupted_share for each in operations), default=0.0),
        "unsupported_operators": len(result.coverage.unsupported),
    }
    refuse_non_finite(data)
    return data


def _finished(
    missing: Mapping[str, Point], evaluate: Evaluate, store: Store, executor: Executor | None
) -> Iterator[Record]:
    """Evaluate points, store each as soon as it is there, and pass it on."""
    if executor is None:
        for key, point in missing.items():
            record = _attempt(key, point, evaluate)
            store.append(record)
            yield record
        return
    futures = [executor.submit(_attempt, key, point, evaluate) for key, point in missing.items()]
    try:
        for future in as_completed(futures):
            record = future.result()
            store.append(record)
            yield record
    finally:
        for future in futures:
            future.cancel()


def _attempt(key: str, point: Point, evaluate: Evaluate) -> Record:
    """Evaluate one point; whatever goes wrong with it is part of the record, so that the others go on."""
    started = time.perf_counter()
    status, message, result = OK, "", {}
    try:
        result = digest(evaluate(**point.arguments))
    except CamelError as error:
        status, message = FAILED, str(error)
    except Exception as error:
        status, message = FAILED, f"{type(error).__name__}: {error}"
    return Record(
        key=key,
        status=status,
        varied=dict(point.varied),
        arguments=dict(point.arguments),
        wall_s=time.perf_counter() - started,
        result=result,
        message=message,
    )
