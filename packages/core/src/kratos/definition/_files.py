"""Files of definitions, each with all that it imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

__all__ = ["Files"]


class Files:
    """A pool of its own, so that peers see what is served and nothing else of this process.

    Attributes:
        pool: The descriptors of all files.
    """

    def __init__(self) -> None:
        self.pool = DescriptorPool()
        self._data: dict[str, bytes] = {}
        self._imports: dict[str, tuple[str, ...]] = {}

    def take(self, file: FileDescriptor) -> None:
        """Add a file, what it imports, and what extends its messages in the pool it comes from.

        Raises:
            TypeError: Another file of its name, or of one of its symbols, is there already.
        """
        data = file.serialized_pb
        if self._data.get(file.name) == data:
            return
        for imported in file.dependencies:
            self.take(imported)
        if self._data.get(file.name) != data:  # else an import extends it, and took it
            self._add(data, file.name, [each.name for each in file.dependencies])
        for extension in _extensions(file):
            self.take(extension)

    def put(self, file: FileDescriptorProto) -> None:
        """Add a file whose imports are there.

        Raises:
            TypeError: As ``take``.
        """
        self._add(file.SerializeToString(), file.name, file.dependency)

    def data(self, name: str) -> bytes:
        """Return a file as ``google.protobuf.FileDescriptorProto``.

        Raises:
            KeyError: There is none of that name.
        """
        return self._data[name]

    def with_imports(self, name: str) -> tuple[str, ...]:
        """Return the names of a file, last, and of all that it imports, those first.

        Raises:
            KeyError: There is none of that name.
        """
        found: dict[str, None] = {}  # a dictionary, for the order
        self._collect(name, found)
        return tuple(found)

    def _collect(self, name: str, found: dict[str, None]) -> None:
        if name not in found:  # once each, as the ways to a file may be many more than the files
            for imported in self._imports[name]:
                self._collect(imported, found)
            found[name] = None

    def _add(self, data: bytes, name: str, imports: Iterable[str]) -> None:
        if name in self._data:  # the pool in pure Python would take it
            raise TypeError(f"there are two different files {name}")
        self.pool.AddSerializedFile(data)
        self._data[name] = data
        self._imports[name] = tuple(imports)


def _extensions(file: FileDescriptor) -> Iterator[FileDescriptor]:
    """Return the files of extensions of messages of a file."""
    waiting: list[Descriptor] = list(file.message_types_by_name.values())
    while waiting:
        message = waiting.pop()
        waiting += message.nested_types
        if message.is_extendable:
            extensions: list[Any] = file.pool.FindAllExtensions(message)
            for extension in extensions:
                yield extension.file
