"""The settings of a run: everything that is chosen beside machine, network and recipe. Validated once, passed whole."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.recipe import RECIPE_FIELDS


class Energies(StrEnum):
    """Who says what an access costs."""

    BUILTIN = "builtin"
    ACCELERGY = "accelergy"


class Order(StrEnum):
    """How far a micro-batch runs before the next one starts."""

    NETWORK = "network"
    STAGE = "stage"
    BLOCK = "block"
    NONE = "none"
    CUT = "cut"
    """The loops of least estimated traffic."""
    AUTO = "auto"
    """All of them are tried."""


AUTO = Order.AUTO.value

_NAMED = {
    "depth_first": ("order", Order),
    "objective": ("objective", Objective),
    "energies": ("source of energies", Energies),
}


@dataclass(frozen=True)
class Settings:
    """What is chosen for a run. Words of the enums may be given as text.

    Attributes:
        refresh: registered refresh policy.
        temperature_C: of every machine, None for their own.
        objective: what the mapper minimises for each operation.
        engine: registered engine.
        energies: component models, or what the installed Accelergy says of the same files.
        budget_s: wall-clock budget of the mapper for one distinct problem.
        pad: also map padded sizes of problems, where meshes cannot share out the true ones evenly.
        depth_first: how far a micro-batch runs before the next one starts.
        search_micro_batch: try divisors of the batch, and take the best.
        dataset: samples of an epoch, for its totals.
        epochs: until the target accuracy; with ``dataset`` gives time and energy to accuracy.

    Raises:
        UnknownNameError: no such order, objective or source of energies.
        InputError: epochs of no data set.
    """

    refresh: str = "lifetime"
    temperature_C: float | None = None
    objective: Objective = Objective.EDP
    engine: str = "native"
    energies: Energies = Energies.BUILTIN
    budget_s: float = 10.0
    pad: bool = True
    depth_first: Order = Order.NETWORK
    search_micro_batch: bool = False
    dataset: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        for name, (kind, words) in _NAMED.items():
            if getattr(self, name) not in list(words):
                raise UnknownNameError(kind, getattr(self, name), words, field=name)
            object.__setattr__(self, name, words(getattr(self, name)))
        if self.epochs is not None and self.dataset is None:
            raise InputError(
                "epochs of what?", field="epochs", value=self.epochs, suggestion="give dataset, its samples"
            )


def split(choices: Mapping[str, object]) -> tuple[Settings, dict[str, object]]:
    """Keyword arguments of a run as its settings, and what is left: fields of its recipe.

    Args:
        choices: name -> value; ``micro_batch`` may be ``auto``.

    Raises:
        UnknownNameError: neither has such a field, or as :class:`Settings`.
        InputError: a micro-batch in other words.
    """
    names = [item.name for item in fields(Settings)]
    if unknown := next((name for name in choices if name not in (*names, *RECIPE_FIELDS)), None):
        raise UnknownNameError("setting", unknown, (*names, *RECIPE_FIELDS))
    given = {name: value for name, value in choices.items() if name in names}
    recipe = {name: value for name, value in choices.items() if name in RECIPE_FIELDS}
    size = recipe.get("micro_batch")
    if size == AUTO:
        given["search_micro_batch"] = True
        del recipe["micro_batch"]
    elif isinstance(size, str):
        raise InputError("not a micro-batch", field="micro_batch", value=size, suggestion=f"a number or {AUTO}")
    return Settings(**given), recipe  # type: ignore[arg-type]
