"""Plain data against a pydantic model: what does not fit is one of our errors, with file, line, field and value."""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from camel_plugin.errors import InputError, SpecError, UnknownNameError
from camel_plugin.files.yaml_source import YamlNode


def explained(
    error: ValidationError, root: YamlNode, model: type[BaseModel] | None = None, raised: type[InputError] = SpecError
) -> InputError:
    """The error that lies deepest; of a choice of forms, that of the form with the fewest errors.

    Args:
        error: of pydantic.
        root: what was validated.
        model: whose fields are named where one is unknown.
        raised: class of the error for everything else.
    """
    errors = error.errors(include_url=False)
    forms = Counter(each["loc"][:-1] for each in errors)
    each = max(errors, key=lambda each: (_place(root, each["loc"]).field.count("."), -forms[each["loc"][:-1]]))
    where, location = _place(root, each["loc"]), each["loc"]
    field = ".".join(filter(None, (root.field, *map(str, location)))) if model else where.field
    if model is not None and each["type"] == "extra_forbidden":
        names = _fields(model, location[:-1])
        return UnknownNameError("field", str(location[-1]), names, file=where.file, line=where.line, field=field)
    message = each["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if model is None:
        message = f"{location[-1]}: {message}"
    value = None if each["type"] == "missing" or not location else each["input"]
    return raised(message, file=where.file, line=where.line, field=field or None, value=value)


def _place(root: YamlNode, location: Iterable[int | str]) -> YamlNode:
    node = root
    for key in location:  # names of forms stand between the keys
        node = node.at([key])
    return node


def _fields(model: type[BaseModel], location: Iterable[int | str]) -> Iterable[str]:
    for key in location:
        inner = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model.model_fields
