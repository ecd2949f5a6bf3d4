"""What is said to Nacos and heard from it: JSON in an envelope, and what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import grpc

from kratos.errors import RegistryUnavailable
from kratos_nacos import nacos_pb2 as pb

__all__ = [
    "DENIED",
    "MISSING",
    "UNKNOWN_CONNECTION",
    "UNREACHABLE",
    "Body",
    "NacosUnavailable",
    "child",
    "code_of",
    "grouped",
    "has_bad_token",
    "pack",
    "place_of",
    "refused",
    "unpack",
    "unreachable",
]

Body: TypeAlias = "Mapping[str, Any]"

MISSING: Final = 300  # there is no such document
UNKNOWN_CONNECTION: Final = 301
DENIED: Final = 403
UNREACHABLE: Final = -1  # Nacos has no such number: it did not answer

_NO_USER: Final = "user not found"
_BAD_TOKEN: Final = ("token", _NO_USER)


class NacosUnavailable(RegistryUnavailable):
    """Nacos did not answer, or refused what it was asked for; the text says which, and what to do.

    Attributes:
        code: Nacos' number of the error; -1 if it did not answer, 0 if there is none.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def pack(kind: str, body: Body, *, token: str = "") -> pb.Payload:
    """Return a message of a kind."""
    payload = pb.Payload(metadata=pb.Metadata(type=kind))
    if token:
        payload.metadata.headers["accessToken"] = token
    payload.body.value = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return payload


def unpack(payload: pb.Payload) -> tuple[str, Body]:
    """Return kind and body of a message.

    Raises:
        ValueError: The body is no JSON object.
    """
    kind = payload.metadata.type
    try:
        body: object = json.loads(payload.body.value)
    except RecursionError as error:
        raise ValueError(f"the body of a {kind or 'message without a kind'} is too deep") from error
    if not isinstance(body, dict):
        raise ValueError(f"the body of a {kind or 'message without a kind'} is no object")
    return kind, cast("Body", body)


def child(body: Body, name: str) -> Body:
    """Return an object inside a body; an empty one if there is none."""
    found: object = body.get(name)
    return cast("Body", found) if isinstance(found, dict) else {}


def grouped(service: str, *, group: str) -> str:
    """Return the name of a service as it is with its group."""
    return f"{group}@@{service}"


def place_of(kind: str, body: Body) -> object:
    """Return what a pushed message is about; ``None`` if it is about the connection."""
    if kind == "NotifySubscriberRequest":
        info = child(body, "serviceInfo")
        return grouped(str(info.get("name")), group=str(info.get("groupName")))
    if kind == "ConfigChangeNotifyRequest":
        return tuple(str(body.get(name) or "") for name in ("tenant", "group", "dataId"))
    return None


def unreachable(
    kind: str, *, endpoint: str, code: grpc.StatusCode, details: str
) -> NacosUnavailable:
    """Return the error that tells of a call that failed below Nacos' own protocol."""
    if code is grpc.StatusCode.UNIMPLEMENTED:
        text = f"{endpoint} does not speak the gRPC of Nacos 2: is it a Nacos, and that port?"
        return NacosUnavailable(text)
    text = f"Nacos at {endpoint} does not answer ({kind}): {details or code.name}"
    if code is grpc.StatusCode.UNAVAILABLE:  # a port that nobody has written
        text += "; that is its port for gRPC, which must be open, too"
    return NacosUnavailable(text, code=UNREACHABLE)


def refused(kind: str, body: Body, *, endpoint: str, user: str | None) -> NacosUnavailable:
    """Return the error that tells what Nacos answered."""
    code, message = code_of(body), str(body.get("message") or "no reason given")
    if code != DENIED:
        text = f"Nacos at {endpoint} refuses {kind}: {message} ({code})"
    elif user is None:
        text = f"Nacos at {endpoint} asks for a user: give username and password"
    else:
        text = (
            f"Nacos at {endpoint} does not permit {kind} for user {user!r} ({message}): grant its "
            "role the namespace"
        )
    return NacosUnavailable(text, code=code)


def code_of(body: Body) -> int:
    """Return Nacos' number of an error; 0 for none."""
    code: object = body.get("errorCode")
    return code if isinstance(code, int) else 0


def has_bad_token(body: Body) -> bool:
    """Tell whether to log in anew."""
    message = str(body.get("message") or "")
    return body.get("errorCode") == DENIED and any(text in message for text in _BAD_TOKEN)
