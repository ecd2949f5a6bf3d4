"""How both ends prove that they know the shared key (``<security>`` of Fluentd)."""

from __future__ import annotations

import hashlib
import hmac
from os import urandom
from typing import Any, Final, Literal, TypeAlias

import msgspec

__all__ = ["Handshake", "Refused"]

_SALT: Final = 16

_Helo: TypeAlias = tuple[Literal["HELO"], dict[str, Any]]


class Refused(ConnectionError):
    """The other end does not let us in, or is not who it should be; to try again may help."""


class Handshake:
    """One attempt to be let in.

    Args:
        shared_key: What both ends know.
        hostname: How this end calls itself.
        username: Whose password it is; empty for none.
        password: Of the user.

    Attributes:
        keepalive: Whether the server lets the connection be used more than once; after ``ping``.
    """

    def __init__(self, shared_key: str, hostname: str, username: str, password: str) -> None:
        self._key: Final = shared_key.encode()
        self._hostname: Final = hostname
        self._username: Final = username
        self._password: Final = password
        self._salt: Final = urandom(_SALT)
        self._nonce = b""
        self.keepalive = True

    def ping(self, helo: Any, /) -> bytes:
        """Return the answer to the server's first message.

        Raises:
            Refused: It is another one.
        """
        try:
            hello: _Helo = msgspec.convert(helo, _Helo)
        except msgspec.ValidationError as error:
            raise Refused(
                f"the server does not begin with HELO, as one with a shared key does: {error}"
            ) from error
        option = hello[1]
        self._nonce = _bytes(option.get("nonce", b""))
        self.keepalive = bool(option.get("keepalive", True))
        auth = _bytes(option.get("auth", b""))
        digest = self._digest(self._hostname)
        user, password = "", ""
        if auth:
            user = self._username
            password = _hex(auth, user.encode(), self._password.encode())
        answer = ["PING", self._hostname, self._salt, digest, user, password]
        return msgspec.msgpack.encode(answer)

    def check(self, pong: Any, /) -> None:
        """Look at the server's second message.

        Raises:
            Refused: It does not let us in, or does not know the key.
        """
        match pong:
            case ["PONG", True, _, str() as hostname, str() as digest]:
                if hostname == self._hostname:
                    raise Refused(f"the server calls itself {hostname!r}, as this end does")
                # As bytes: what compares texts takes ASCII alone.
                if not hmac.compare_digest(digest.encode(), self._digest(hostname).encode()):
                    raise Refused("the server does not know the shared key")
            case ["PONG", False, reason, *_]:
                raise Refused(f"the server refuses: {reason}")
            case _:
                raise Refused("the server does not answer PING with PONG")

    def _digest(self, hostname: str) -> str:
        return _hex(self._salt, hostname.encode(), self._nonce, self._key)


def _hex(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""
