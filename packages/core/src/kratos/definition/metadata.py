"""The service ``kratos.api.Metadata`` (Go Kratos v2: api/metadata/server.go)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from kratos.definition.definitions import Definitions
from kratos.definition.metadata_pb2 import (
    GetServiceDescReply,
    GetServiceDescRequest,
    ListServicesReply,
    ListServicesRequest,
)
from kratos.errors import ConfigError, Error
from kratos.transport import Arity, HttpRule, Method, Service

__all__ = ["GET_SERVICE_DESC", "LIST_SERVICES", "MetadataService"]

LIST_SERVICES: Final = Method(
    operation="/kratos.api.Metadata/ListServices",
    name="list_services",
    arity=Arity.UNARY,
    request=ListServicesRequest,
    reply=ListServicesReply,
    idempotent=True,
    http=(HttpRule(verb="GET", path="/services"),),
)
GET_SERVICE_DESC: Final = Method(
    operation="/kratos.api.Metadata/GetServiceDesc",
    name="get_service_desc",
    arity=Arity.UNARY,
    request=GetServiceDescRequest,
    reply=GetServiceDescReply,
    idempotent=True,
    http=(HttpRule(verb="GET", path="/services/{name}"),),
)

_ORIGINAL: Final = {"kratos.api.Metadata": "metadata/metadata.proto"}


class MetadataService(Service):
    """Tells which services there are, and how they are defined.

    It is a service like any other: it is served by every transport, within the middleware, and
    not at all unless it is among the services of an application.

    Args:
        services: What it tells of, besides itself.

    Raises:
        ConfigError: They are no list of services, but one service for instance.
    """

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (LIST_SERVICES, GET_SERVICE_DESC)

    def __init__(self, services: Iterable[Service]) -> None:
        if not isinstance(services, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"services must be a list, not {services!r}")
        self._methods = [method for each in (*services, self) for method in each.METHODS]

    async def list_services(self, _request: ListServicesRequest, /) -> ListServicesReply:
        """Return the names of services and of operations, each sorted."""
        return ListServicesReply(
            services=self._definitions.services,
            methods=sorted(method.operation for method in self._methods),
        )

    async def get_service_desc(self, request: GetServiceDescRequest, /) -> GetServiceDescReply:
        """Return the file that defines a service, last, and all that it imports.

        Raises:
            Error: 404: the name is unknown.
        """
        definitions = self._definitions
        try:
            names = definitions.of_service(request.name)
        except KeyError:
            raise Error(404, "", f"service {request.name} not found") from None
        files = [FileDescriptorProto.FromString(definitions.data(name)) for name in names]
        return GetServiceDescReply(file_desc_set=FileDescriptorSet(file=files))

    @cached_property
    def _definitions(self) -> Definitions:
        # When it is first asked for: most instances never are.
        return Definitions(self._methods, originals=_ORIGINAL)
