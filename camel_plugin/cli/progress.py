"""Progress of the mapper on stderr: a bar on a terminal, nothing when piped."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class MappingProgress:
    """Callable as :data:`camel_plugin.engine.jobs.Progress`; a context manager around the work."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("mapping"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> MappingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, label: str) -> None:
        """Show that ``done`` of ``total`` distinct problems are mapped, the last one being ``label``."""
        self._bar.update(self._task, completed=done, total=total, description=label)
