"""The one Jinja environment: templates of machines, of v0.4 files and of reports run in a sandbox."""

from collections.abc import Callable

from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment


def environment(
    loader: BaseLoader | None = None,
    *,
    trim: bool = True,
    autoescape: bool = False,
    finalize: Callable[[object], object] | None = None,
    mutable: bool = False,
) -> SandboxedEnvironment:
    """An environment in which an unknown name is an error and nothing outside can be reached.

    Args:
        loader: of templates by name.
        trim: lines of statements leave no empty lines behind, at the price of the line numbers.
        autoescape: for HTML.
        finalize: what is written in the place of a value.
        mutable: a template may change lists and mappings that it is given.
    """
    return (SandboxedEnvironment if mutable else ImmutableSandboxedEnvironment)(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=autoescape,
        finalize=finalize,
        trim_blocks=trim,
        lstrip_blocks=trim,
        keep_trailing_newline=True,
    )
