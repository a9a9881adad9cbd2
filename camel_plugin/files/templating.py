"""Jinja2 in v0.4 files, with the functions that Timeloop's front end offers, in a sandbox."""

import glob
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import FileSystemLoader, TemplateSyntaxError, UndefinedError

from camel_plugin.errors import SpecError
from camel_plugin.files.sandbox import environment
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text, read_text

_DEPTH = 16
_MARKS = ("{{", "{%", "{#")
_FUNCTIONS = (
    *("add_to_path", "cwd", "find_path", "find_paths", "include", "include_all", "include_text", "path_exists"),
    "setenv",
)
_NONE: Mapping[str, object] = {}


def has_template(text: str) -> bool:
    """True if Jinja2 has something to do in the text."""
    return any(mark in text for mark in _MARKS)


def matching(pattern: str) -> list[str]:
    """What lies under a path with wildcards, in order."""
    return sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute


def load_specification(text: str, name: str, values: Mapping[str, object] = _NONE) -> YamlNode:
    """A v0.4 text as a tree, Jinja2 in it rendered first.

    Args:
        text: of the file.
        name: of the file; included files are looked for beside it.
        values: of the names that templates use, by name.

    Raises:
        SpecError: broken template, an undefined name, a missing file, files that include each other without end.
    """
    return _Template(name, values).tree(text)


@dataclass
class _Template:
    """One file: its text rendered and read, and the functions that the text may call.

    What is included takes its place after the YAML is read, so that it keeps its own file, lines, tags and quotes;
    until then a mark stands for it.

    Attributes:
        name: of the file.
        values: of the names that the text uses.
        searched: folders in which files are looked for, after that of the file itself.
        depth: number of files that include this one.
        included: mark -> what it stands for; shared with files whose text is included.
    """

    name: str
    values: Mapping[str, object]
    searched: list[Path] = field(default_factory=list)
    depth: int = 0
    included: dict[str, YamlNode] = field(default_factory=dict)

    def tree(self, text: str) -> YamlNode:
        """What the text says."""
        return load_yaml_text(self.rendered(text), self.name, self._instead)

    def rendered(self, text: str) -> str:
        """The text with Jinja2 run, marks in the place of what it includes."""
        if self.depth > _DEPTH:
            raise SpecError("files include each other without end", file=self.name)
        if not has_template(text):
            return text
        jinja = environment(FileSystemLoader(self.cwd()), trim=False, mutable=True)
        jinja.globals.update({function: getattr(self, function) for function in _FUNCTIONS})
        try:
            return jinja.from_string(text).render(deepcopy(dict(self.values)))
        except TemplateSyntaxError as error:
            raise SpecError(f"broken template: {error.message}", file=self.name, line=error.lineno) from error
        except SpecError:
            raise
        except UndefinedError as error:
            raise SpecError(
                f"broken template: {error}", file=self.name, suggestion="give it a value with --jinja KEY=VALUE"
            ) from error
        except Exception as error:  # a template is a program of the user's: whatever it raises is the file's mistake
            raise SpecError(f"broken template: {error}", file=self.name) from error

    def cwd(self) -> str:
        """Folder of this file."""
        return str(Path(self.name).resolve().parent)

    def add_to_path(self, folder: str | Sequence[str]) -> str:
        """Look for included files in these folders too."""
        self.searched += [Path(found) for found in self.find_paths(folder)]
        return ""

    def find_path(self, path: str) -> str:
        """Where an included file lies."""
        for found in self._candidates(path):
            if found.exists():
                return str(found)
        raise self._absent(path)

    def find_paths(self, pattern: str | Sequence[str]) -> list[str]:
        """All files and folders that a pattern, or one of several, means."""
        if not isinstance(pattern, str):
            return list(dict.fromkeys(found for each in pattern for found in self.find_paths(each)))
        found = [path for each in self._candidates(pattern) for path in matching(str(each))]
        if not found:
            raise self._absent(pattern)
        return list(dict.fromkeys(found))

    def path_exists(self, path: str) -> bool:
        """True if such a file can be included."""
        return any(found.exists() for found in self._candidates(path))

    def setenv(self, _name: str, _value: str) -> str:
        """An environment variable for Timeloop, which is none of ours."""
        return ""

    def include_text(self, pattern: str) -> str:
        """The text of a file, its own Jinja2 run."""
        return "\n".join(self._inside(path).rendered(read_text(path)) for path in self.find_paths(pattern))

    def include(self, path: str, keys: str = "") -> str:
        """What stands under dot-separated keys in a file."""
        found = self.find_paths(path)
        if len(found) > 1:
            raise SpecError("several files are meant; include_all takes them", file=self.name, value=path)
        return self._mark(self._part(found[0], keys))

    def include_all(self, pattern: str, keys: str = "") -> str:
        """What stands under dot-separated keys in all files that match, one after the other."""
        parts = [self._part(path, keys) for path in self.find_paths(pattern)]
        return self._mark(parts[0] if len(parts) == 1 else YamlNode(parts, self.name, 1))

    def _candidates(self, path: str) -> list[Path]:
        return [(folder / path).resolve() for folder in (Path(self.cwd()), *self.searched)]

    def _absent(self, path: str) -> SpecError:
        folders = ", ".join(map(str, dict.fromkeys([self.cwd(), *self.searched])))
        return SpecError("included file not found", file=self.name, value=path, suggestion=f"searched: {folders}")

    def _inside(self, path: str) -> "_Template":
        return _Template(path, self.values, list(self.searched), self.depth + 1, self.included)

    def _part(self, path: str, keys: str) -> YamlNode:
        inside = replace(self._inside(path), included={})
        node = inside.tree(read_text(path))
        for key in filter(None, keys.split(".")):
            if not isinstance(node.value, dict) or key not in node.value:
                raise SpecError("the included file has no such key", file=path, value=keys)
            node = node.value[key]
        return node

    def _mark(self, node: YamlNode) -> str:
        mark = f"__included_{len(self.included)}__"
        self.included[mark] = node
        return mark

    def _instead(self, node: YamlNode) -> YamlNode | None:
        """What a mark or an ``!include`` tag stands for."""
        if node.tag == "include":
            return self._part(self.find_path(node.text.rstrip(",")), "")
        if node.tag == "includedir":
            pattern = f"{node.text.rstrip(',')}/*.yaml"
            return replace(node, value=[self._part(path, "") for path in self.find_paths(pattern)], tag=None)
        return self.included.get(node.text)
