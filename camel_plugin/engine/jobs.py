"""Many problems through one engine: identical ones once, known ones from the cache, the rest on all cores."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial

from camel_plugin.cache import Cache, content_key
from camel_plugin.engine.padded import map_padded
from camel_plugin.engine.protocol import Engine
from camel_plugin.plugins import load
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.task import Task

Progress = Callable[[int, int, str], None]
"""Called with (distinct problems done, distinct problems in all, what was finished)."""


def map_all(
    tasks: Sequence[Task],
    settings: Settings,
    *,
    workers: int | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> list[MapResult]:
    """Map every task; results stand in the order of ``tasks``.

    Args:
        tasks: to map, each distinct one once.
        settings: engine, objective, budget, and whether padded forms of the problems are mapped too.
        workers: processes, default one a core.
        cache: where finished results are kept, also when the run is interrupted.
        progress: called after each distinct problem.

    Raises:
        UnknownNameError: no such engine.
        InfeasibleError: some problem has no valid mapping.
        EngineError: the engine failed.
    """
    engine: Engine = load("engines", settings.engine)()
    how = (engine.name, engine.version(), settings.objective, settings.budget_s, settings.pad)
    keys = [content_key(task.content, *how) for task in tasks]
    distinct = dict(zip(reversed(keys), reversed(tasks), strict=True))
    results: dict[str, MapResult] = {}
    if cache:
        results = {key: found for key in distinct if (found := cache.get(key, MapResult)) is not None}
    pending = {key: task for key, task in reversed(distinct.items()) if key not in results}

    def finished(key: str, result: MapResult) -> None:
        results[key] = result
        if cache:
            cache.put(key, result)
        if progress:
            progress(len(results), len(distinct), distinct[key].name)

    if progress:
        progress(len(results), len(distinct), "cache")
    find = partial(map_padded, engine) if settings.pad else engine.map
    workers = min(workers or os.cpu_count() or 1, len(pending))
    if workers <= 1:
        for key, task in pending.items():
            finished(key, find(task, settings.objective, settings.budget_s))
    else:
        _map_in_processes(find, pending, settings, workers, finished)
    return [results[key] for key in keys]


@contextmanager
def _scripts_left_alone() -> Iterator[None]:
    """Children that start meanwhile do not run the user's script again, which then needs no ``__main__`` guard."""
    main = sys.modules["__main__"]
    hidden: dict[str, object] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def _map_in_processes(
    find: Callable[[Task, Objective, float], MapResult],
    pending: dict[str, Task],
    settings: Settings,
    workers: int,
    finished: Callable[[str, MapResult], None],
) -> None:
    # spawn: a forked child would inherit torch's threads. Children leave Ctrl-C to the parent.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        with _scripts_left_alone():
            ask = (settings.objective, settings.budget_s)
            futures = {pool.submit(find, task, *ask): key for key, task in pending.items()}
        for future in as_completed(futures):
            finished(futures[future], future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()
