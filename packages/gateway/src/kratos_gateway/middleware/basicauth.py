"""Let in who has a name and a password (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error
from kratos.offload import Offload
from kratos.principal import Principal
from kratos_gateway.api.basicauth_pb2 import BasicAuth
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.callers import called_by, not_for_others, without_header
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.passwords import Hashed
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["build"]

_HEADER: Final = b"authorization"
_LONGEST: Final = 1024  # bytes of the header
_THREADS: Final = 4  # each takes a core, and up to 64 MiB
_WAITING: Final = 128  # that is a few seconds of work
_REMEMBERED: Final = 1024  # pairs that were right


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what answers 401 to requests without a name and its password.

    Hashes are computed in a few threads of their own, so that whoever guesses keeps no others from
    theirs; that a pair was right is remembered, by a digest that this process alone can make. An
    unknown name takes as long as a wrong password. With too many who wait, the answer is 503.

    Raises:
        ConfigError: There are no users, or one has no name or password, or is given twice.
    """
    told = options_of(options, BasicAuth)
    threads = Offload(threads=_THREADS, queue=_WAITING, name="kratos-gateway-passwords")
    users = _Users(told.users, threads)
    realm = told.realm or "gateway"
    if not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ConfigError(f"realm must be a text without quotes, not {realm!r}")
    challenge = (b"www-authenticate", f'Basic realm="{realm}", charset="UTF-8"'.encode())
    tell = header_name(told.subject_header) if told.subject_header else b""

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            not_for_others(request)
            sent = [value for name, value in request.headers if name == _HEADER]
            # Of two, the back end may read the other one.
            try:
                name = await users.name_of(sent[0]) if len(sent) == 1 else ""
            except Error as error:  # of the threads; the back end has no part in it
                return refuse(request, error.code, reason=error.reason, message="try again later")
            if not name:
                message = "a name and its password are needed"
                return refuse(
                    request, 401, reason="UNAUTHORIZED", message=message, headers=(challenge,)
                )
            if not told.forward:
                request = without_header(request, _HEADER)
            who = Principal(subject=name, scheme="basic")
            return await handler(called_by(request, who, header=tell))

        return handle

    return Plain(wrap, close=threads.aclose)


class _Users:
    """Who has which password."""

    def __init__(self, given: Iterable[BasicAuth.User], threads: Offload) -> None:
        self._threads: Final = threads
        self._hashes: Final[dict[str, Hashed]] = {}
        self._plain: Final[dict[str, bytes]] = {}
        for number, user in enumerate(given):
            self._add(f"users[{number}]", user)
        if not (self._hashes or self._plain):
            raise ConfigError("basicauth without users would let nobody in: list some under users")
        # What a name that nobody has is compared with, if there are hashes: it takes as long.
        self._decoy: Final = next(iter(self._hashes.values()), None)
        self._secret: Final = secrets.token_bytes(32)
        self._right: Final[OrderedDict[bytes, str]] = OrderedDict()

    def _add(self, where: str, user: BasicAuth.User) -> None:
        if not user.name or ":" in user.name:
            raise ConfigError(f"{where} needs a name, without a colon")
        if user.name in self._hashes or user.name in self._plain:
            raise ConfigError(f"{where}: {user.name!r} is given before")
        if bool(user.password) == bool(user.scrypt):
            raise ConfigError(f"{where}: {user.name!r} needs a password, or its scrypt")
        if user.scrypt:
            try:
                self._hashes[user.name] = Hashed.parse(user.scrypt)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
        else:
            self._plain[user.name] = self._digest_of(user.password)

    async def name_of(self, header: bytes, /) -> str:
        """Return the name that a header proves; empty for none."""
        given = _pair(header)
        if given is None:
            return ""
        name, password = given
        seen = hmac.digest(self._secret, header, "sha256")
        if seen in self._right:
            self._right.move_to_end(seen)
            return name
        if not await self._is_right(name, password):
            return ""
        self._right[seen] = name
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return name

    async def _is_right(self, name: str, password: str) -> bool:
        plain = self._plain.get(name)
        if plain is not None:
            if self._decoy is not None:
                # Else it would tell that there is such a name.
                await self._threads.run(self._decoy.matches, password)
            return hmac.compare_digest(plain, self._digest_of(password))
        known = self._hashes.get(name)
        hashed = known or self._decoy
        if hashed is None:
            return False
        right = await self._threads.run(hashed.matches, password)
        return right and known is not None

    @staticmethod
    def _digest_of(password: str) -> bytes:
        # Of one length, so that the time of a comparison says nothing about the password's.
        return hashlib.sha256(password.encode(errors="surrogatepass")).digest()


def _pair(header: bytes) -> tuple[str, str] | None:
    kind, _, text = header.partition(b" ")
    if kind.lower() != b"basic" or len(header) > _LONGEST:
        return None
    try:
        name, colon, password = (
            base64.b64decode(text.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
