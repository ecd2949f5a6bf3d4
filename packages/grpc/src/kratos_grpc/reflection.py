"""Reflection: peers such as grpcurl ask what is served, and how it is defined.

``grpc.reflection.v1.ServerReflection`` and its older name ``v1alpha``, as grpc-go's
``reflection`` answers them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import cached_property
from typing import Any, ClassVar, Final

from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from kratos.definition import Definitions
from kratos.definition.reflection import REFLECTION, REFLECTION_V1ALPHA
from kratos.definition.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from kratos.errors import Error
from kratos.transport import Method, Service

__all__ = ["REFLECTION", "REFLECTION_V1ALPHA", "ReflectionService", "reflection_services"]


# Where the messages come from that this package has a private copy of.
_ORIGINALS: Final = {
    "grpc.health.v1.Health": "grpc/health/v1/health.proto",
    "grpc.reflection.v1.ServerReflection": "grpc/reflection/v1/reflection.proto",
    "grpc.reflection.v1alpha.ServerReflection": "grpc/reflection/v1alpha/reflection.proto",
    "kratos.api.Metadata": "metadata/metadata.proto",
}
_NOT_FOUND: Final = 5

_Answer = Callable[["Reflection", ServerReflectionRequest, set[str]], ServerReflectionResponse]


def reflection_services(methods: Iterable[Method[Any, Any]]) -> tuple[Service, ...]:
    """Return the services that tell of methods, and of themselves; ``GrpcServer`` serves them."""
    reflection = Reflection((*methods, REFLECTION, REFLECTION_V1ALPHA))
    return (ReflectionService(reflection), ReflectionServiceV1Alpha(reflection))


class Reflection:
    """What is told, in whatever version it is asked for.

    Args:
        methods: All that a server serves.
    """

    def __init__(self, methods: Iterable[Method[Any, Any]]) -> None:
        self._methods = tuple(methods)

    def answer(self, request: ServerReflectionRequest, sent: set[str]) -> ServerReflectionResponse:
        """Answer one request.

        Args:
            request: What is asked for.
            sent: Names of the files that this peer has; grows.

        Raises:
            Error: 400: it asks for nothing that is known.
        """
        kind = request.WhichOneof("message_request")
        if kind is None:
            raise Error(400, "REFLECTION", "the request asks for nothing that is known here")
        try:
            response = _ANSWERS[kind](self, request, sent)
        except KeyError:
            wanted: object = getattr(request, kind)
            response = ServerReflectionResponse(
                error_response=ErrorResponse(
                    error_code=_NOT_FOUND, error_message=f"{kind}: {_text(wanted)} not found"
                )
            )
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        return response

    @cached_property
    def _definitions(self) -> Definitions:
        # When it is first asked for: that takes milliseconds, and most servers never are.
        # Of the details of errors, too, which no service imports, and every error has one of.
        details = error_details_pb2.DESCRIPTOR
        return Definitions(self._methods, originals=_ORIGINALS, files=(details,))

    def by_name(self, request: ServerReflectionRequest, sent: set[str]) -> ServerReflectionResponse:
        return self._files(request.file_by_filename, sent)

    def by_symbol(
        self, request: ServerReflectionRequest, sent: set[str]
    ) -> ServerReflectionResponse:
        symbol = request.file_containing_symbol
        pool = self._definitions.pool
        try:
            return self._files(pool.FindFileContainingSymbol(symbol).name, sent)
        except KeyError:
            # Methods are no symbols to the pool.
            service, _, method = symbol.rpartition(".")
            found = pool.FindServiceByName(service)
            if method not in found.methods_by_name:
                raise
            return self._files(found.file.name, sent)

    def by_extension(
        self, request: ServerReflectionRequest, sent: set[str]
    ) -> ServerReflectionResponse:
        wanted = request.file_containing_extension
        pool = self._definitions.pool
        extended = pool.FindMessageTypeByName(wanted.containing_type)
        found: Any = pool.FindExtensionByNumber(extended, wanted.extension_number)
        return self._files(found.file.name, sent)

    def extension_numbers(
        self, request: ServerReflectionRequest, _sent: set[str]
    ) -> ServerReflectionResponse:
        name = request.all_extension_numbers_of_type
        pool = self._definitions.pool
        extensions = pool.FindAllExtensions(pool.FindMessageTypeByName(name))
        return ServerReflectionResponse(
            all_extension_numbers_response=ExtensionNumberResponse(
                base_type_name=name,
                extension_number=sorted(extension.number for extension in extensions),
            )
        )

    def services(
        self, _request: ServerReflectionRequest, _sent: set[str]
    ) -> ServerReflectionResponse:
        services = [ServiceResponse(name=name) for name in self._definitions.services]
        return ServerReflectionResponse(
            list_services_response=ListServiceResponse(service=services)
        )

    def _files(self, name: str, sent: set[str]) -> ServerReflectionResponse:
        """Return a file, and what it imports as far as the peer does not have it."""
        definitions = self._definitions
        needed = [each for each in definitions.with_imports(name) if each not in sent]
        others = [each for each in needed if each != name]
        sent.update(needed)
        files = [definitions.data(each) for each in (name, *others)]
        return ServerReflectionResponse(
            file_descriptor_response=FileDescriptorResponse(file_descriptor_proto=files)
        )


_ANSWERS: Final[dict[str, _Answer]] = {
    "file_by_filename": Reflection.by_name,
    "file_containing_symbol": Reflection.by_symbol,
    "file_containing_extension": Reflection.by_extension,
    "all_extension_numbers_of_type": Reflection.extension_numbers,
    "list_services": Reflection.services,
}


class ReflectionService(Service):
    """Reflection as peers of today ask for it.

    Args:
        reflection: What is told.
    """

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (REFLECTION,)

    def __init__(self, reflection: Reflection) -> None:
        self._reflection = reflection

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], /
    ) -> AsyncIterator[ServerReflectionResponse]:
        """Answer each request; a file that was sent once is not sent again as an import.

        Raises:
            Error: 400: a request asks for nothing that is known.
        """
        sent: set[str] = set()
        async for request in requests:
            yield self._reflection.answer(request, sent)


class ReflectionServiceV1Alpha(ReflectionService):
    """Reflection under its older name."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (REFLECTION_V1ALPHA,)


def _text(wanted: object) -> str:
    return str(wanted).strip().replace("\n", ", ")
