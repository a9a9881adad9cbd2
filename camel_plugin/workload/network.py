"""A network with its training recipe. torch waits for the capture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from camel_plugin.cache import Cache, content_key, source_digest
from camel_plugin.errors import InputError, WorkloadError
from camel_plugin.spec.graph import Graph
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Step
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
        recipe: how it is trained.
        symbolic: whether the factory works under ``torch.device("meta")``, so that its weights need no memory either.
    """

    name: str
    factory: Callable[[], nn.Module] = field(compare=False)
    input: tuple[int, ...] | Mapping[str, InputTensor]
    input_type: str = "float"
    recipe: Recipe = field(default_factory=Recipe)
    symbolic: bool = False
    origin: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def sized(self) -> Recipe:
        """The recipe with the micro-batch and the statistics group that the network asks for."""
        return self.recipe.sized(_coupled(self.graph))

    @cached_property
    def graph(self) -> Graph:
        """The passes of one micro-batch (imports torch, runs the network's code).

        Raises:
            WorkloadError: the network cannot be built or traced, a pattern of ``trainable`` names nothing, or the
                micro-batch splits groups of samples whose statistics are taken together.
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
        with only_trainable(module, self.recipe.trainable) as evaluating:
            coupled = any(
                isinstance(child, torch.nn.modules.batchnorm._BatchNorm) and path not in evaluating
                for path, child in module.named_modules()
            )
            alone, group = self.recipe.micro_batch or 1, self.recipe.norm_group or self.recipe.batch
            size = self.recipe.micro_batch or (group if coupled else 1)
            graph = capture(module, self._batched(size), self.name, evaluating=evaluating)
            asked = self.recipe.sized(_coupled(graph)).micro_batch or alone
            if asked != size:
                graph = capture(module, self._batched(asked), self.name, evaluating=evaluating)
            return graph

    @property
    def micro_batches(self) -> list[int | None]:
        """The sizes that the recipe leaves open: divisors of the batch, in whole statistics groups."""
        group, batch = self.sized.norm_group or 1, self.recipe.batch
        return [size for size in range(group, batch + 1, group) if batch % size == 0]

    def _batched(self, samples: int) -> InputTensor | dict[str, InputTensor]:
        if isinstance(self.input, Mapping):
            return {name: tensor.batched(samples) for name, tensor in self.input.items()}
        return InputTensor(self.input, self.input_type).batched(samples)

    def step(self, *, strict: bool | None = None) -> Step:
        """The training step under this recipe.

        Args:
            strict: refuse operators that are not modelled; by default as the recipe says.

        Raises:
            WorkloadError: see :func:`camel_plugin.workload.lowering.training.lower`; or something is not modelled.
        """
        step = lower(self.graph, self.sized)
        unsupported = step.coverage.unsupported
        if unsupported and (self.recipe.strict if strict is None else strict):
            raise WorkloadError(
                f"{self.name} holds what is not modelled", field="strict", value="; ".join(unsupported),
                suggestion="without strict it stands in the coverage, and its work is missing from the result",
            )  # fmt: skip
        return step

    def kept_step(self, cache: Cache | None) -> Step:
        """The same from the cache, if it is made of our own modules: its next run needs no torch."""
        if cache is None or not self.origin:
            return self.step()
        key = content_key(source_digest(Path(__file__).parent), version("torch"), self)
        step = cache.get(key, Step)
        if step is None:
            step = self.step()
            cache.put(key, step)
        return step


def _coupled(graph: Graph) -> bool:
    """Whether norms take their statistics from several samples."""
    return any(node.kind == "batch_norm" and node.attributes["training"] for node in graph.nodes)
