"""Which proxy a client asks for which node."""

from __future__ import annotations

import base64
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from kratos.errors import ConfigError
from kratos.url import parse_url

__all__ = ["Proxies", "Proxy"]

_PORTS: Final = {"http": 80, "https": 443}
_LOCAL: Final = ("localhost", "127.0.0.0/8", "::1")
_LINE_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Proxy:
    """One proxy.

    Attributes:
        address: ``host:port``.
        secure: Whether it is reached over TLS.
        authorization: Value of the ``Proxy-Authorization`` header, empty for none; never shown.
    """

    address: str
    secure: bool = False
    authorization: bytes = b""

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Understand ``http://[user:password@]host[:port]``, or the same with ``https``.

        Raises:
            ConfigError: It is none; the text hides secrets.
        """
        url = parse_url(text if "://" in text else f"http://{text}")
        if url.scheme not in _PORTS:
            raise ConfigError(f"proxy {url}: a proxy is http:// or https://, not {url.scheme}://")
        if len(url.hosts) != 1 or url.path not in ("", "/") or url.query:
            raise ConfigError(f"proxy {url}: write http://user:password@host:port")
        authorization = b""
        if url.username is not None:
            plain = f"{url.username}:{url.password or ''}"
            if _LINE_BREAKS.search(plain) or ":" in url.username:
                raise ConfigError(f"proxy {url}: user or password hold what Basic cannot carry")
            authorization = b"Basic " + base64.b64encode(plain.encode())
        (address,) = url.addresses(_PORTS[url.scheme])
        return cls(address=address, secure=url.scheme == "https", authorization=authorization)

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.address}"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


class Proxies:
    """Which proxy is asked for which node.

    Args:
        http: URL of the proxy for plain nodes; empty for none. Requests are sent to it, and
            WebSockets through it, by ``CONNECT``.
        https: URL of the proxy for nodes with TLS, which are reached through it.
        no_proxy: Hosts that are asked directly, as a list or separated by commas: ``*`` for all,
            ``example.org`` with what is below it, ``.example.org`` for only that, an address, a
            network such as ``10.0.0.0/8``; each may end with ``:port``.
        tls: For proxies that are reached over TLS themselves; ``None`` for the system's trust
            store.

    Attributes:
        tls: As given.

    Raises:
        ConfigError: A URL is malformed.
    """

    def __init__(
        self,
        *,
        http: str = "",
        https: str = "",
        no_proxy: str | Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self._http = Proxy.parse(http) if http else None
        self._https = Proxy.parse(https) if https else None
        given = no_proxy.split(",") if isinstance(no_proxy, str) else no_proxy
        self._direct = [each.strip().lower() for each in given if each.strip()]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Proxies:
        """Read ``http_proxy``, ``https_proxy`` and ``no_proxy``, or the same in capitals.

        This host is never asked through a proxy then. Where ``REQUEST_METHOD`` is set, as in CGI,
        ``HTTP_PROXY`` is a header that anybody may send, and ignored.

        Raises:
            ConfigError: A URL is malformed.
        """
        found = os.environ if environ is None else environ

        def read(name: str) -> str:
            if name == "http_proxy" and "REQUEST_METHOD" in found:
                return found.get(name, "")
            return found.get(name) or found.get(name.upper(), "")

        direct = [*read("no_proxy").split(","), *_LOCAL]
        return cls(http=read("http_proxy"), https=read("https_proxy"), no_proxy=direct)

    def find(self, address: str, *, secure: bool) -> Proxy | None:
        """Return the proxy for ``host:port``; ``None`` for none, as for all Unix sockets."""
        proxy = self._https if secure else self._http
        if proxy is None or address.startswith("unix:"):
            return None
        host, _, port = address.rpartition(":")
        host = host.strip("[]").lower().rstrip(".")
        return None if any(_covers(each, host, port) for each in self._direct) else proxy


def _covers(entry: str, host: str, port: str) -> bool:
    """Tell whether an entry of ``no_proxy`` names a host."""
    if entry == "*":
        return True
    name, colon, only = entry.rpartition(":")
    if colon and only.isdigit() and (":" not in name or name.endswith("]")):
        if only != port:
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        pass  # one of them is a name
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")
