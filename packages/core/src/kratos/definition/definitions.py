"""The definitions of services that a server or an application has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from kratos.definition._files import Files
from kratos.definition._made import made, renamed
from kratos.transport import Method

__all__ = ["Definitions"]

_log = logging.getLogger("kratos.definition")


class Definitions:
    """The files that define services, and all that these import or are extended by.

    A service that was generated is found where its messages are. Of any other, and of one whose
    messages are a private copy, a definition is made of its methods.

    Args:
        methods: All methods of all services.
        originals: Names of files, by services whose messages are a private copy of those there;
            they are told under the names of the original.
        files: Further files to tell of, whatever imports them. One that differs from a file of
            the same name, or of the same symbols, that the services have is left out.
    """

    def __init__(
        self,
        methods: Iterable[Method[Any, Any]],
        *,
        originals: Mapping[str, str] | None = None,
        files: Iterable[FileDescriptor] = (),
    ) -> None:
        self._files = Files()
        self._homes: dict[str, str] = {}
        by_service: dict[str, list[Method[Any, Any]]] = {}
        for method in methods:
            by_service.setdefault(method.service, []).append(method)
        self._services = tuple(sorted(by_service))
        for service in self._services:
            try:
                self._define(service, by_service[service], (originals or {}).get(service))
            except TypeError as error:  # of two pools, or of one that was changed meanwhile
                _log.warning("%s is served without a definition: %s", service, error)
        for file in files:
            with suppress(TypeError):  # what the services have of it is what they mean
                self._files.take(file)

    @property
    def services(self) -> tuple[str, ...]:
        """Full names of all services, sorted."""
        return self._services

    @property
    def pool(self) -> DescriptorPool:
        """The descriptors of all files, and of no others."""
        return self._files.pool

    def of_service(self, service: str) -> tuple[str, ...]:
        """Return the names of the file that defines a service, last, and of all that it imports.

        Raises:
            KeyError: There is no such service, or none that could be defined.
        """
        return self._files.with_imports(self._homes[service])

    def with_imports(self, name: str) -> tuple[str, ...]:
        """Return the names of a file, last, and of all that it imports, those first.

        Raises:
            KeyError: There is no file of that name.
        """
        return self._files.with_imports(name)

    def data(self, name: str) -> bytes:
        """Return a file as the bytes of a ``google.protobuf.FileDescriptorProto``.

        Raises:
            KeyError: There is no file of that name.
        """
        return self._files.data(name)

    def _define(
        self, service: str, methods: Sequence[Method[Any, Any]], original: str | None
    ) -> None:
        """Add the file of a service.

        Raises:
            TypeError: It contradicts another one.
        """
        file = _home(service, methods)
        if file is not None:
            self._files.take(file)
            self._homes[service] = file.name
            return
        for method in methods:
            for message in (method.request, method.reply):
                for needed in _needed(message.DESCRIPTOR.file, original):
                    self._files.take(needed)
        new = renamed(service, methods, original) if original else made(service, methods)
        self._files.put(new)
        self._homes[service] = new.name


def _needed(file: FileDescriptor, original: str | None) -> Sequence[FileDescriptor]:
    """Return what a made definition imports: a private copy is told under other names alone."""
    return file.dependencies if original else (file,)


def _home(service: str, methods: Sequence[Method[Any, Any]]) -> FileDescriptor | None:
    """Return the file that defines a service, from the pool that its messages are in."""
    try:
        found = methods[0].request.DESCRIPTOR.file.pool.FindServiceByName(service)
    except KeyError:
        return None
    file: FileDescriptor = found.file
    return file
