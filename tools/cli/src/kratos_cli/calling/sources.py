"""Where definitions come from: the server itself, or files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from kratos import Client, Error
from kratos.transport import CallOptions, Method
from kratos_cli.calling.definitions import Definitions, Described
from kratos_cli.failure import CommandFailure

__all__ = ["FileSource", "MetadataSource", "ReflectionSource", "Source"]

_UNIMPLEMENTED = (404, 405, 501)
_MOST_FILES = 10_000


class Source(Protocol):
    """Tells which services there are, and how they are defined."""

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted."""
        ...

    async def service(self, name: str) -> Described:
        """Return one of them.

        Raises:
            CommandFailure: It has no definition, or one that does not link.
            Error: The server did not answer.
        """
        ...


class FileSource:
    """Definitions that were given.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet``, imports included.

    Raises:
        CommandFailure: It does not link.
    """

    def __init__(self, descriptor_set: bytes) -> None:
        self._services = Definitions(descriptor_set).services

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted."""
        return sorted(self._services)

    async def service(self, name: str) -> Described:
        """Return one of them."""
        return self._services[name]


class ReflectionSource:
    """Asks a server by ``grpc.reflection``, v1 or v1alpha, whichever it has.

    Args:
        client: Calls the server over gRPC.
        options: Of each question.
    """

    def __init__(self, client: Client, options: CallOptions) -> None:
        from kratos_grpc.reflection import REFLECTION, REFLECTION_V1ALPHA

        self._client = client
        self._options = options
        self._versions: list[Method[Any, Any]] = [REFLECTION, REFLECTION_V1ALPHA]

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted.

        Raises:
            CommandFailure: The server has no reflection.
            Error: It did not answer.
        """
        reply = await self._ask(list_services="")
        return sorted(service.name for service in reply.list_services_response.service)

    async def service(self, name: str) -> Described:
        """Return a service; see ``Source``."""
        reply = await self._ask(file_containing_symbol=name)
        files: dict[str, FileDescriptorProto] = {}
        _collect(reply, files)
        while wanted := _missing(files):
            for each in wanted:
                if len(files) >= _MOST_FILES:
                    raise CommandFailure(
                        f"the server defines {name} by more than {_MOST_FILES} files; pass --proto"
                    )
                _collect(await self._ask(file_by_filename=each), files)
                if each not in files:
                    raise CommandFailure(f"the server has no definition of {each}; pass --proto")
        definitions = Definitions(FileDescriptorSet(file=files.values()).SerializeToString())
        return definitions.service(name)

    async def _ask(self, **question: str) -> Any:
        """Return the answer to one question, from the newest version that the server has."""
        while True:
            method = self._versions[0]
            try:
                return await self._answer(method, question)
            except Error as error:
                if error.code not in _UNIMPLEMENTED:
                    raise
                if len(self._versions) == 1:
                    raise CommandFailure(
                        "the server has no reflection; pass its definitions with --proto, or "
                        "--descriptors, and write http:// before an address of HTTP"
                    ) from error
            del self._versions[0]

    async def _answer(self, method: Method[Any, Any], question: dict[str, str]) -> Any:
        async with self._client.bidi_stream(method, self._options) as stream:
            await stream.send(method.request(**question))
            await stream.end()
            async for reply in stream:
                if reply.WhichOneof("message_response") == "error_response":
                    told = reply.error_response.error_message
                    raise CommandFailure(f"the server cannot define it: {told}; pass --proto")
                return reply
        raise CommandFailure("the server's reflection gave no answer; pass --proto")


class MetadataSource:
    """Asks a server by ``kratos.api.Metadata``, which Kratos in either language can serve.

    Args:
        client: Calls the server, over any transport.
        options: Of each question.
    """

    def __init__(self, client: Client, options: CallOptions) -> None:
        self._client = client
        self._options = options

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted.

        Raises:
            CommandFailure: The server has no such service.
            Error: It did not answer.
        """
        from kratos.definition import LIST_SERVICES

        return sorted((await self._ask(LIST_SERVICES, LIST_SERVICES.request())).services)

    async def service(self, name: str) -> Described:
        """Return a service; see ``Source``."""
        from kratos.definition import GET_SERVICE_DESC

        reply = await self._ask(GET_SERVICE_DESC, GET_SERVICE_DESC.request(name=name))
        return Definitions(reply.file_desc_set.SerializeToString()).service(name)

    async def _ask(self, method: Method[Any, Any], request: Any) -> Any:
        try:
            return await self._client.unary(method, request, self._options)
        except Error as error:
            if error.code not in _UNIMPLEMENTED:
                raise
            raise CommandFailure(
                "the server does not tell how its services are defined, because it has no "
                "kratos.api.Metadata (MetadataService) at this address; pass --proto or "
                "--descriptors"
            ) from error


def _collect(reply: Any, files: dict[str, FileDescriptorProto]) -> None:
    for data in reply.file_descriptor_response.file_descriptor_proto:
        try:
            file = FileDescriptorProto.FromString(data)
        except DecodeError as error:
            raise CommandFailure(f"the server defines it by what is no file: {error}") from error
        files.setdefault(file.name, file)


def _missing(files: dict[str, FileDescriptorProto]) -> Sequence[str]:
    imported: Iterable[str] = (name for file in files.values() for name in file.dependency)
    return sorted(set(imported) - files.keys())
