"""Texts that only the owner of a key can make: signed, or encrypted as well."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Protocol

from kratos.errors import ConfigError

__all__ = ["Encrypting", "Sealing", "Signing"]

_SHORTEST: Final = 32  # bytes of a key
_SIGNATURE: Final = 43  # characters of 32 bytes in base64 without padding


class Sealing(Protocol):
    """Makes texts of bytes, safe in a cookie, and reads those that it, or an older key, made."""

    def seal(self, data: bytes, /) -> str:
        """Return a text, by the first key."""
        ...

    def open(self, text: str, /) -> tuple[bytes, bool] | None:
        """Return the bytes, and whether the first key sealed them; ``None`` for a flawed text."""
        ...


class Signing:
    """Signs with HMAC-SHA-256; everybody can read.

    Args:
        keys: The first signs, all are accepted.
        purpose: Of the texts; those of another purpose are not accepted.

    Raises:
        ConfigError: There is no key, or one is too short.
    """

    def __init__(self, keys: Sequence[str | bytes], purpose: str) -> None:
        self._keys = _derived(keys, f"signed {purpose}")

    def seal(self, data: bytes, /) -> str:
        """See ``Sealing``."""
        payload = base64.urlsafe_b64encode(data).rstrip(b"=")
        return f"{payload.decode()}.{_signature(self._keys[0], payload)}"

    def open(self, text: str, /) -> tuple[bytes, bool] | None:
        """See ``Sealing``."""
        payload, dot, signature = text.rpartition(".")
        if not dot or len(signature) != _SIGNATURE or not text.isascii():
            return None
        raw = payload.encode()
        for index, key in enumerate(self._keys):
            if hmac.compare_digest(_signature(key, raw), signature):
                try:
                    return base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)), index == 0
                except binascii.Error:
                    return None
        return None


class Encrypting:
    """Encrypts and signs, in the form of Fernet; needs the package ``cryptography``.

    Args:
        keys: The first encrypts, all are accepted.
        purpose: Of the texts; those of another purpose are not accepted.

    Raises:
        ConfigError: There is no key, one is too short, or the package is missing.
    """

    def __init__(self, keys: Sequence[str | bytes], purpose: str) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken
        except ImportError as error:
            raise ConfigError(
                "encrypted sessions need cryptography: pip install 'kratos-http[sessions]'"
            ) from error
        self._invalid = InvalidToken
        derived = _derived(keys, f"encrypted {purpose}")
        self._fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in derived]

    def seal(self, data: bytes, /) -> str:
        """See ``Sealing``."""
        return self._fernets[0].encrypt(data).decode().rstrip("=")

    def open(self, text: str, /) -> tuple[bytes, bool] | None:
        """See ``Sealing``."""
        padded = text + "=" * (-len(text) % 4)
        for index, fernet in enumerate(self._fernets):
            try:
                return fernet.decrypt(padded), index == 0
            except self._invalid:
                continue
            except ValueError:
                return None
        return None


def _derived(keys: Sequence[str | bytes], purpose: str) -> list[bytes]:
    """Return a key for one purpose from each: one key for all of them would mix them up."""
    if isinstance(keys, str | bytes) or not keys:
        raise ConfigError("keys of sessions is a list of one or more; the first one signs")
    derived: list[bytes] = []
    for key in keys:
        raw = key.encode() if isinstance(key, str) else key
        if len(raw) < _SHORTEST:
            raise ConfigError(
                f"a key of sessions has {len(raw)} bytes and needs {_SHORTEST} or more, such as "
                "secrets.token_hex(32) makes"
            )
        derived.append(hmac.digest(raw, f"kratos.session {purpose}".encode(), hashlib.sha256))
    return derived


def _signature(key: bytes, payload: bytes) -> str:
    digest = hmac.digest(key, payload, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
