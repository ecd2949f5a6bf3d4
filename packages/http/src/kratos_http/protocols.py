"""Further protocols on the port of an HTTP server, such as gRPC, gRPC-Web and Connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kratos.errors import ConfigError, StartupError
from kratos.transport import Dispatcher, Mount, Operation
from kratos.transport.chain import listed
from kratos.transport.http import Endpoint, Head, HttpApplication, Memo, WireHeaders
from kratos_http._endpoints import Constant
from kratos_http.engine import VERSIONS
from kratos_http.rest import Place

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = [
    "Constant",
    "Guards",
    "HttpProtocol",
    "Protocols",
    "Served",
    "checked_protocols",
    "of_another_server",
]


@dataclass(slots=True, kw_only=True)
class Served:
    """What a server serves, for the protocols that serve it, too.

    Attributes:
        mount: What the application gave to the server.
        operations: By path, such as ``/shop.v1.Orders/Get``: one chain for all protocols. A
            protocol may add what it brings itself, for others as well.
        place: Where the server is, known when it is bound.
        aside: Dispatchers of what does not hold up a stop: its calls are cancelled at once.
        guarded: Makes a dispatcher within the middleware of application and server, without time
            limit; whoever uses it adds it to ``aside``.
    """

    mount: Mount
    operations: dict[str, Operation]
    place: Place
    guarded: Callable[[], Dispatcher]
    aside: list[Dispatcher] = field(default_factory=list[Dispatcher])


class Guards:
    """Makes dispatchers within a server's middleware, without time limit: for what protocols bring.

    Args:
        transport: What calls are told that carries them.
        middleware: The chain of application and server.
        cancel_grace: Seconds that cancelled calls get to clean up.
    """

    __slots__ = ("_cancel_grace", "_made", "_middleware", "_transport")

    def __init__(
        self, transport: str, middleware: Sequence[AnyMiddleware], *, cancel_grace: float
    ) -> None:
        self._transport = transport
        self._middleware = middleware
        self._cancel_grace = cancel_grace
        self._made: list[Dispatcher] = []

    def __call__(self) -> Dispatcher:
        """Return another one."""
        made = Dispatcher(
            transport=self._transport,
            middleware=self._middleware,
            timeout=None,
            cancel_grace=self._cancel_grace,
        )
        self._made.append(made)
        return made

    @property
    def names(self) -> frozenset[str]:
        """Of all operations that came to pass the middleware in this way."""
        return frozenset[str]().union(*(each.names for each in self._made))


class HttpProtocol(Protocol):
    """A protocol that serves the operations of a server, on its port, beside the routes.

    One that has an attribute ``needs_version``, such as ``2``, is refused on a port that does not
    speak that version of HTTP.
    """

    @property
    def scheme(self) -> str:
        """Scheme of an endpoint by which clients of the protocol find it; empty for none."""
        ...

    def mount(self, served: Served, /) -> None:
        """Take what is to be served; called before ``route``, by the one server that it is of.

        Raises:
            StartupError: It cannot be served, or it is of another server; see
                ``of_another_server``.
        """
        ...

    def route(self, head: Head, content_type: bytes, /) -> Endpoint | None:
        """Return what answers a request, ``None`` if it is not of this protocol; never raises.

        The endpoint may be kept, and then answers every request with the same head, several at a
        time. One that has a method ``varied(fields) -> Endpoint | None`` is asked for another that
        answers requests with further fields, such as a deadline, in place of ``route``; ``None``
        has these routed.
        """
        ...


class Protocols:
    """An ``HttpApplication`` of protocols, and of another for all that is of none of them.

    Args:
        protocols: The first that claims a request answers it.
        rest: What answers the others.
    """

    __slots__ = ("_protocols", "_rest")

    def __init__(self, protocols: Sequence[HttpProtocol], rest: HttpApplication) -> None:
        self._protocols = tuple(protocols)
        self._rest = rest

    def route(self, head: Head, /) -> Endpoint:
        """Choose the endpoint; see ``HttpApplication``."""
        memo = head.memo
        if memo is None:
            return self._claimed(head) or self._rest.route(head)
        if _is_of(memo, self, head) and memo.headers == head.headers:
            endpoint: Endpoint | None = memo.value
        else:
            endpoint = self._varied(head, memo) or self._claimed(head)
            memo.owner, memo.path, memo.headers = self, head.path, head.headers
            memo.value = endpoint
        return endpoint or self._rest.route(head)

    def _varied(self, head: Head, memo: Memo) -> Endpoint | None:
        """Return an endpoint made of that for the fields that do not vary, if there can be one."""
        base = memo.base
        if base is None:
            return None
        if not _is_of(base, self, head):
            count = len(head.headers) - len(memo.varying)
            plain = Head(head.method, head.path, head.query, head.headers[:count])
            plain.version = head.version
            base.owner, base.path, base.headers = self, plain.path, plain.headers
            base.value = self._claimed(plain)
        count = len(base.headers)
        if head.headers[:count] != base.headers:
            return None
        vary: Callable[[WireHeaders], Endpoint | None] | None = getattr(base.value, "varied", None)
        return None if vary is None else vary(head.headers[count:])

    def _claimed(self, head: Head) -> Endpoint | None:
        content_type = head.header(b"content-type")
        for protocol in self._protocols:
            endpoint = protocol.route(head, content_type)
            if endpoint is not None:
                return endpoint
        return None


def _is_of(memo: Memo, owner: object, head: Head) -> bool:
    return memo.owner is owner and memo.path == head.path


def checked_protocols(
    protocols: Sequence[HttpProtocol], versions: Sequence[str] = VERSIONS
) -> tuple[HttpProtocol, ...]:
    """Return protocols.

    Args:
        protocols: What the user gave.
        versions: Of HTTP that the port speaks.

    Raises:
        ConfigError: One is none, for instance the class of one, or it needs another version.
    """
    given = listed(protocols, option="protocols")
    for each in given:
        if isinstance(each, type) or not (hasattr(each, "mount") and hasattr(each, "route")):
            raise ConfigError(f"{each!r} is no protocol: pass an instance, such as Grpc()")
        needed = getattr(each, "needs_version", None)
        if needed is not None and needed not in versions:
            name = f"{type(each).__name__}()"
            raise ConfigError(f"{name} needs HTTP/{needed}, which versions={versions!r} leaves out")
    return given


def of_another_server(protocol: HttpProtocol) -> StartupError:
    """Return the error for a protocol that two servers were given.

    It could serve but one of them: calls to the other would pass the middleware of the first.
    """
    name = type(protocol).__name__
    return StartupError(f"two servers were given the same {name}: make a {name}() for each")
