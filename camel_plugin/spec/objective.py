"""What is minimised."""

from enum import StrEnum


class Objective(StrEnum):
    """What the mapper minimises."""

    EDP = "edp"
    ENERGY = "energy"
    LATENCY = "latency"

    def of(self, energy_J: float, latency_s: float) -> float:
        """What is minimised, in J s, J or s."""
        return {"edp": energy_J * latency_s, "energy": energy_J, "latency": latency_s}[self]
