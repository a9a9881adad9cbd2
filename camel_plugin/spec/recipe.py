"""The training recipe: how a network is trained. The one declaration behind files, arguments and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum

from camel_plugin.errors import UnknownNameError, WorkloadError
from camel_plugin.spec.precision import bits_by_kind
from camel_plugin.spec.step import TensorKind


class Schedule(StrEnum):
    """Which values are kept for the backward pass."""

    STORE_ALL = "store-all"
    CHECKPOINT = "checkpoint"
    REVERSIBLE = "reversible"


class Reversible(StrEnum):
    """How a reversible block runs again: the recomputed branches serve the gradients (4 forward units), or not (5)."""

    FUSED = "fused"
    GENERIC = "generic"


class Dropout(StrEnum):
    """What becomes of random masks in a forward pass that runs again: they are stored, or their generator replays."""

    STORE = "store"
    REPLAY = "replay"


class OptimizerName(StrEnum):
    """What makes new parameters of gradients."""

    SGD = "sgd"
    MOMENTUM = "momentum"
    ADAM = "adam"
    ADAMW = "adamw"


_ONLY_UNDER = {
    "checkpoint_blocks": (Schedule.CHECKPOINT,),
    "checkpoint_bytes": (Schedule.CHECKPOINT,),
    "reversible": (Schedule.REVERSIBLE,),
    "dropout": (Schedule.CHECKPOINT, Schedule.REVERSIBLE),
}
"""Fields that other schedules do not heed; a file may hold them for another run."""

_NAMED = {
    "schedule": ("schedule", Schedule),
    "optimizer": ("optimizer", OptimizerName),
    "reversible": ("kind of reversible step", Reversible),
    "dropout": ("way with random masks", Dropout),
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Words of the enums may be given as text.

    Attributes:
        schedule: which values are kept for the backward pass.
        batch: samples of a training step.
        micro_batch: samples that run through the network at a time; divides ``batch``. By default as few as may be:
            a statistics group where the network has one, else one.
        norm_group: samples over which norms in training take their statistics together; divides ``batch``, which it
            is by default. It is part of what is computed, unlike ``micro_batch``, whose samples are whole groups.
        dropout: whether masks in branches that run again are kept or drawn again.
        optimizer: see :data:`camel_plugin.workload.lowering.optimizers.OPTIMIZERS`.
        trainable: paths and patterns of what is trained (``classifier``, ``*.adapter``), the rest is frozen; empty
            for what the module says.
        checkpoint_blocks: blocks of a checkpoint segment; by default the square root of their number.
        checkpoint_bytes: instead, most bytes of activations and their gradients at any time of a micro-batch.
        reversible: how a reversible block runs again.
        precision: kind of tensor (or ``default``) -> format, see ``precision.FORMAT_BITS``.
        strict: refuse a network with operators that are not modelled.

    Raises:
        UnknownNameError: no such schedule, optimizer, kind of reversible step, kind of tensor or format.
        WorkloadError: the batch cannot be divided so, or other numbers that cannot be.
    """

    schedule: Schedule = Schedule.STORE_ALL
    batch: int = 1
    micro_batch: int | None = None
    norm_group: int | None = None
    dropout: Dropout = Dropout.REPLAY
    optimizer: OptimizerName = OptimizerName.SGD
    trainable: tuple[str, ...] = ()
    checkpoint_blocks: int | None = None
    checkpoint_bytes: int | None = None
    reversible: Reversible = Reversible.FUSED
    precision: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        for name, (kind, words) in _NAMED.items():
            if getattr(self, name) not in list(words):
                raise UnknownNameError(kind, getattr(self, name), words, field=name)
            object.__setattr__(self, name, words(getattr(self, name)))
        object.__setattr__(self, "trainable", tuple(self.trainable))
        if self.checkpoint_blocks and self.checkpoint_bytes:
            raise WorkloadError("stands beside checkpoint_bytes; give one of them", field="checkpoint_blocks")
        for name in ("checkpoint_blocks", "checkpoint_bytes", "batch", "micro_batch", "norm_group"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise WorkloadError("must be at least 1", field=name, value=number)
        try:
            bits_by_kind(self.precision)
        except UnknownNameError as error:
            raise error.placed(field="precision") from None
        for name in ("micro_batch", "norm_group"):
            number = getattr(self, name)
            if number is not None and self.batch % number:
                divisors = [d for d in range(1, self.batch + 1) if self.batch % d == 0]
                near = min(divisors, key=lambda d: abs(d - number))
                raise WorkloadError(
                    f"must divide batch {self.batch}", field=name, value=number, suggestion=f"nearest: {near}"
                )

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Recipe:
        """The recipe with these fields, types checked by whoever read them."""
        return cls(**values)  # type: ignore[arg-type]

    def revised(self, given: Mapping[str, object]) -> Recipe:
        """The recipe of a run.

        Args:
            given: field -> value in place of this recipe's. Formats of single kinds of tensor leave the others as they
                are; one limit of checkpoint segments takes the place of the other.

        Raises:
            WorkloadError: a field that the schedule does not heed, or as the recipe itself.
        """
        values = dict(given)
        precision = values.get("precision")
        if isinstance(precision, Mapping) and "default" not in precision:
            values["precision"] = {**self.precision, **precision}
        for one, other in (("checkpoint_blocks", "checkpoint_bytes"), ("checkpoint_bytes", "checkpoint_blocks")):
            if one in values:
                values.setdefault(other, None)
        found = Recipe.of({**vars(self), **values})
        for name, schedules in _ONLY_UNDER.items():
            if values.get(name) is not None and found.schedule not in schedules:
                raise WorkloadError(
                    f"says nothing under schedule {found.schedule}", field=name, value=values[name],
                    suggestion=f"choose schedule {' or '.join(schedules)}",
                )  # fmt: skip
        return found

    def sized(self, coupled: bool) -> Recipe:
        """The recipe with a micro-batch, and with a statistics group if the network has one.

        Args:
            coupled: whether the network has norms whose statistics couple samples.

        Raises:
            WorkloadError: micro-batches would split statistics groups.
        """
        if not coupled:
            return replace(self, micro_batch=self.micro_batch or 1, norm_group=None)
        group = self.norm_group or self.batch
        size = self.micro_batch or group
        if size % group:
            raise WorkloadError(
                f"splits groups of {group} samples whose norms take their statistics together", field="micro_batch",
                value=size, suggestion=f"a multiple of {group}; or norm_group {size}, which computes other gradients",
            )  # fmt: skip
        return replace(self, micro_batch=size, norm_group=group)

    @property
    def bits(self) -> dict[TensorKind, float]:
        """Kind of tensor -> bits of one value, where the recipe says so."""
        return bits_by_kind(self.precision)

    @property
    def heeded(self) -> dict[str, object]:
        """Fields beside schedule, batches and strictness that matter under the schedule, as plain data."""
        apart = {"schedule", "batch", "micro_batch", "norm_group", "strict"}
        unheeded = {name for name, schedules in _ONLY_UNDER.items() if self.schedule not in schedules}
        values = {name: value for name, value in asdict(self).items() if name not in apart | unheeded}
        values["trainable"] = list(self.trainable)
        plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in values.items()}
        return {name: value for name, value in plain.items() if value not in (None, [], {})}


RECIPE_FIELDS = tuple(item.name for item in fields(Recipe))
