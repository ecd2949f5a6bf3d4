"""Asking a server of gRPC how its services are defined (``grpc.reflection``, v1 and v1alpha).

Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from kratos.definition.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from kratos.errors import KratosError
from kratos.transport import Arity, Method

__all__ = ["REFLECTION", "REFLECTION_V1ALPHA", "Ask", "Undefined", "files_of", "services_of"]


def _method(version: str) -> Method[ServerReflectionRequest, ServerReflectionResponse]:
    return Method(
        operation=f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        name="server_reflection_info",
        arity=Arity.BIDI_STREAM,
        request=ServerReflectionRequest,
        reply=ServerReflectionResponse,
        idempotent=True,
    )


REFLECTION: Final = _method("v1")
REFLECTION_V1ALPHA: Final = _method("v1alpha")

Ask: TypeAlias = Callable[[ServerReflectionRequest], Awaitable[ServerReflectionResponse]]
"""Puts one question to a server; of whichever version it has."""


class Undefined(KratosError, LookupError):
    """A server does not tell how something is defined, or tells it so that nobody can use it."""


async def services_of(ask: Ask, /) -> Sequence[str]:
    """Return the full names of the services of a server, sorted.

    Raises:
        Undefined: It does not tell them.

    Cancellation: that of ``ask``.
    """
    reply = await _answer(ask, ServerReflectionRequest(list_services=""))
    return sorted(service.name for service in reply.list_services_response.service)


async def files_of(
    ask: Ask, symbols: Iterable[str], /, *, most_files: int = 10_000, most_bytes: int = 1 << 26
) -> FileDescriptorSet:
    """Return the files that define symbols, and all that these import, imports first.

    A server may send imports along, or have itself asked for each.

    Args:
        ask: Puts a question to the server.
        symbols: Full names, of services for instance.
        most_files: How many files it may take.
        most_bytes: How many bytes they may have together.

    Raises:
        Undefined: The server does not define all of it, or by too much; says what.

    Cancellation: that of ``ask``.
    """
    files = _Files(most_files, most_bytes)
    for symbol in symbols:
        question = ServerReflectionRequest(file_containing_symbol=symbol)
        files.take(await _answer(ask, question))
    while wanted := files.missing():
        for name in wanted:
            if name in files:
                continue  # it came along with another
            files.take(await _answer(ask, ServerReflectionRequest(file_by_filename=name)))
            if name not in files:
                raise Undefined(f"the server has no definition of {name}")
    return files.in_order()


class _Files(Collection[str]):
    """Files by their names, within bounds."""

    def __init__(self, most_files: int, most_bytes: int) -> None:
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._bytes = 0
        self._files: dict[str, FileDescriptorProto] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Any:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def take(self, reply: ServerReflectionResponse) -> None:
        """Add what an answer brings; what is known already stays."""
        for data in reply.file_descriptor_response.file_descriptor_proto:
            try:
                file = FileDescriptorProto.FromString(data)
            except DecodeError as error:
                raise Undefined(f"the server defines it by what is no file: {error}") from error
            if file.name in self._files:
                continue
            self._files[file.name] = file
            self._bytes += len(data)
            if len(self._files) > self._most_files or self._bytes > self._most_bytes:
                raise Undefined(
                    f"the server's definitions have more than {self._most_files} files or "
                    f"{self._most_bytes} bytes"
                )

    def missing(self) -> Sequence[str]:
        """Return what is imported and not there."""
        imported = {name for file in self._files.values() for name in file.dependency}
        return sorted(imported - self._files.keys())

    def in_order(self) -> FileDescriptorSet:
        """Return them all, each after its imports."""
        graph = {name: file.dependency for name, file in self._files.items()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise Undefined("the server's definitions import each other in a circle") from error
        return FileDescriptorSet(file=[self._files[name] for name in order])


async def _answer(ask: Ask, question: ServerReflectionRequest) -> ServerReflectionResponse:
    reply = await ask(question)
    if reply.WhichOneof("message_response") == "error_response":
        raise Undefined(f"the server cannot define it: {reply.error_response.error_message}")
    return reply
