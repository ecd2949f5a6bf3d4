"""Hashes of passwords, by scrypt (RFC 7914)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Self

from kratos.errors import ConfigError

__all__ = ["Hashed", "hashed"]

_N, _R, _P = 2**14, 8, 1  # 16 MiB and some 50 ms
_SALT = 16  # bytes
_MOST_MEMORY = 64 * 1024 * 1024


def hashed(password: str, /, *, salt: bytes | None = None) -> str:
    """Return the hash of a password, ``scrypt$16384$8$1$<salt>$<hash>``, for a configuration.

        python -c "from kratos_gateway.middleware.passwords import hashed; print(hashed(input()))"

    Args:
        password: It.
        salt: 16 random bytes by default.
    """
    salt = secrets.token_bytes(_SALT) if salt is None else salt
    made = Hashed(_N, _R, _P, salt, b"").digest(password)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(made)))


@dataclass(frozen=True, slots=True)
class Hashed:
    """A hash, and how it was made."""

    n: int
    r: int
    p: int
    salt: bytes
    made: bytes

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read what ``hashed`` has written.

        Raises:
            ConfigError: It is none, or takes more than 64 MiB.
        """
        try:
            kind, n, r, p, salt, made = text.split("$")
            found = cls(int(n), int(r), int(p), _bytes(salt), _bytes(made))
            if kind != "scrypt" or 128 * found.n * found.r > _MOST_MEMORY or not found.made:
                raise ValueError
            found.digest("")
        except (ValueError, binascii.Error):
            raise ConfigError(
                "scrypt is what kratos_gateway.middleware.passwords.hashed returns"
            ) from None
        return found

    def digest(self, password: str, /) -> bytes:
        """Return the hash of a password, made in the same way."""
        return hashlib.scrypt(
            password.encode(errors="surrogatepass"),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=2 * _MOST_MEMORY,
            dklen=len(self.made) or 32,
        )

    def matches(self, password: str, /) -> bool:
        """Tell whether this is the password."""
        return hmac.compare_digest(self.digest(password), self.made)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
