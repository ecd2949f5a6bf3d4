"""TLS as URLs of back ends say it."""

from __future__ import annotations

from typing import Final

from kratos.errors import ConfigError
from kratos.tls._options import ClientTls
from kratos.url import Options, Url

__all__ = ["client_tls_of"]

_FILES: Final = ("ca", "certificate", "key")


def client_tls_of(url: Url, options: Options, *, scheme: str) -> ClientTls | None:
    """Return the TLS of a URL whose options ``ca``, ``certificate`` and ``key`` name PEM files.

    Args:
        url: The URL.
        options: Its options.
        scheme: The one that means TLS.

    Returns:
        ``None`` for another scheme.

    Raises:
        ConfigError: There are files without that scheme, or a key without its certificate.
    """
    ca, certificate, key = (options.text(name, default="") or None for name in _FILES)
    if url.scheme == scheme:
        return ClientTls(ca=ca, certificate=certificate, key=key)
    if ca or certificate or key:
        raise ConfigError(f"{url}: write {scheme}:// for TLS")
    return None
