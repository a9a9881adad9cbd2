"""The Accelergy plug-in. Accelergy itself is imported only by ``estimators``, which only Accelergy loads."""

from pathlib import Path


def plug_in_path() -> Path:
    """The file to name in ``globals.accelergy_plug_ins`` of a Timeloop input."""
    return Path(__file__).with_name("estimators.py")
