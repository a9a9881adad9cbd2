"""Which module is running, and what a node is called after it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class Scope:
    """The modules of a network by path, and the stack of those that are running."""

    def __init__(self, module: nn.Module) -> None:
        self.children: dict[str, nn.Module] = dict(module.named_modules())
        self.calls: dict[str, tuple[object, ...]] = {}
        self.results: dict[str, object] = {}
        self.path = ""
        self._paths = {id(child): path for path, child in module.named_modules()}
        self._leaves = {id(child) for child in module.modules() if not list(child.children())}
        self._stack: list[tuple[str, bool]] = []
        self._counts: Counter[str] = Counter()
        self._taken = {path for path, child in module.named_modules() if list(child.children())}

    @contextmanager
    def following(self) -> Iterator[None]:
        """Every call of a module of the network is seen."""
        with ExitStack() as stack:
            for handle in (register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)):
                stack.callback(handle.remove)
            yield

    @contextmanager
    def within(self, path: str) -> Iterator[None]:
        """What runs inside belongs to a path that is no module's."""
        self.path, self._stack = path, [(path, False)]
        try:
            yield
        finally:
            self.path, self._stack = "", []

    def _enter(self, module: nn.Module, arguments: tuple[object, ...]) -> None:
        if id(module) in self._paths:
            self.path = self._paths[id(module)]
            self.calls.setdefault(self.path, arguments)
            self._stack.append((self.path, id(module) in self._leaves))

    def _leave(self, module: nn.Module, _: object, result: object) -> None:
        if id(module) in self._paths and self._stack:
            self.results.setdefault(self._paths[id(module)], result)
            self._stack.pop()
            self.path = self._stack[-1][0] if self._stack else ""

    @property
    def modules(self) -> tuple[str, ...]:
        """Paths of all that are running, outermost first."""
        return tuple(path for path, _ in self._stack)

    def name(self, kind: str) -> str:
        """A new name for a node of this kind: the path of a module that has no children, else the kind behind it."""
        path, leaf = self._stack[-1] if self._stack else ("", False)
        return self.unique(path if leaf and path else ".".join(filter(None, (path, kind))))

    def unique(self, base: str) -> str:
        """The name, numbered if it is taken."""
        name = base
        while name in self._taken:
            self._counts[base] += 1
            name = f"{base}_{self._counts[base] + 1}"
        self._taken.add(name)
        return name
