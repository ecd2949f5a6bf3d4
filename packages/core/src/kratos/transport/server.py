"""What an application asks of its servers."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from kratos.address import Address
from kratos.transport.chain import AnyMiddleware
from kratos.transport.method import Service
from kratos.transport.operation import Missing

if TYPE_CHECKING:
    from kratos.health import Health
    from kratos.metrics import Meter

__all__ = [
    "AppInfo",
    "Attending",
    "Endpointer",
    "Mount",
    "Mountable",
    "Readying",
    "Server",
    "Shareable",
    "attends",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInfo:
    """Who this application is.

    Attributes:
        id: Unique id of this instance.
        name: Name of the service in registries.
        version: Its version.
        metadata: Its metadata in registries.
        endpoints: URLs it can be reached at, known once its servers are bound.
    """

    id: str
    name: str = ""
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What an application gives to each of its servers before they bind.

    Attributes:
        services: Objects to serve.
        middleware: The application's chain; a server's own middleware follows it.
        info: Who the application is.
        health: Its table of checks.
        missing: What to do with methods that a service leaves out.
        metrics: Where its figures go.
    """

    services: Sequence[Service] = ()
    middleware: Sequence[AnyMiddleware] = ()
    info: AppInfo | None = None
    health: Health | None = None
    missing: Missing = Missing.REFUSE
    metrics: Meter | None = None


@runtime_checkable
class Server(Protocol):
    """Anything with a life: a transport, a cron job, a consumer (Go: transport.Server)."""

    async def start(self) -> None:
        """Work until ``stop`` is called; returning or raising earlier stops the application.

        Whatever belongs to an event loop is made here or in ``bind``, not in the constructor.

        Cancellation: the application cancels it when ``stop`` took too long.
        """
        ...

    async def stop(self) -> None:
        """End gracefully: finish what is in flight, then let ``start`` return.

        Cancellation: the application cancels it after its stop timeout; the rest is then to
        be ended at once.
        """
        ...


@runtime_checkable
class Mountable(Protocol):
    """A server that serves generated services."""

    def mount(self, mount: Mount, /) -> None:
        """Link the chains; called once, before anything is bound.

        Raises:
            StartupError: A service cannot be served.
        """
        ...


@runtime_checkable
class Endpointer(Protocol):
    """A server that has an address (Go: transport.Endpointer)."""

    async def bind(self) -> Sequence[str]:
        """Reserve the port, without accepting, and return endpoint URLs for the registry.

        Idempotent; ``stop`` releases the port also when ``start`` was never called. When this
        fails or is cancelled, nothing is held and ``stop`` is not called.

        Raises:
            StartupError: The address is wrong or in use; names it.
        """
        ...


@runtime_checkable
class Readying(Protocol):
    """A server that can tell when it serves."""

    async def ready(self) -> None:
        """Return when the server accepts calls; pends for ever if ``start`` fails first."""
        ...


@runtime_checkable
class Attending(Protocol):
    """A server for whoever looks after the application, such as one for probes.

    It starts before resources are opened and stops after they are closed, so that it tells of
    both. It serves no services, and what it is bound to is not published.
    """

    @property
    def attends(self) -> bool:
        """Whether it does."""
        ...


def attends(server: object) -> bool:
    """Tell whether a server is there for whoever looks after the application."""
    return isinstance(server, Attending) and server.attends


@runtime_checkable
class Shareable(Protocol):
    """A server that several processes can run, each serving a part of the connections."""

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` if that cannot be shared."""
        ...

    @property
    def takes_socket(self) -> bool:
        """Whether it can listen on a socket that another process made.

        One that cannot binds by itself, to an address that others have bound with SO_REUSEPORT.
        """
        ...

    def share(self, place: socket.socket | Address, /) -> None:
        """Serve at a place that other processes serve, too; called before ``bind``.

        Args:
            place: A bound socket, which becomes the server's own but not the path of a Unix
                socket; or, for a server that takes none, the address with its real port.
        """
        ...
