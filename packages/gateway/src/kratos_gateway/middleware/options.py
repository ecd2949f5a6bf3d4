"""Options of middleware: messages within ``google.protobuf.Any``."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from kratos.errors import ConfigError
from kratos_gateway.times import in_seconds

__all__ = ["options_of", "seconds_of"]

M = TypeVar("M", bound=Message)


def options_of(given: AnyMessage | None, kind: type[M], /) -> M:
    """Return the options of a middleware; empty ones where none are given.

    Raises:
        ConfigError: They are of another type, or no message of it.
    """
    message = kind()
    if given is None or not given.type_url:
        return message
    wanted: str = cast("Any", kind).DESCRIPTOR.full_name
    found = given.type_url.rpartition("/")[2]
    if found != wanted:
        raise ConfigError(
            f'options are of type {found!r}: write "@type": "type.googleapis.com/{wanted}"'
        )
    try:
        message.ParseFromString(given.value)
    except DecodeError as error:
        raise ConfigError(f"options are no message of type {wanted}: {error}") from error
    return message


def seconds_of(given: Duration, /, *, name: str, least: float = 0.0) -> float:
    """Return the seconds of a duration.

    Raises:
        ConfigError: It is less than ``least``.
    """
    seconds = in_seconds(given)
    if seconds < least:
        raise ConfigError(f"{name} must be at least {least:g} s, not {seconds:g} s")
    return seconds
