"""Jinja2 in v0.4 files, with the functions that Timeloop's front end offers, in a sandbox."""

from dataclasses import replace
from pathlib import Path

from jinja2 import TemplateSyntaxError

from camel_plugin.errors import SpecError
from camel_plugin.files.sandbox import environment
from camel_plugin.files.yaml_source import YamlNode, load_yaml_text, read_text

_DEPTH = 16


def load_specification(text: str, name: str, folders: tuple[Path, ...] = (), depth: int = 0) -> YamlNode:
    """A v0.4 text as a tree, Jinja2 in it rendered first.

    Args:
        text: of the file.
        name: of the file; included files are looked for beside it.
        folders: where to look for included files besides.
        depth: number of files that include this one.

    Raises:
        SpecError: broken template, an undefined name, a missing file, files that include each other without end.
    """
    if "{{" in text or "{%" in text:
        if depth > _DEPTH:
            raise SpecError("files include each other without end", file=name)
        template = _Template(name, folders, depth)
        return template.filled(load_yaml_text(template.render(text), name))
    return load_yaml_text(text, name)


class _Template:
    """The functions that the text of one file may call.

    What is included takes its place after the YAML is read, so that it keeps its own file, lines, tags and quotes;
    until then a mark stands for it.
    """

    def __init__(self, name: str, folders: tuple[Path, ...], depth: int) -> None:
        self.name, self.folders, self.depth = name, [Path(name).parent, *folders], depth
        self.included: dict[str, YamlNode] = {}

    def render(self, text: str) -> str:
        jinja = environment(trim=False)
        for function in ("add_to_path", "cwd", "find_path", "include", "include_all", "include_text", "path_exists"):
            jinja.globals[function] = getattr(self, function)
        try:
            return jinja.from_string(text).render()
        except TemplateSyntaxError as error:
            raise SpecError(f"broken template: {error.message}", file=self.name, line=error.lineno) from error
        except SpecError:
            raise
        except Exception as error:  # a template is a program of the user's: whatever it raises is the file's mistake
            raise SpecError(f"broken template: {error}", file=self.name) from error

    def cwd(self) -> str:
        """Folder of this file."""
        return str(Path(self.name).parent)

    def add_to_path(self, folder: str) -> str:
        """Look for included files in this folder too."""
        self.folders.append(Path(self.name).parent / folder)
        return ""

    def find_path(self, path: str) -> str:
        """Where an included file lies."""
        for folder in self.folders:
            if (folder / path).exists():
                return str(folder / path)
        raise SpecError("included file not found", file=self.name, value=path)

    def path_exists(self, path: str) -> bool:
        """True if such a file can be included."""
        return any((folder / path).exists() for folder in self.folders)

    def include_text(self, path: str) -> str:
        """A file as it is."""
        return read_text(self.find_path(path))

    def include(self, path: str, keys: str = "") -> str:
        """What stands under dot-separated keys in a file."""
        return self._mark(self._part(self.find_path(path), keys))

    def include_all(self, pattern: str, keys: str = "") -> str:
        """The lists under dot-separated keys of all files that match, joined."""
        items: list[YamlNode] = []
        for path in sorted({path for folder in self.folders for path in folder.glob(pattern)}):
            part = self._part(str(path), keys)
            items += part.value if isinstance(part.value, list) else [part]
        return self._mark(YamlNode(items, self.name, 1))

    def filled(self, node: YamlNode) -> YamlNode:
        """The tree with what its marks stand for."""
        if isinstance(node.value, dict):
            return replace(node, value={key: self.filled(child) for key, child in node.value.items()})
        if isinstance(node.value, list):
            return replace(node, value=[self.filled(child) for child in node.value])
        return self.included.get(node.text, node)

    def _mark(self, node: YamlNode) -> str:
        mark = f"__included_{len(self.included)}__"
        self.included[mark] = node
        return mark

    def _part(self, path: str, keys: str) -> YamlNode:
        node = load_specification(read_text(path), path, tuple(self.folders), self.depth + 1)
        for key in filter(None, keys.split(".")):
            if not isinstance(node.value, dict) or key not in node.value:
                raise SpecError("the included file has no such key", file=path, value=keys)
            node = node.value[key]
        return node
