"""A client of an agent of Consul: the few calls that a registry and configuration need."""

from __future__ import annotations

from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from kratos.address import Address
from kratos.errors import ConfigError, Error
from kratos.options import require_number
from kratos.selector import Node
from kratos.tls import ClientTls, client_tls_of
from kratos.transport import CallOptions, ChainCaller
from kratos.url import Options, Url
from kratos_consul.agent import Agent, Answer, ConsulUnavailable, Question
from kratos_http import HttpClient, HttpConnector

__all__ = ["ConsulClient", "client_of"]

_PORT: Final = 8500
_TLS_PORT: Final = 8501
_EXAMPLE: Final = "write host:port without a scheme, or unix:/path; tls= is what makes it TLS"
_TIMEOUT: Final = 5.0
_TOKEN: Final = "X-Consul-Token"  # noqa: S105  the name of a header
_UNRESERVED: Final = "/:@!$&'()*+,;=~"  # of a path, beside letters and digits

# An agent admits 200 connections from one address, unless it is told otherwise.
_CONNECTIONS: Final = 200
_KEPT: Final = 60.0  # seconds, as long as the agent keeps them, or less


class ConsulClient:
    """Asks one agent of Consul; one event loop per object. Nothing is connected before its use.

    There is one agent and no other to turn to: what is registered belongs to the agent that was
    asked, so a second one would list it twice.

    Args:
        address: ``host:port`` of the agent, ``unix:/path``, or a host alone: the port is then 8500,
            and 8501 with TLS.
        token: Of ACLs, sent with each request; ``None`` for the rights of the anonymous.
        token_file: File that holds the token instead, for one that changes; it is read for each
            request.
        tls: What makes the connections TLS; files that change are read again.
        timeout: Seconds for an answer, beside those for which it is held back on purpose.

    Raises:
        ConfigError: An argument, or a file of ``tls``, cannot be used.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        *,
        token: str | None = None,
        token_file: str | Path | None = None,
        tls: ClientTls | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        require_number("timeout", timeout, above=0, finite=True)
        if token is not None and token_file is not None:
            raise ConfigError("give token or token_file, not both")
        self._address = _checked(address, _PORT if tls is None else _TLS_PORT)
        self._scheme = "consul" if tls is None else "consuls"
        self._token = token
        self._token_file = None if token_file is None else Path(token_file)
        self._timeout = timeout
        connector = HttpConnector(
            tls=tls,
            max_connections=_CONNECTIONS,
            idle_timeout=_KEPT,
            connect_timeout=timeout,
        )
        node = Node(scheme="http", address=self._address, secure=tls is not None)
        self._connection = connector.connect(node)
        caller = ChainCaller(self._connection.invoke, transport="http", endpoint=str(self))
        self._http = HttpClient(caller)
        self._closed = False
        self._headers()  # which says what is wrong

    def __str__(self) -> str:
        return f"{self._scheme}://{self._address}"

    def __repr__(self) -> str:
        return f"ConsulClient({str(self)!r})"

    @property
    def longest_wait(self) -> float:
        """Seconds for which a question may be held back, at most."""
        return inf

    async def ask(self, question: Question, /) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            ConsulUnavailable: There was none in time, or the client is closed.

        Cancellation: safe; what was asked may have been done.
        """
        if self._closed:
            raise ConsulUnavailable(f"{self}: the client is closed")
        body = question.data()
        try:
            headers = self._headers()
            reply = await self._http.request(
                question.verb,
                quote(question.path + question.name, safe=_UNRESERVED),
                query={name: value for name, value in question.query.items() if value},
                body=body or None,
                content_type="application/json" if body else "",
                operation=question.path,
                idempotent=True,
                any_status=True,
                options=CallOptions(timeout=self._timeout + question.wait, headers=headers),
            )
        except ConfigError as error:
            raise ConsulUnavailable(f"{self} is not asked ({question}): {error}") from error
        except Error as error:
            raise ConsulUnavailable(
                f"{self} does not answer ({question}): {error.message}"
            ) from error
        return Answer(
            agent=str(self),
            has_token=bool(headers),
            question=question,
            status=reply.status,
            headers=dict(reply.headers.items()),
            body=reply.body,
        )

    async def aclose(self) -> None:
        """Close the connections, and end what is under way; idempotent."""
        self._closed = True
        await self._connection.aclose()

    def _headers(self) -> dict[str, str]:
        """Return the headers of a request.

        Raises:
            ConfigError: There is no token to be had, or it is none.
        """
        token, place = self._token, "token"
        if self._token_file is not None:
            place = f"token_file {str(self._token_file)!r}"
            try:
                token = self._token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as error:
                raise ConfigError(f"{place} cannot be read: {error}") from error
        if token is None:
            return {}
        if not (token and token.isascii() and token.isprintable()):
            raise ConfigError(f"{place} must hold the text of a token")
        return {_TOKEN: token}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def client_of(url: Url, options: Options) -> ConsulClient:
    """Make the client that a URL describes: ``consul://host[:port]?token=...``.

    With the scheme ``consuls`` it uses TLS, and the options ``ca``, ``certificate`` and ``key``
    name PEM files.

    Raises:
        ConfigError: The URL cannot be used.
    """
    token, token_file = (options.text(name, default="") or None for name in ("token", "token_file"))
    timeout = options.duration("timeout", default=_TIMEOUT)
    tls = client_tls_of(url, options, scheme="consuls")
    if len(url.hosts) != 1:
        raise ConfigError(f"{url}: write consul://host:port, with the one agent of this machine")
    if url.username is not None:
        raise ConfigError(f"{url}: an agent knows no users: write ?token=...")
    (address,) = url.addresses(_PORT if tls is None else _TLS_PORT)
    return ConsulClient(address, token=token, token_file=token_file, tls=tls, timeout=timeout)


def _checked(address: str, port: int) -> str:
    has_port = ":" in address.rpartition("]")[2]
    try:
        found = Address.parse(address if has_port else f"{address}:{port}")
    except ValueError as error:
        raise ConfigError(f"{error}; {_EXAMPLE}") from error
    if not found.path and not (found.host and found.port):
        raise ConfigError(f"address {address!r} lacks a host or a port; {_EXAMPLE}")
    return str(found)


if TYPE_CHECKING:
    _agent: type[Agent] = ConsulClient
