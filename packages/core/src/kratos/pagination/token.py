"""Page tokens: what is in them, how they are signed, and why one is refused."""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from kratos._fingerprint import fingerprint
from kratos.errors import ConfigError

__all__ = ["LAST_SECOND", "MAX_TOKEN", "MIN_KEY", "Refused", "Seal", "fingerprint"]

MAX_TOKEN: Final = 4096  # characters: what fits into a URL beside the rest of it
MIN_KEY: Final = 16  # bytes

_VERSION: Final = b"\x01"
_LABEL: Final = b"kratos.pagination"  # keys may have other uses; no signature serves two
_SHORT: Final = 16  # bytes of a signature or a fingerprint: 128 bits
_TIME: Final = 5  # bytes of a time in seconds
LAST_SECOND: Final = 2 ** (8 * _TIME) - 1  # the latest time that a token can end
_CURSOR_AT: Final = len(_VERSION) + _TIME + 2 * _SHORT


class Refused(Exception):
    """A token is none of ours, or not good for this request now.

    Attributes:
        problem: ``malformed``, ``forged``, ``other_request`` or ``expired``.
    """

    def __init__(self, problem: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class Seal:
    """Signs cursors into tokens, and opens the tokens.

    A token is base64 of version, end of its life, fingerprint of the request, signature
    (HMAC-SHA-256, 128 bits of it; RFC 2104) and cursor. It is signed and not encrypted.

    Args:
        keys: The first one signs, all of them verify.

    Raises:
        ConfigError: There is no key, or one is shorter than 16 bytes.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ConfigError("page tokens need a key: give secrets.token_bytes(32), kept secret")
        for number, key in enumerate(keys):
            if len(key) < MIN_KEY:
                raise ConfigError(
                    f"key {number} of page tokens has {len(key)} bytes and needs {MIN_KEY}; "
                    "secrets.token_bytes(32) makes a good one"
                )
        self._keys = tuple(keys)

    def seal(self, cursor: bytes, request: bytes, *, until: int) -> str:
        """Return a token.

        Args:
            cursor: What it carries.
            request: Fingerprint of the request that it continues.
            until: Seconds since the epoch at which it ends; 0 for never.

        Raises:
            ValueError: The cursor is too long.
        """
        signed = _VERSION + until.to_bytes(_TIME, "big") + request
        token = signed + _sign(self._keys[0], signed, cursor) + cursor
        text = urlsafe_b64encode(token).rstrip(b"=").decode("ascii")
        if len(text) > MAX_TOKEN:
            raise ValueError(
                f"a cursor of {len(cursor)} bytes makes a token of {len(text)} characters, "
                f"more than {MAX_TOKEN}: keep the place in it, not the rows"
            )
        return text

    def open(self, token: str, request: bytes, *, now: float) -> bytes:
        """Return the cursor in a token.

        Args:
            token: What ``seal`` made.
            request: Fingerprint of the present request.
            now: Seconds since the epoch.

        Raises:
            Refused: It is not good.
        """
        data = _decode(token)
        cursor, signature = data[_CURSOR_AT:], data[_CURSOR_AT - _SHORT : _CURSOR_AT]
        signed = data[: _CURSOR_AT - _SHORT]
        if not any(hmac.compare_digest(signature, _sign(k, signed, cursor)) for k in self._keys):
            raise Refused("forged", "it was not issued here, or changed, or its key was retired")
        if signed[-_SHORT:] != request:
            raise Refused(
                "other_request",
                "it continues another request: keep every field but page_size as it was",
            )
        until = int.from_bytes(signed[len(_VERSION) : len(_VERSION) + _TIME], "big")
        if until and now >= until:
            raise Refused("expired", "it has expired: begin again without one")
        return cursor


def _sign(key: bytes, signed: bytes, cursor: bytes) -> bytes:
    return hmac.digest(key, _LABEL + signed + cursor, "sha256")[:_SHORT]


def _decode(token: str) -> bytes:
    if len(token) > MAX_TOKEN:
        raise Refused("malformed", f"it has {len(token)} characters, and none has over {MAX_TOKEN}")
    try:
        text = token.encode("ascii")
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Refused("malformed", "it is no base64") from error
    # Python skips what is no base64, and bits past the end: one token would have many spellings.
    if urlsafe_b64encode(data).rstrip(b"=") != text:
        raise Refused("malformed", "it is no base64")
    if len(data) < _CURSOR_AT or not data.startswith(_VERSION):
        raise Refused("malformed", "it is too short, or of another version")
    return data
