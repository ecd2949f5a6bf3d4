"""Names in a ``x_kratos.py``: what the module defines, what it uses of Kratos, its messages."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from google.protobuf.descriptor import Descriptor

from protoc_gen_kratos.modules import Modules
from protoc_gen_kratos.naming import class_name, unused
from protoc_gen_kratos.source import Source

__all__ = ["TypedNames"]

_ORIGINS: Final = {
    "Any": "typing",
    "Arity": "kratos.transport",
    "AsyncIterator": "collections.abc",
    "CallOptions": "kratos.transport",
    "Caller": "kratos.transport",
    "ClassVar": "typing",
    "Duplexed": "kratos.transport",
    "Error": "kratos.errors",
    "Final": "typing",
    "HttpEnvelope": "kratos.transport",
    "HttpMultipart": "kratos.transport",
    "HttpOptions": "kratos.transport",
    "HttpRule": "kratos.transport",
    "Incoming": "kratos.transport",
    "Mapping": "collections.abc",
    "Messages": "kratos.transport",
    "Method": "kratos.transport",
    "Opening": "kratos.transport",
    "Script": "kratos.testing.script",
    "Service": "kratos.transport",
    "abstractmethod": "abc",
    "from_error": "kratos.errors",
}
_STANDARD: Final = ("abc", "collections.abc", "typing")
_KRATOS: Final = ("kratos.errors", "kratos.testing.script", "kratos.transport")


class TypedNames:
    """Hands out names, and writes the imports that this takes.

    What the module defines keeps its name; then come names of Kratos; a message that is called
    like either is reached through its module.

    Attributes:
        uses_private: A message that was asked for has a name that says it is private.

    Args:
        own: Names that the module or a class in it defines.
        package: Package of the module.
        modules: Finds modules of messages.
    """

    def __init__(self, own: Collection[str], package: tuple[str, ...], modules: Modules) -> None:
        self._package = package
        self._modules = modules
        self._taken = {*own, *_ORIGINS, "bool", "str", "BaseException", "None"}
        self._own = frozenset(own)
        self.uses_private = False
        self._known: dict[str, str] = {}
        self._direct: dict[str, str] = {}
        self._qualified: dict[str, str] = {}
        self._beside: dict[str, list[str]] = {}
        self._loaded: set[str] = set()

    def known(self, name: str) -> str:
        """Return a name of the standard library or of Kratos, importing it."""
        if name not in self._known:
            alias = unused(name, self._own, prefix="_", suffix="")
            self._taken.add(alias)
            self._known[name] = alias
        return self._known[name]

    def message(self, descriptor: Descriptor) -> str:
        """Return a message, importing it or its module."""
        names = [class_name(descriptor.name)]
        outer = descriptor.containing_type
        while outer is not None:
            names.insert(0, class_name(outer.name))
            outer = outer.containing_type
        root, file = names[0], descriptor.file.name
        self.uses_private |= any(name.startswith("_") for name in names)
        if root in self._taken or self._direct.setdefault(root, file) != file:
            names.insert(0, self._module(file))
        return ".".join(names)

    def typed(self, module: str, name: str) -> str:
        """Return what a generated module in the same package defines, importing it."""
        self._beside.setdefault(module, []).append(name)
        return name

    def load(self, file: str) -> None:
        """Import the module of a definition, even if nothing that it defines is asked for."""
        self._loaded.add(file)

    def write_imports(self, source: Source) -> None:
        """Add every import that was needed so far."""
        source.line("from __future__ import annotations")
        for group in (_STANDARD, _KRATOS):
            source.gap()
            for origin in group:
                names = [
                    name if name == alias else f"{name} as {alias}"
                    for name, alias in self._known.items()
                    if _ORIGINS[name] == origin
                ]
                if names:
                    source.imports(origin, sorted(names, key=_order))
        for relative in (False, True):
            source.gap()
            self._write_message_imports(source, relative=relative)
        for module, own in self._beside.items():
            source.imports(f".{module}", sorted(set(own), key=_exported_order))

    def _write_message_imports(self, source: Source, *, relative: bool) -> None:
        for file in sorted({*self._direct_files(), *self._qualified, *self._loaded}):
            imported = self._modules.imported(file, self._package)
            if imported.is_relative is not relative:
                continue
            alias = self._qualified.get(file)
            if alias is not None:
                source.line(imported.statement(alias))
            elif file not in self._direct_files():
                # Under its own name, which tools take for an export and not for a mistake.
                own = unused(imported.name, {*self._own, *self._direct})
                source.line(imported.statement(own))
            names = [name for name, home in self._direct.items() if home == file]
            if names:
                source.imports(imported.module, sorted(names, key=_order), imported.comment)

    def _direct_files(self) -> set[str]:
        return set(self._direct.values())

    def _module(self, file: str) -> str:
        if file not in self._qualified:
            taken = {*self._taken, *self._direct, *self._qualified.values()}
            self._qualified[file] = unused(f"_{self._modules.of(file).name}", taken)
        return self._qualified[file]


def _order(name: str) -> tuple[bool, str]:
    """Classes first, then functions, as formatters sort."""
    return not name[:1].isupper(), name.lower()


def _exported_order(name: str) -> tuple[bool, str]:
    """Constants first, then classes, as formatters sort."""
    return not name.isupper(), name
