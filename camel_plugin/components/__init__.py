"""Energy, area, leakage and refresh of components: pure functions of their attributes."""

from camel_plugin.components.catalogue import estimate
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.retention import availability, failed_fraction, refresh_power, retention_time

__all__ = [
    "ComponentCost",
    "Constant",
    "availability",
    "estimate",
    "failed_fraction",
    "refresh_power",
    "retention_time",
]
