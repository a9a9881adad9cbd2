"""The parameter update: state tensors and element operations of each optimizer. Free of torch."""

from dataclasses import dataclass

from camel_plugin.spec.recipe import OptimizerName
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.lowering.builder import StepBuilder


@dataclass(frozen=True)
class Optimizer:
    """Cost of one parameter's update.

    Attributes:
        states: tensors of the parameter's shape that are kept between steps.
        element_ops: element operations per parameter.
    """

    states: tuple[str, ...]
    element_ops: int


OPTIMIZERS = {
    OptimizerName.SGD: Optimizer((), 2),  # w -= lr * g
    OptimizerName.MOMENTUM: Optimizer(("momentum",), 4),  # m = mu * m + g; w -= lr * m
    # m: 2 products, 1 sum; v: 3 products, 1 sum; w -= lr * m / (sqrt(v) + eps): 5 of different kinds.
    # The bias corrections are factors of lr and eps.
    OptimizerName.ADAM: Optimizer(("exp_avg", "exp_avg_sq"), 12),
    OptimizerName.ADAMW: Optimizer(("exp_avg", "exp_avg_sq"), 13),  # and w *= 1 - lr * decay
}


def update(b: StepBuilder, optimizer: OptimizerName) -> None:
    """One operation per trainable parameter that has a gradient."""
    rule = OPTIMIZERS[optimizer]
    for value in b.graph.values.values():
        if value.name not in b.graph.weight_gradients:
            continue
        gradient = f"{value.name}:grad"
        states = [b.declare(f"{value.name}:{state}", TensorKind.OPTIMIZER_STATE, value.shape) for state in rule.states]
        b.emit(
            f"{value.name}:update", Pass.UPDATE, optimizer.value,
            [value.name, gradient, *states], [value.name, *states], vector_ops=rule.element_ops * value.elements,
        )  # fmt: skip
