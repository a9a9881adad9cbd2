"""A network with its training recipe. torch waits for the capture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from camel_plugin.errors import InputError, WorkloadError
from camel_plugin.spec.graph import Graph
from camel_plugin.spec.precision import bits_by_kind
from camel_plugin.spec.step import Step
from camel_plugin.workload.capture.inputs import InputTensor
from camel_plugin.workload.lowering.training import lower

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """What is trained, on what input, by what recipe.

    Attributes:
        name: in results.
        factory: builds the module; called once, when the graph is first asked for.
        origin: what the module is made from, where that says all of it: one of our builders with its parameters;
            empty for a user's code.
        input: extents of one sample; of each input by the name of its argument where there are several.
        input_type: of a single input, see ``inputs.DTYPES``.
        batch: samples of a training step.
        micro_batch: samples that run through the network at a time.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        optimizer: see ``optimizers.OPTIMIZERS``.
        trainable: paths and patterns of what is trained, see ``freeze.only_trainable``; empty for what the module says.
        checkpoint_blocks: blocks of a checkpoint segment.
        checkpoint_bytes: instead, what activations and their gradients may take at their peak.
        reversible: ``fused`` (4 forward units) or ``generic`` (5).
        precision: kind of tensor (or ``default``) -> format, see ``precision.FORMAT_BITS``.
        strict: refuse a network with operators that are not modelled.
        symbolic: whether the factory works under ``torch.device("meta")``, so that its weights need no memory either.
        description: of the network.
        source: where its definition was published.
    """

    name: str
    factory: Callable[[], nn.Module] = field(compare=False)
    input: tuple[int, ...] | Mapping[str, InputTensor]
    input_type: str = "float"
    batch: int = 1
    micro_batch: int = 1
    schedule: str = "store-all"
    optimizer: str = "sgd"
    trainable: tuple[str, ...] = ()
    checkpoint_blocks: int | None = None
    checkpoint_bytes: int | None = None
    reversible: str = "fused"
    precision: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    symbolic: bool = False
    description: str = ""
    source: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> dict[str, object]:
        """How it is trained, beside schedule, batch and micro-batch: what matters under its schedule."""
        settings: dict[str, object] = {"optimizer": self.optimizer}
        if self.trainable:
            settings["trainable"] = list(self.trainable)
        if self.precision:
            settings["precision"] = dict(self.precision)
        if self.schedule == "reversible":
            settings["reversible"] = self.reversible
        if self.schedule == "checkpoint":
            limits = {"checkpoint_blocks": self.checkpoint_blocks, "checkpoint_bytes": self.checkpoint_bytes}
            settings |= {name: limit for name, limit in limits.items() if limit is not None}
        return settings

    @cached_property
    def graph(self) -> Graph:
        """The forward pass of one micro-batch (imports torch, runs the network's code).

        Raises:
            WorkloadError: the network cannot be built or traced, a pattern of ``trainable`` names nothing, or
                the inverse of a reversible module is wrong.
        """
        import torch

        from camel_plugin.workload.capture.capture import capture
        from camel_plugin.workload.capture.freeze import only_trainable

        try:
            with torch.device("meta" if self.symbolic else torch.get_default_device()):
                module = self.factory()
        except InputError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = f"{type(error).__name__}: {lines[-1]}"
            raise WorkloadError(f"{self.name} cannot be built: {reason}", field="parameters") from error
        if isinstance(self.input, Mapping):
            inputs = {name: tensor.batched(self.micro_batch) for name, tensor in self.input.items()}
            given: InputTensor | dict[str, InputTensor] = inputs
        else:
            given = InputTensor(self.input, self.input_type).batched(self.micro_batch)
        with only_trainable(module, self.trainable) as evaluating:
            return capture(module, given, self.name, evaluating=evaluating)

    def step(self, *, strict: bool | None = None) -> Step:
        """The training step under this recipe.

        Args:
            strict: refuse operators that are not modelled; by default as the network says.

        Raises:
            WorkloadError: see :func:`camel_plugin.workload.lowering.training.lower`; or something is not modelled.
        """
        graph = self.graph
        if graph.unsupported and (self.strict if strict is None else strict):
            raise WorkloadError(
                f"{self.name} holds what is not modelled", field="strict", value="; ".join(graph.unsupported),
                suggestion="without strict it stands in the coverage, and its work is missing from the result",
            )  # fmt: skip
        return lower(
            graph,
            schedule=self.schedule,
            batch=self.batch,
            micro_batch=self.micro_batch,
            optimizer=self.optimizer,
            checkpoint_blocks=self.checkpoint_blocks,
            checkpoint_bytes=self.checkpoint_bytes,
            reversible=self.reversible,
            bits=bits_by_kind(self.precision),
        )
