"""All definitions of one run, linked together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from protoc_gen_kratos._raw import FileDescriptorProto, FileDescriptorSet
from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.problems import Problems

__all__ = ["NEWEST_EDITION", "Schema"]

# What protobuf 6.31 can link, the oldest runtime that the output imports on.
NEWEST_EDITION: Final = 1000  # edition 2023

_INTEGER: Final = "int32"
_OPTIONS: Final[Mapping[str, str]] = {
    "errors.code": _INTEGER,
    "errors.default_code": _INTEGER,
    "google.api.http": "google.api.HttpRule",
    "kratos.http": "kratos.HttpMethod",
    "kratos.http_defaults": "kratos.HttpDefaults",
}  # that are read, and what they are


class Schema:
    """All definitions of one run, linked in a pool of their own.

    Nothing is registered in the process: options are read through this pool, whatever
    their extensions are called and whoever else has loaded them.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet``, imports included.
        problems: Takes what does not link.

    Raises:
        DefinitionError: The set does not link.
    """

    def __init__(self, descriptor_set: bytes, problems: Problems) -> None:
        raws = {raw.name: raw for raw in FileDescriptorSet.FromString(descriptor_set).file}
        _refuse_new_editions(raws, problems)
        problems.raise_errors()
        self._pool = DescriptorPool()
        linked: dict[str, FileDescriptor] = {}
        for name in _imports_first(raws, problems):
            try:
                # Kept from here: asked for a name that is not ASCII, the pool does not find it.
                linked[name] = self._pool.AddSerializedFile(raws[name].SerializeToString())
            except TypeError as error:
                problems.error(name, 0, f"protobuf cannot link it: {error}")
                break
        problems.raise_errors()
        self.files: Mapping[str, SourceFile] = {
            name: SourceFile(raw, linked[name]) for name, raw in raws.items()
        }
        self._refuse_other_options(problems)
        problems.raise_errors()

    def option(self, options: Message, extension: str) -> Any:
        """Return the value of a custom option, None where it is not set.

        Args:
            options: Raw options of an element.
            extension: Full name, for example ``google.api.http``.
        """
        field = self._find_extension(extension)
        if field is None:
            return None
        known = GetMessageClass(field.containing_type).FromString(options.SerializeToString())
        return known.Extensions[field] if known.HasExtension(field) else None

    def message_class(self, full_name: str) -> type[Message] | None:
        """Return the class that knows this run's extensions, None where no file defines it."""
        try:
            return GetMessageClass(self._pool.FindMessageTypeByName(full_name))
        except KeyError:
            return None

    def file_of_type(self, full_name: str) -> str:
        """Return the name of the file that defines a message or enum."""
        try:
            return self._pool.FindMessageTypeByName(full_name).file.name
        except KeyError:
            return self._pool.FindEnumTypeByName(full_name).file.name

    def public_closure(self, name: str) -> set[str]:
        """Return a file and all that importing it imports publicly."""
        found: set[str] = set()
        stack = [name]
        while stack:
            current = stack.pop()
            if current not in found:
                found.add(current)
                raw = self.files[current].raw
                stack.extend(raw.dependency[index] for index in raw.public_dependency)
        return found

    def _refuse_other_options(self, problems: Problems) -> None:
        """Refuse options that are called like those that are read, and are something else."""
        for extension, kind in _OPTIONS.items():
            field = self._find_extension(extension)
            if field is None:
                continue
            message = field.message_type
            found = _INTEGER if field.type == FieldDescriptor.TYPE_INT32 else ""
            found = message.full_name if message is not None else found
            if found != kind or field.is_repeated:
                problems.error(
                    field.file.name,
                    0,
                    f"it defines {extension} as something else than {kind}; take the original",
                )

    def _find_extension(self, full_name: str) -> Any:
        try:
            return self._pool.FindExtensionByName(full_name)
        except KeyError:
            return None


def _refuse_new_editions(raws: Mapping[str, FileDescriptorProto], problems: Problems) -> None:
    for raw in raws.values():
        if raw.edition > NEWEST_EDITION:
            problems.error(
                raw.name,
                0,
                "its edition is newer than 2023, the newest that every supported protobuf "
                'runtime can load; write edition = "2023"',
            )


def _imports_first(raws: Mapping[str, FileDescriptorProto], problems: Problems) -> Iterator[str]:
    """Yield names such that every file comes after what it imports."""
    seen: set[str] = set()
    stack = [(name, False) for name in reversed(list(raws))]
    while stack:
        name, imports_done = stack.pop()
        if imports_done:
            yield name
            continue
        if name in seen:
            continue
        seen.add(name)
        stack.append((name, True))
        for wanted in raws[name].dependency:
            if wanted not in raws:
                problems.error(name, 0, f"its import {wanted} is not in the descriptor set")
                problems.raise_errors()
            stack.append((wanted, False))
