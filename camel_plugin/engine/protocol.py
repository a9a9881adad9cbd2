"""What every engine can do."""

from typing import Protocol

from camel_plugin.errors import InputError
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task


class Engine(Protocol):
    """Maps one problem on one machine.

    Attributes:
        name: as the user writes it.
        weighs_refresh: its mapper heeds the duties of a task; the other mappers see a machine without refresh.
    """

    name: str
    weighs_refresh: bool

    def version(self) -> str:
        """Version of the tool behind the engine, part of the cache key."""
        ...

    def map(self, task: Task, objective: Objective, budget_s: float) -> MapResult:
        """The best mapping found within ``budget_s`` seconds.

        Raises:
            InfeasibleError: no valid mapping exists.
            EngineError: the engine failed.
        """
        ...


def refuse_formats(engine: str, task: Task) -> None:
    """For engines whose levels have one size of word for all dataspaces.

    Raises:
        InputError: a recipe has given the values of some dataspace another size.
    """
    if any(size != 1 for size in task.value_words.values()):
        raise InputError(
            f"{engine} has one size of word in {task.machine.storages[0].name} for all tensors",
            field="training.precision",
            value=dict(task.value_words),
            suggestion="use engine native, or leave precision to the machine",
        )
