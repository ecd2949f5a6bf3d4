"""Writes an OpenAPI document of services, without importing what is generated of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos.transport import Method, Service
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.schema import Schema
from protoc_gen_kratos.services import Rpc, ServiceModel

__all__ = ["write_openapi"]

_Messages = Callable[[Descriptor], type[Message]]


def write_openapi(
    services: Iterable[ServiceModel], schema: Schema, descriptor_set: bytes, options: Options
) -> str:
    """Return the document of the services that HTTP serves, as JSON or YAML.

    It says what a server answers whose JSON and whose encoders have no options of their own.

    Args:
        services: Services, in the order that the document has them in.
        schema: Links their messages.
        descriptor_set: What it was made of, for the comments of messages and fields.
        options: Say how the document is called, and where it goes.
    """
    # Imported here, because few runs ask for it and kratos-http need not be installed.
    from kratos_http.openapi import OpenApi
    from kratos_http.openapi.document import describe
    from kratos_http.openapi.publish import as_json, as_yaml

    def message(descriptor: Descriptor) -> type[Message]:
        found = schema.message_class(descriptor.full_name)
        assert found is not None, "messages of a linked service are in its pool"
        return found

    served = [service for service in services if any(rpc.rules for rpc in service.methods)]
    document = describe(
        [_described(service, message) for service in served],
        OpenApi(
            title=options.openapi_title,
            version=options.openapi_version,
            descriptors=descriptor_set,
        ),
    )
    text = as_json(document) if options.openapi.endswith(".json") else as_yaml(document)
    return text.decode()


def _described(service: ServiceModel, message: _Messages) -> type[Service]:
    """Return a class with the records and the comments of the one that is generated."""
    element = service.element
    members: dict[str, Any] = {
        "__doc__": element.comment or f"Service ``{element.descriptor.full_name}``.",
        "METHODS": tuple(_record(rpc, message) for rpc in service.methods),
    }
    for rpc in service.methods:
        members[rpc.name] = _Documented(rpc.element.comment or f"Serve ``{rpc.operation}``.")
    return type(service.name, (Service,), members)


def _record(rpc: Rpc, message: _Messages) -> Method[Any, Any]:
    return Method(
        operation=rpc.operation,
        name=rpc.name,
        arity=rpc.arity,
        request=message(rpc.request),
        reply=message(rpc.reply),
        idempotent=rpc.idempotent,
        http=rpc.rules,
        deprecated=rpc.element.raw.options.deprecated,
        http_options=rpc.http_options,
    )


class _Documented:
    """Stands for a method that nobody calls.

    Args:
        doc: What the definition says of it.
    """

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc
