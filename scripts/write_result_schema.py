"""Write what follows from the records of a result: camel_plugin/result.schema.json and docs/result.md.

python scripts/write_result_schema.py
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from camel_plugin import result
from camel_plugin.spec.meaning import meanings

DOCS = Path(__file__).parents[1] / "docs" / "result.md"
HEAD = """\
# The result, field by field

`result.json`, `--json` and `StepResult` are the same records (schema {schema}, `camel_plugin/result.schema.json`).
`operations.csv` and `tensors.csv` have the words and numbers of `OperationResult` and `TensorResult`, those of an
operation's `totals` by their own names, those of its other parts as `part.name`. SI units. The `cost` of an operation
is that of ONE run; its `totals` are of all runs with refresh, and add up to the step's.
Written by `python scripts/write_result_schema.py` from `camel_plugin/result.py`.
"""


def reference() -> str:
    """The page."""
    text = HEAD.format(schema=result.SCHEMA)
    for kind in vars(result).values():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == result.__name__:
            text += (
                f"\n## {kind.__name__}\n{(kind.__doc__ or '').strip()}\n\n| field | unit | meaning |\n|---|---|---|\n"
            )
            text += "".join(
                f"| `{name}` | {each.unit} | {each.meaning.replace('|', chr(92) + '|')} |\n"
                for name, each in meanings(kind).items()
            )
    return text


if __name__ == "__main__":
    result.SCHEMA_FILE.write_text(json.dumps(result.schema(), indent=1) + "\n", encoding="utf-8")
    DOCS.write_text(reference(), encoding="utf-8")
