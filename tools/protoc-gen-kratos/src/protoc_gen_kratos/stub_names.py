"""Names that one stub may use: its own come first, everything imported steps aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor

from protoc_gen_kratos._walk import all_enums, all_fields, all_messages
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.modules import Modules, Provider
from protoc_gen_kratos.naming import class_name, unused
from protoc_gen_kratos.source import Source

__all__ = ["StubNames", "member_names"]

# What stubs use, and where it comes from.
_ORIGINS: Final = {
    "Any": "typing",
    "ClassVar": "typing",
    "EnumDescriptor": "google.protobuf.descriptor",
    "ExtensionFieldDescriptor": "google.protobuf.internal.extension_dict",
    "FileDescriptor": "google.protobuf.descriptor",
    "Final": "typing",
    "Iterable": "collections.abc",
    "Literal": "typing",
    "Mapping": "collections.abc",
    "Message": "google.protobuf.message",
    "MessageMap": "google.protobuf.internal.containers",
    "RepeatedCompositeFieldContainer": "google.protobuf.internal.containers",
    "RepeatedScalarFieldContainer": "google.protobuf.internal.containers",
    "ScalarMap": "google.protobuf.internal.containers",
    "TypeAlias": "typing",
    "datetime": "datetime",
    "overload": "typing",
    "timedelta": "datetime",
}
# Private where it comes from, yet the only type with which ``Message.Extensions`` can be read.
_PRIVATE: Final = "ExtensionFieldDescriptor"


class StubNames:
    """Hands out names in the stub of one file, and writes the imports that this takes.

    Attributes:
        uses_private: Another module's name was asked for that says it is private.

    Args:
        file: The definition; every identifier in it is avoided.
        modules: Finds modules of other definitions.
    """

    def __init__(self, file: SourceFile, modules: Modules) -> None:
        self._file = file
        self._modules = modules
        self._package = modules.of(file.name).package
        self._own = _identifiers(file)
        self._taken = set(self._own)
        self.uses_private = False
        self._used: dict[str, str] = {}
        self._imports: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def builtin(self, name: str) -> str:
        """Return a builtin, qualified if the definition uses its name."""
        if name not in self._own:
            return name
        return f"{self._reserve('builtins')}.{name}"

    def known(self, name: str) -> str:
        """Return a name of the standard library or of protobuf, importing it."""
        return self._reserve(name)

    def type(self, descriptor: Descriptor | EnumDescriptor, members: frozenset[str]) -> str:
        """Return a message or enum as seen from a class.

        Args:
            descriptor: The type.
            members: Names that the class defines, which hide those of the module.
        """
        names = [class_name(descriptor.name)]
        outer = descriptor.containing_type
        while outer is not None:
            names.insert(0, class_name(outer.name))
            outer = outer.containing_type
        file = descriptor.file.name
        if file != self._file.name:
            self.uses_private |= any(name.startswith("_") for name in names)
            names.insert(0, self._module(file))
            if isinstance(descriptor, EnumDescriptor) and _is_protobuf(self._modules, file):
                names.append("ValueType")
        elif names[0] in members:
            names[0] = self._alias(names[0])
        return ".".join(names)

    def write_imports(self, source: Source) -> None:
        """Add every import that was needed so far."""
        plain: dict[str, list[str]] = {}
        for name, alias in self._used.items():
            if name not in ("builtins", _PRIVATE):
                plain.setdefault(_ORIGINS[name], []).append(f"{name} as {alias}")
        if "builtins" in self._used:
            source.line(f"import builtins as {self._used['builtins']}")
        for protobuf in (False, True):
            for origin in sorted(plain):
                if origin.startswith("google.") is protobuf:
                    source.imports(origin, sorted(plain[origin]))
            if protobuf and _PRIVATE in self._used:
                source.line(f"from {_ORIGINS[_PRIVATE]} import (")
                with source.indented():
                    alias = self._used[_PRIVATE]
                    private = alias if alias == f"_{_PRIVATE}" else f"_{_PRIVATE} as {alias}"
                    source.line(f"{private},  # pyright: ignore[reportPrivateUsage]")
                source.line(")")
            source.gap()
        for file in sorted(self._imports):
            imported = self._modules.imported(file, self._package)
            source.line(imported.statement(self._imports[file]))

    def write_aliases(self, source: Source) -> None:
        """Add other names for classes that some class hides by a member."""
        for name, alias in sorted(self._aliases.items()):
            source.line(f"{alias}: {self.known('TypeAlias')} = {name}")

    def private(self, name: str) -> str:
        """Return a new private name for the module, like ``name``."""
        found = unused(name, self._taken)
        self._taken.add(found)
        return found

    def _reserve(self, name: str) -> str:
        if name not in self._used:
            self._used[name] = self.private(f"_{name}")
        return self._used[name]

    def _module(self, file: str) -> str:
        if file not in self._imports:
            self._imports[file] = self.private(f"_{self._modules.of(file).name}")
        return self._imports[file]

    def _alias(self, name: str) -> str:
        if name not in self._aliases:
            self._aliases[name] = self.private(f"_{name}")
        return self._aliases[name]


def _is_protobuf(modules: Modules, file: str) -> bool:
    """Whether stubs of typeshed's form describe a file: its enums are types by another name."""
    return modules.of(file).provider is Provider.PROTOBUF


def _identifiers(file: SourceFile) -> frozenset[str]:
    return frozenset(_all_identifiers(file))


def _all_identifiers(file: SourceFile) -> Iterator[str]:
    for message, _ in all_messages(file.raw):
        yield class_name(message.name)
    for enum in all_enums(file.raw):
        yield class_name(enum.name)
        for value in enum.value:
            yield value.name
    for field, _ in all_fields(file.raw):
        yield field.name
        yield f"{field.name.upper()}_FIELD_NUMBER"


def member_names(descriptor: Descriptor) -> frozenset[str]:
    """Return the names that the class of a message defines, which hide those of the module."""
    names = {"ClearField", "HasField", "WhichOneof"}
    names.update(class_name(nested.name) for nested in descriptor.nested_types)
    for enum in descriptor.enum_types:
        names.add(class_name(enum.name))
        names.update(value.name for value in enum.values)
    names.update(extension.name for extension in descriptor.extensions)
    names.update(field.name for field in descriptor.fields)
    return frozenset(names)
