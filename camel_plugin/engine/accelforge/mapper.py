"""AccelForge, run as a program: a specification in, its Pareto-optimal mappings out as JSON, or the given one's cost.

It runs under whatever Python (3.12 or newer) has ``accelforge``, so it imports nothing else of this package. With no
arguments it prints the version of ``accelforge``.

    python mapper.py (map|score) SPECIFICATION OUTPUT
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

SEPARATOR = "<SEP>"


def flat(node: Any) -> list[dict[str, Any]]:
    """The loop tree of one Einsum, outermost first."""
    found: list[dict[str, Any]] = []
    for child in node.nodes:
        kind = type(child).__name__
        if kind == "Storage":
            found.append({"kind": kind, "tensors": sorted(map(str, child.tensors)), "component": str(child.component)})
        elif kind in ("Temporal", "Spatial"):
            entry = {"kind": kind, "variable": str(child.rank_variable), "tile": int(child.tile_shape)}
            found.append(entry | ({"axis": str(child.name)} if kind == "Spatial" else {}))
        elif hasattr(child, "nodes"):
            found += flat(child)
    return found


def main(arguments: list[str]) -> None:
    """Map, score, or say which version there is."""
    import accelforge

    if not arguments:
        print(version("accelforge"))
        return
    task, specification, output = arguments
    accelforge.set_n_parallel_jobs(1)
    spec = accelforge.Spec.from_yaml(specification)
    rows = []
    if task == "score":
        mappings = spec.evaluate_mapping()
    else:
        spec.mapper.metrics = accelforge.Metrics.ENERGY | accelforge.Metrics.LATENCY
        mappings = spec.map_workload_to_arch(print_progress=False)
    for _, row in mappings.data.iterrows():
        tree = row[f"Total{SEPARATOR}mapping"]
        figures = {
            name.replace(SEPARATOR, "/"): float(value)
            for name, value in row.items()
            if not str(name).endswith("mapping") and not str(name).startswith("reservation")
        }
        rows.append({"figures": figures, "nodes": flat(tree() if callable(tree) else tree)})
    Path(output).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    # A program's own folder comes first on the path: its modules here must not pass for those of the tools.
    if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
        del sys.path[0]
    main(sys.argv[1:])
