"""What spans tell of calls, under the names of Go Kratos (semantic conventions 1.4.0)."""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.message import Message

from kratos.metadata import server_metadata
from kratos.tracing._interface import AttributeValue
from kratos.tracing._propagation import SERVICE_NAME
from kratos.transport.call import Call, Side
from kratos.transport.method import Method

__all__ = [
    "attributes",
    "end_attributes",
    "method_attributes",
    "peer_attributes",
    "target_of",
]

_HTTP: Final = "http"
_LOOPBACK: Final = "127.0.0.1"
_SERVER: Final = Side.SERVER
_NO_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_QUERY: Final = re.compile("[?#]")


def method_attributes(method: Method[Any, Any], transport: str) -> dict[str, AttributeValue]:
    """Return what is known of all calls of a method over one kind of transport."""
    told: dict[str, AttributeValue] = {"rpc.system": transport, **_named(method.operation)}
    if transport == _HTTP and method.http:
        told["http.method"] = method.http[0].verb
        told["http.route"] = method.http[0].path
    return told


def attributes(call: Call, request: Any) -> dict[str, AttributeValue]:
    """Return what else is known of a call when it begins.

    Args:
        call: The call.
        request: Its request; the size of a message is told, and nothing of a stream.
    """
    told: dict[str, AttributeValue] = {}
    if call.side is _SERVER:
        told.update(peer_attributes(call.peer))
        if call.path:
            told["http.target"] = call.path.decode(errors="replace")
        if call.rule is not None:
            told["http.method"], told["http.route"] = call.rule.verb, call.rule.path
        metadata = server_metadata()
        if metadata is not None:
            told["peer.service"] = metadata.get(SERVICE_NAME)
    if isinstance(request, Message):
        told["recv_msg.size" if call.side is _SERVER else "send_msg.size"] = request.ByteSize()
    return told


def end_attributes(call: Call, reply: Any, code: int | None) -> dict[str, AttributeValue]:
    """Return what is known of a call only when it has ended.

    Args:
        call: The call.
        reply: Its reply; ``None`` after an error, and of streamed replies.
        code: Code of the error that it ended with; ``None`` if it ended well.
    """
    told: dict[str, AttributeValue] = {}
    if call.side is not _SERVER:
        told.update(peer_attributes(call.peer or target_of(call.endpoint).rpartition("://")[2]))
        if call.path:
            told["http.target"] = call.path.decode(errors="replace")
    if isinstance(reply, Message):
        told["send_msg.size" if call.side is _SERVER else "recv_msg.size"] = reply.ByteSize()
    if code is not None:
        told["rpc.status_code"] = code
    return told


def peer_attributes(address: str) -> dict[str, AttributeValue]:
    """Return ``net.peer.ip`` and ``net.peer.port`` of ``host:port``; nothing of anything else.

    An empty host is 127.0.0.1. The port is a text, as in Go.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        return {}
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return {}  # an address of IPv6 alone, or a URL
    return {"net.peer.ip": host or _LOOPBACK, "net.peer.port": port}


def target_of(endpoint: str) -> str:
    """Return what an endpoint points at: ``name`` of ``discovery:///name``.

    That is its path, if it has one, else the text itself; empty for what is no URL.
    """
    if _NO_ESCAPE.search(endpoint):
        return ""
    before, slashes, rest = endpoint.partition("//")
    host, path = "", endpoint.removeprefix("/") if endpoint.startswith("/") else ""
    if slashes and (not before or before.endswith(":")):
        host, _, path = rest.partition("/")
    if "%" in host:
        return ""
    return _QUERY.split(path, maxsplit=1)[0] or endpoint


def _named(operation: str) -> dict[str, AttributeValue]:
    service, slash, method = operation.lstrip("/").partition("/")
    if not slash:
        return {"rpc.operation": operation}
    named = {"rpc.service": service, "rpc.method": method}
    return {key: value for key, value in named.items() if value}
