"""What the models here share: attributes that all of Accelergy's estimators read, and the assembling of an estimate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost

ACCELERGY = "Accelergy's rules"
_NODES_NM = (1.0, 1000.0)
_CYCLE_S = 1e-9


@dataclass(frozen=True)
class Common:
    """Attributes that Accelergy hands to every estimator.

    Attributes:
        node_nm: of ``technology``.
        cycle_s: of ``global_cycle_seconds``.
        instances: ``n_instances``, a factor of leakage and area.
    """

    node_nm: float
    cycle_s: float
    instances: float

    @classmethod
    def of(cls, attributes: Attributes) -> "Common":
        """Read them; a clock of 1 ns where none is given."""
        return cls(
            attributes.node_nm(_NODES_NM),
            attributes.number("global_cycle_seconds", default=_CYCLE_S, open_=True),
            attributes.number("n_instances", default=1),
        )


def cost(
    common: Common,
    actions_J: Mapping[str, float],
    leakage_W: float,
    area_m2: float,
    *,
    rule: str,
    source: str,
    assumptions: Sequence[str] = (),
) -> ComponentCost:
    """The estimate of ``common.instances`` of a component, and who would have given it."""
    return ComponentCost(
        actions_J=dict(actions_J),
        leakage_W=leakage_W * common.instances,
        area_m2=area_m2 * common.instances,
        sources=(source,),
        unconfirmed=tuple(assumptions),
        rule=rule,
    )
