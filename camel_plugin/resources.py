"""Where machine and network files lie: the package's own folders, and those that other packages register."""

from pathlib import Path

from camel_plugin.errors import UnknownNameError
from camel_plugin.plugins import registered

_PACKAGE = Path(__file__).resolve().parent


def builtin_folders() -> list[Path]:
    """The folder that holds ``arch_specs/`` and ``workloads/``: the package (wheel) or the checkout (editable)."""
    return [_PACKAGE if (_PACKAGE / "arch_specs").is_dir() else _PACKAGE.parent]


def folders(kind: str) -> list[Path]:
    """All registered folders of one kind (``arch_specs`` or ``workloads``)."""
    roots = [root for point in registered("specs").values() for root in point.load()()]
    return [root / kind for root in roots if (root / kind).is_dir()]


def available(kind: str) -> dict[str, Path]:
    """Names of the YAML files of one kind and where they lie."""
    return {path.stem: path for folder in folders(kind) for path in sorted(folder.glob("*.yaml"))}


def find(kind: str, name: str) -> Path:
    """The file called ``name``: a path that exists (a user's own file), or a registered name.

    Args:
        kind: ``arch_specs`` or ``workloads``.
        name: ``camel``, ``./my.yaml``, ``/abs/my.yaml``.

    Raises:
        UnknownNameError: neither a file nor a registered name.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    known = available(kind)
    if name in known:
        return known[name]
    raise UnknownNameError({"arch_specs": "machine", "workloads": "network"}[kind], name, known)
