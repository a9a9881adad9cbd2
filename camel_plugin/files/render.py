"""Rendering a machine file's template to Timeloop v0.4 text, in a sandbox."""

import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jinja2
from jinja2 import meta

from camel_plugin import resources
from camel_plugin.errors import InputError, SpecError, UnknownNameError, nearest
from camel_plugin.files.machine_file import MachineFile
from camel_plugin.files.sandbox import environment


def render(machine: MachineFile) -> str:
    """Timeloop v0.4 text of a machine.

    The template sees the parameters by name and nothing else. It is looked for beside the machine file that names
    it, then in the ``templates`` folders of all registered ``arch_specs``. Filter ``quoted`` writes a string in the
    double quotes that Timeloop demands.

    Raises:
        SpecError: no such template, one outside those folders, a mistake in it, or something that the sandbox forbids;
            with file and line of the template.
        UnknownNameError: a parameter that the template does not use.
    """
    roots = [machine.folder, *(folder / "templates" for folder in resources.folders("arch_specs"))]
    jinja = environment(_Loader([str(root) for root in roots]), finalize=_yaml_scalar)
    jinja.filters["quoted"] = _quoted
    values = {name: parameter.value for name, parameter in machine.parameters.items()}
    try:
        template = jinja.get_template(machine.template)
        _refuse_unused(machine, jinja)
        return template.render(values)
    except InputError:
        raise
    except jinja2.TemplateNotFound as error:
        raise _not_found(machine, str(error.name or machine.template), roots) from error
    except jinja2.TemplateSyntaxError as error:
        raise SpecError(
            f"broken template: {error.message}", file=error.filename or error.name, line=error.lineno
        ) from error
    except jinja2.UndefinedError as error:
        raise _template_error(machine, error, roots, suggestion=_suggestion(error, values)) from error
    except Exception as error:  # a template is a program of the user's: whatever it raises is the file's mistake
        raise _template_error(machine, error, roots) from error


class _Loader(jinja2.FileSystemLoader):
    """Serves files that really lie in the given folders (no ``..``, no symbolic link that leads out)."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        if template.startswith(("/", "~")) or "\\" in template:
            raise jinja2.TemplateNotFound(template)
        source, filename, uptodate = super().get_source(environment, template)
        real = Path(filename).resolve()
        if not any(real.is_relative_to(Path(root).resolve()) for root in self.searchpath):
            raise jinja2.TemplateNotFound(template)
        return source, filename, uptodate


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _yaml_scalar(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _refuse_unused(machine: MachineFile, loaded: jinja2.Environment) -> None:
    """A parameter that no template reads is a misspelt or forgotten one."""
    used: set[str] = set()
    waiting = [machine.template]
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        assert loaded.loader is not None
        tree = loaded.parse(loaded.loader.get_source(loaded, name)[0], name)
        used |= meta.find_undeclared_variables(tree)
        for other in meta.find_referenced_templates(tree):
            if other is None:  # a computed name: what it reads cannot be known
                return
            waiting.append(other)
    for name, parameter in machine.parameters.items():
        if name not in used:
            raise UnknownNameError(
                f"parameter for template {machine.template}",
                name,
                used,
                file=parameter.file,
                line=parameter.line,
                field=f"parameters.{name}",
            )


def _not_found(machine: MachineFile, name: str, roots: Sequence[Path]) -> SpecError:
    outside = ".." in Path(name).parts or name.startswith(("/", "~")) or "\\" in name
    known = [path.name for root in roots for path in sorted(root.glob("*.j2"))]
    return SpecError(
        "template lies outside the template folders" if outside else "no such template (in the template folders)",
        file=str(machine.path),
        field="template",
        value=name,
        suggestion="put it beside the machine file" if outside else nearest(name, known),
    )


def _template_error(
    machine: MachineFile, error: Exception, roots: Sequence[Path], suggestion: str | None = None
) -> SpecError:
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if any(Path(frame.filename).is_relative_to(root) for root in roots)]
    reason = str(error) or type(error).__name__
    return SpecError(
        f"template fails: {reason}",
        file=inside[-1].filename if inside else machine.template,
        line=inside[-1].lineno if inside else None,
        suggestion=suggestion,
    )


def _suggestion(error: jinja2.UndefinedError, values: Mapping[str, object]) -> str | None:
    match = re.match(r"'(\w+)' is undefined", str(error))
    return nearest(match[1], list(values)) if match else None
