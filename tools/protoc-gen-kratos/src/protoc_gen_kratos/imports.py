"""Imports of a module that is written once, and then belongs to its reader."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor

from protoc_gen_kratos.modules import Modules
from protoc_gen_kratos.naming import class_name, unused
from protoc_gen_kratos.source import Source

__all__ = ["Imports", "located"]

_STANDARD: Final = frozenset({"collections.abc", "typing"})
_OTHERS: Final = frozenset({"google", "kratos", "pytest"})


def located(name: str, modules: Modules, prefix: str) -> str:
    """Return the dotted module of a definition, seen from outside the generated tree.

    Args:
        name: The definition.
        modules: Knows who provides it.
        prefix: Dotted package that the tree lies in; empty for a tree on the import path.
    """
    module = modules.of(name)
    parts = (*module.package, module.name)
    return ".".join((prefix, *parts) if prefix and module.in_output else parts)


class Imports:
    """Hands out names by absolute imports, and keeps apart those that are spelled alike.

    Args:
        modules: Knows who provides a definition.
        prefix: Dotted package of the generated tree.
        taken: Names that nothing may be imported as.
        bound: What is imported already, by the name that it has: ``module:name``.
    """

    def __init__(
        self,
        modules: Modules,
        prefix: str,
        *,
        taken: Collection[str] = (),
        bound: Mapping[str, str] | None = None,
    ) -> None:
        self._modules = modules
        self._prefix = prefix
        self._taken = frozenset(taken)
        self._known = dict(bound or {})
        self._new: dict[str, str] = {}
        self._comments: dict[str, str] = {}

    def name(self, module: str, name: str) -> str:
        """Return how ``name`` of ``module`` is spelled here, and import it."""
        wanted = f"{module}:{name}"
        bound = next((alias for alias, what in self._known.items() if what == wanted), None)
        if bound is not None:
            return bound
        if name not in self._taken and name not in self._known:
            return self._bind(name, wanted)
        return f"{self.module(module)}.{name}"

    def module(self, dotted: str) -> str:
        """Return how a module is spelled here, and import it."""
        package, _, last = dotted.rpartition(".")
        spellings = (f"{dotted}:", f"{package}:{last}")
        bound = next((alias for alias, what in self._known.items() if what in spellings), None)
        if bound is not None:
            return bound
        return self._bind(unused(last, {*self._taken, *self._known}), spellings[0])

    def message(self, descriptor: Descriptor) -> str:
        """Return how a message is spelled here, and import it or what it lies in."""
        names = [class_name(descriptor.name)]
        outer = descriptor.containing_type
        while outer is not None:
            names.insert(0, class_name(outer.name))
            outer = outer.containing_type
        module = located(descriptor.file.name, self._modules, self._prefix)
        comment = self._modules.imported(descriptor.file.name, ()).comment
        for origin in (module, module.rpartition(".")[0]):
            self._comments[origin] = comment
        return ".".join((self.name(module, names[0]), *names[1:]))

    def statements(self) -> list[str]:
        """Return what has to be imported anew, a line each, sorted."""
        source = Source()
        for plain, origins in self._groups():
            for module in plain:
                source.line(f"import {module}")
            for origin, names in origins:
                comment = self._comments.get(origin, "")
                source.line(f"from {origin} import {', '.join(names)}{comment}")
        return source.text().splitlines() if self._new else []

    def write(self, source: Source) -> None:
        """Add all imports, in the groups and the order that formatters want."""
        source.line("from __future__ import annotations")
        for plain, origins in self._groups():
            source.gap()
            for module in plain:
                source.line(f"import {module}")
            for origin, names in origins:
                source.imports(origin, names, self._comments.get(origin, ""))

    def _bind(self, alias: str, what: str) -> str:
        self._known[alias] = what
        self._new[alias] = what
        return alias

    def _groups(self) -> Iterator[tuple[list[str], list[tuple[str, list[str]]]]]:
        """Yield modules to import and names to import from modules: standard, others', own."""
        groups: dict[int, tuple[list[str], dict[str, list[str]]]] = {}
        for alias, what in self._new.items():
            origin, _, name = what.partition(":")
            plain, origins = groups.setdefault(_group(origin), ([], {}))
            if not name:
                origin, _, name = origin.rpartition(".")
            shown = name if name == alias else f"{name} as {alias}"
            if origin:
                origins.setdefault(origin, []).append(shown)
            else:
                plain.append(shown)
        for _, (plain, origins) in sorted(groups.items()):
            ordered = [(origin, sorted(names, key=_order)) for origin, names in origins.items()]
            yield sorted(plain), sorted(ordered)


def _group(module: str) -> int:
    if module in _STANDARD:
        return 0
    return 1 if module.partition(".")[0] in _OTHERS else 2


def _order(name: str) -> tuple[bool, bool, str, str]:
    """Constants first, then classes, then functions, as formatters sort."""
    plain = name.partition(" ")[0]
    return not plain.isupper(), not plain[:1].isupper(), plain.lower(), plain
