"""Record a whole result with the mappings behind it, so that a later version can be held against it.

    python scripts/record_results.py tests/recorded/results/NAME.json.xz '{"archs": ["camel"], "net": "lenet5"}'

The second argument are those of :func:`camel_plugin.compare` as JSON. tests/integration/test_recorded_results.py runs
each recording again from its mappings and compares every field.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Sequence
from pathlib import Path

from camel_plugin import pipeline
from camel_plugin.cache import adapter
from camel_plugin.engine.jobs import map_all
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.task import Task


def record(path: Path, arguments: dict[str, object]) -> None:
    """Run and write the recording."""
    mapped: list[object] = []

    def recording(tasks: Sequence[Task], settings: Settings, **options: object) -> list[MapResult]:
        found = map_all(tasks, settings, **options)  # type: ignore[arg-type]
        mapped.extend(adapter(MapResult).dump_python(each, mode="json", exclude={"evaluation"}) for each in found)
        return found

    setattr(pipeline, "map_all", recording)  # noqa: B010 (mypy forbids the plain assignment)
    result = pipeline.compare(**arguments).to_dict()  # type: ignore[arg-type]
    content = {"arguments": arguments, "mapped": mapped, "result": result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(json.dumps(content).encode()))


if __name__ == "__main__":
    record(Path(sys.argv[1]), json.loads(sys.argv[2]))
