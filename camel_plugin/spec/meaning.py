"""What stands beside a field of a record: its name in tables, its unit, what it means."""

from dataclasses import dataclass
from functools import cache

from pydantic import Field, TypeAdapter


@dataclass(frozen=True)
class Meaning:
    """Of a field.

    Attributes:
        head: its name in tables.
        unit: SI unit, empty for none.
        meaning: in words.
    """

    head: str
    unit: str
    meaning: str


def means(head: str, unit: str, meaning: str) -> object:
    """What is written beside a field, in ``Annotated``; see :class:`Meaning`."""
    return Field(title=head, description=meaning, json_schema_extra={"unit": unit})


@cache
def meanings(kind: type) -> dict[str, Meaning]:
    """Field of a dataclass, as it is named in JSON -> what stands beside it."""
    found = TypeAdapter(kind).json_schema(mode="serialization", by_alias=True)
    fields = found.get("properties") or found["$defs"][kind.__name__]["properties"]
    return {
        name: Meaning(each.get("title", name), each.get("unit", ""), each.get("description", ""))
        for name, each in fields.items()
    }
