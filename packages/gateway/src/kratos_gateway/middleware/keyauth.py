"""Let in who has a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.middleware.api_key import hashed_api_key
from kratos.principal import Principal
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.keyauth_pb2 import KeyAuth
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.callers import (
    called_by,
    not_for_others,
    parameter,
    without_header,
    without_parameter,
)
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["build"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SHORTEST: Final = 16  # characters of a key, as an attacker has all the time there is
_LONGEST: Final = 512


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what answers 401 to requests without a key that is known.

    Keys are looked up by their hash, so that the time of an answer says nothing about how near a
    guess was. A key is taken off the request, unless it is to be passed on.

    Raises:
        ConfigError: There are no keys, or one has no name, is too short, or is given twice.
    """
    told = options_of(options, KeyAuth)
    known = _known(told.keys)
    header = header_name(told.header or "x-api-key")
    tell = header_name(told.subject_header) if told.subject_header else b""
    query = told.query

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            not_for_others(request)
            sent = [value.decode("latin-1") for name, value in request.headers if name == header]
            sent += parameter(request, query)
            who = _caller(sent, known)
            if who is None and (sent or not told.optional):
                message = "the API key is not valid" if sent else "an API key is needed"
                return refuse(request, 401, reason="UNAUTHORIZED", message=message)
            if not told.forward:
                request = without_parameter(without_header(request, header), query)
            return await handler(called_by(request, who, header=tell))

        return handle

    return Plain(wrap)


def _caller(sent: list[str], known: Mapping[str, Principal]) -> Principal | None:
    if len(sent) != 1 or len(sent[0]) > _LONGEST:
        return None
    return known.get(hashed_api_key(sent[0]))


def _known(keys: Iterable[KeyAuth.Key]) -> Mapping[str, Principal]:
    known: dict[str, Principal] = {}
    for number, key in enumerate(keys):
        digest = key.sha256.lower() if key.sha256 else _digest(number, key)
        if not key.name:
            raise ConfigError(f"keys[{number}] has no name of who has it")
        if not _DIGEST.fullmatch(digest):
            raise ConfigError(f"keys[{number}]: sha256 is 64 digits in hexadecimal")
        if digest in known:
            raise ConfigError(f"keys[{number}] is given before, to {known[digest].subject!r}")
        known[digest] = Principal(subject=key.name, scheme="api_key")
    if not known:
        raise ConfigError("keyauth without keys would let nobody in: list some under keys")
    return known


def _digest(number: int, key: KeyAuth.Key) -> str:
    if not _SHORTEST <= len(key.key) <= _LONGEST:  # and never the key itself in an error
        raise ConfigError(
            f"keys[{number}] needs sha256, or a key of {_SHORTEST} to {_LONGEST} characters; "
            f"this one has {len(key.key)}"
        )
    return hashed_api_key(key.key)
