"""Where definitions come from: the server itself, or files."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

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
        from kratos.definition.reflection import REFLECTION, REFLECTION_V1ALPHA

        self._client = client
        self._options = options
        self._versions: list[Method[Any, Any]] = [REFLECTION, REFLECTION_V1ALPHA]

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted.

        Raises:
            CommandFailure: The server has no reflection.
            Error: It did not answer.
        """
        from kratos.definition.reflection import services_of

        with _told():
            return await services_of(self._ask)

    async def service(self, name: str) -> Described:
        """Return a service; see ``Source``."""
        from kratos.definition.reflection import files_of

        with _told():
            files = await files_of(self._ask, [name], most_files=_MOST_FILES)
        return Definitions(files.SerializeToString()).service(name)

    async def _ask(self, question: Any) -> Any:
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

    async def _answer(self, method: Method[Any, Any], question: Any) -> Any:
        async with self._client.bidi_stream(method, self._options) as stream:
            await stream.send(question)
            await stream.end()
            async for reply in stream:
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


@contextmanager
def _told() -> Generator[None]:
    """Tell a user what a server does not define, and what to do."""
    from kratos.definition.reflection import Undefined

    try:
        yield
    except Undefined as error:
        raise CommandFailure(f"{error}; pass --proto") from error
