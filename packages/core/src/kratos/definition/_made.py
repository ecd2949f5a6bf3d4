"""Definitions of services that have none in a pool, made of their methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from kratos.transport import Method

__all__ = ["made", "renamed"]


def made(service: str, methods: Sequence[Method[Any, Any]]) -> FileDescriptorProto:
    """Return the definition of a service whose messages have definitions of their own."""
    files = {
        message.DESCRIPTOR.file.name
        for method in methods
        for message in (method.request, method.reply)
    }
    file = FileDescriptorProto(
        name=f"kratos/made/{service}.proto",
        package=service.rpartition(".")[0],
        dependency=sorted(files),
        syntax="proto3",
    )
    _add_service(file, service, methods)
    return file


def renamed(
    service: str, methods: Sequence[Method[Any, Any]], original: str
) -> FileDescriptorProto:
    """Return the definition of a service whose messages are a private copy, under its own names.

    Args:
        service: Full name; its package is that of the original messages.
        methods: All of it; their messages are of one file.
        original: Name of the file that was copied.
    """
    copy = methods[0].request.DESCRIPTOR.file
    file = FileDescriptorProto.FromString(copy.serialized_pb)
    file.name, file.package = original, service.rpartition(".")[0]
    for message in file.message_type:
        _rename(message, f".{copy.package}.", f".{file.package}.")
    _add_service(file, service, methods)
    for method in file.service[0].method:
        method.input_type = _moved(method.input_type, f".{copy.package}.", f".{file.package}.")
        method.output_type = _moved(method.output_type, f".{copy.package}.", f".{file.package}.")
    return file


def _add_service(
    file: FileDescriptorProto, service: str, methods: Sequence[Method[Any, Any]]
) -> None:
    added = file.service.add(name=service.rpartition(".")[2])
    for method in methods:
        added.method.add(
            name=method.operation.rpartition("/")[2],
            input_type=f".{method.request.DESCRIPTOR.full_name}",
            output_type=f".{method.reply.DESCRIPTOR.full_name}",
            client_streaming=method.arity.client_streams,
            server_streaming=method.arity.server_streams,
        )


def _rename(message: DescriptorProto, old: str, new: str) -> None:
    for field in message.field:
        if field.type_name:
            field.type_name = _moved(field.type_name, old, new)
    for nested in message.nested_type:
        _rename(nested, old, new)


def _moved(name: str, old: str, new: str) -> str:
    return new + name.removeprefix(old) if name.startswith(old) else name
