"""A certificate tried on itself: a handshake in memory says if it can serve, and whom."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from kratos.errors import ConfigError
from kratos.tls._peer import PeerCertificate
from kratos.tls._pem import as_file, leaf_of

__all__ = ["Trial", "load_pair", "tried"]

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL: dates are compared below, where an error can tell them.
_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
_LENIENT: Final = "ALL:!aNULL:@SECLEVEL=0"  # what is too weak is for the real context to refuse
_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """When a certificate may be used, and for which names.

    Attributes:
        begin: Seconds since the epoch.
        end: Seconds since the epoch.
        names: DNS names among its subject alternative names.
    """

    begin: float
    end: float
    names: tuple[str, ...] = ()

    def require(self, now: float, name: str) -> None:
        """Refuse a certificate out of its time.

        Args:
            now: Seconds since the epoch.
            name: How to call it.

        Raises:
            ConfigError: It has expired, or is not valid yet; says since or until when.
        """
        if now > self.end:
            raise ConfigError(f"{name} expired on {_date(self.end)}")
        if now < self.begin:
            raise ConfigError(
                f"{name} is not valid before {_date(self.begin)}, and now is {_date(now)}"
            )


def load_pair(
    context: ssl.SSLContext, certificate: bytes, key: bytes, name: str, *, password: str = ""
) -> None:
    """Have a context present a certificate.

    Args:
        context: The context.
        certificate: PEM, with the certificates between it and its root.
        key: PEM of its key.
        name: How to call the certificate.
        password: Of the key.

    Raises:
        ConfigError: The key is another one's, or OpenSSL refuses the pair; says why.
    """
    with as_file(certificate) as certificate_file, as_file(key) as key_file:
        try:
            context.load_cert_chain(certificate_file, key_file, password=lambda: password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ConfigError(f"{name} and its key do not belong together") from error
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise ConfigError(f"{name} and its key cannot be used: {reason}") from error


def tried(
    certificate: bytes, key: bytes, name: str, *, client: bool = False, password: str = ""
) -> Trial:
    """Present a certificate to a peer that trusts just this one.

    Args:
        certificate: PEM, with the certificates between it and its root.
        key: PEM of its key.
        name: How to call it.
        client: Whether it is a client's.
        password: Of the key.

    Raises:
        ConfigError: The handshake fails, for instance because the certificate is for another
            purpose, or one of its names cannot be read.
    """
    presenting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    checking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if client else ssl.PROTOCOL_TLS_CLIENT)
    presenting.check_hostname = checking.check_hostname = False
    presenting.verify_mode, checking.verify_mode = ssl.CERT_NONE, ssl.CERT_REQUIRED
    for context in (presenting, checking):
        context.set_ciphers(_LENIENT)
    checking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    load_pair(presenting, certificate, key, name, password=password)
    if client:
        load_pair(
            checking, certificate, key, name, password=password
        )  # a server needs some certificate
    try:
        checking.load_verify_locations(cadata=leaf_of(certificate, name))
        found = _shake_hands(presenting, checking, client=client)
    except ssl.SSLError as error:
        reason: str = getattr(error, "verify_message", "") or error.reason or str(error)
        raise ConfigError(f"{name} cannot be used: {reason}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} cannot be used: one of its names is no text") from error
    begin, end = (ssl.cert_time_to_seconds(found[key]) for key in ("notBefore", "notAfter"))
    return Trial(begin=begin, end=end, names=PeerCertificate.of(found, b"").dns_names)


def _shake_hands(
    presenting: ssl.SSLContext, checking: ssl.SSLContext, *, client: bool
) -> dict[str, Any]:
    """Return the certificate as the checking side sees it."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    presenter = presenting.wrap_bio(there, back, server_side=not client)
    checker = checking.wrap_bio(back, there, server_side=client)
    for _ in range(_ROUNDS):
        done = [_step(side) for side in (checker, presenter)]
        if all(done):
            break
    return cast("dict[str, Any]", checker.getpeercert())


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
