"""The gateway as a server of an application."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from kratos.address import Address
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.options import require_number
from kratos.tls import ServerTls
from kratos.transport import Mount
from kratos.transport.http import Endpoint
from kratos.transport.listening import place_of
from kratos.transport.operation import CANCEL_GRACE
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.config import Configuration
from kratos_gateway.metrics import Metrics
from kratos_gateway.scrape import Scraped
from kratos_gateway.switch import Replaceable, Switch
from kratos_http.debug import Rendering
from kratos_http.limits import Limits
from kratos_http.listening import Engine, Listening, Place

__all__ = ["ADDRESS", "DRAIN", "METRICS", "Build", "Gateway"]

_log = logging.getLogger("kratos.gateway")

ADDRESS: Final = ":8080"
"""Where it listens, as Go's does."""

DRAIN: Final = 120.0
"""Seconds that requests have after a change of the configuration, as in Go."""

METRICS: Final = "/metrics"
"""Where metrics are shown on its own addresses, as Go's does."""

Build: TypeAlias = Callable[[pb.Gateway], Awaitable[Replaceable]]
"""Makes what serves a configuration; raises, and leaves nothing open, if it cannot."""


class Gateway:
    """Serves what its configuration says, over HTTP/1.1 and HTTP/2, and follows its changes.

    Give it to ``App(servers=...)``. A change is made ready beside what is served, takes its place
    at once, and what was served ends its requests. A change that cannot be served is logged, and
    changes nothing. The first configuration has to be served, else the start fails.

    Args:
        configuration: What to serve.
        build: Makes what serves it.
        addresses: Where to listen, each as of ``HttpServer``.
        tls: Serve TLS with these certificates, which may change, or with this context.
        limits: What peers may do.
        metrics: Where changes are counted.
        shown: Meter that ``/metrics`` shows on the gateway's own addresses, as Go's does;
            ``None`` to leave that path to the endpoints.
        drain: Seconds that requests have to end after a change.
        cancel_grace: Seconds that requests get to clean up when stopping is cut short.
        clock: Time for draining.

    Attributes:
        shows_metrics: Whether ``/metrics`` is no path of the endpoints.

    Raises:
        ConfigError: There is no address, or a number is out of range.
        TargetError: An address is none.
    """

    def __init__(
        self,
        configuration: Configuration,
        build: Build,
        *,
        addresses: Sequence[str] = (ADDRESS,),
        tls: ServerTls | ssl.SSLContext | None = None,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        shown: Rendering | None = None,
        drain: float = DRAIN,
        cancel_grace: float = CANCEL_GRACE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if isinstance(addresses, str) or not addresses:
            raise ConfigError(f"addresses is a list such as [{ADDRESS!r}], not {addresses!r}")
        require_number("drain", drain, least=0)
        require_number("cancel_grace", cancel_grace, least=0)
        self._configuration = configuration
        self._build = build
        self._metrics = metrics or Metrics()
        self._drain = drain
        self._cancel_grace = cancel_grace
        self.shows_metrics = shown is not None
        fixed: dict[bytes, Endpoint] = {} if shown is None else {METRICS.encode(): Scraped(shown)}
        self._switch = Switch(fixed, clock=clock)
        self._listeners = [
            Listening(
                place_of(address),
                engine=Engine(self._switch, limits=limits),
                place=Place(""),
                endpoint=None,
                tls=tls,
                sock=None,
                cancel_grace=cancel_grace,
            )
            for address in addresses
        ]
        self._applying = asyncio.Lock()
        self._in_force: pb.Gateway | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def __str__(self) -> str:
        return f"gateway of {self._configuration}"

    @property
    def configuration(self) -> Configuration:
        """What it follows."""
        return self._configuration

    @property
    def in_force(self) -> pb.Gateway | None:
        """What is served; ``None`` before anything is. Not to be changed."""
        return self._in_force

    @property
    def serving(self) -> Replaceable | None:
        """What serves it; ``None`` before anything does."""
        return self._switch.present

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for several addresses, which workers cannot share."""
        return self._listeners[0].address if len(self._listeners) == 1 else None

    @property
    def takes_socket(self) -> bool:
        """Whether it can listen on a socket that another process made; see ``Shareable``."""
        return True

    def share(self, place: socket.socket | Address, /) -> None:
        """Serve on a socket that other processes have, too; see ``Shareable``."""
        assert isinstance(place, socket.socket), "takes_socket says so"
        (listener,) = self._listeners
        listener.share(place)

    def mount(self, mount: Mount, /) -> None:
        """Take the application's health and meter; see ``Mountable``. Services are not served."""
        for listener in self._listeners:
            listener.mount(mount)

    async def bind(self) -> Sequence[str]:
        """Reserve all addresses and return their URLs; see ``Endpointer``.

        Raises:
            StartupError: An address is in use or does not exist here; names it.
            ConfigError: A certificate cannot be used.
        """
        try:
            return tuple([url for listener in self._listeners for url in await listener.bind()])
        except BaseException:
            await self._release()
            raise

    async def start(self) -> None:
        """Serve until ``stop`` has ended; see ``Server``.

        Raises:
            StartupError: An address cannot be had after all.
            ConfigError: The first configuration cannot be had, or not be served.

        Cancellation: cuts off every connection and lets the cancellation pass.
        """
        await self.bind()
        try:
            if not await self._opened():
                return
            self._following = asyncio.create_task(
                self._configuration.follow(self.apply), name="kratos-gateway-configuration"
            )
            await self._serve()
        except BaseException:
            await self._release()
            raise
        finally:
            await self._close()

    async def ready(self) -> None:
        """Return when connections are accepted at all addresses; see ``Readying``."""
        for listener in self._listeners:
            await listener.ready()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return.

        Idempotent.

        Cancellation: cancels what is in flight.
        """
        self._stopping.set()
        for task in (self._opening, self._following):
            if task is not None:
                task.cancel()
        await self._release()

    async def apply(self, config: pb.Gateway, /) -> None:
        """Serve a configuration in place of the present one, which ends its requests.

        Args:
            config: It is kept, and not to be changed.

        Raises:
            Exception: It cannot be served, and what is served stays.

        Cancellation: what is served stays.
        """
        async with self._applying:
            try:
                made = await self._build(config)
            except Exception:
                self._metrics.reloaded(success=False)
                raise
            before = self._switch.replace(made)
            self._in_force = config
            self._metrics.reloaded(success=True)
            _log.info(
                "the configuration of %s is in force: version %r, %d endpoints",
                self._configuration,
                config.version,
                len(config.endpoints),
            )
            if before is not None:
                work = self._switch.retire(before, drain=self._drain)
                task = asyncio.create_task(work, name="kratos-gateway-retiring")
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    async def _opened(self) -> bool:
        """Serve the first configuration; tell whether that was not cut short by ``stop``."""
        if self._stopping.is_set():
            return False
        self._opening = asyncio.create_task(self._open(), name="kratos-gateway-opening")
        try:
            await asyncio.wait([self._opening])
        finally:
            await cancel_and_wait(self._opening)
        if self._stopping.is_set() and self._opening.cancelled():
            return False
        self._opening.result()
        return True

    async def _open(self) -> None:
        await self.apply(await self._configuration.begin())

    async def _serve(self) -> None:
        """Serve at all addresses; what fails at one ends all."""
        tasks = [asyncio.create_task(each.start(_nothing)) for each in self._listeners]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await cancel_and_wait(*tasks)

    async def _release(self) -> None:
        """Stop all listeners, which closes what they reserved."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners))

    async def _close(self) -> None:
        """Give back everything; no request is under way."""
        if self._following is not None:
            await cancel_and_wait(self._following)
        if self._retiring:
            # They end by themselves, unless a handler ignored its cancellation.
            await asyncio.wait(self._retiring, timeout=self._cancel_grace)
            await cancel_and_wait(*self._retiring)
        await self._switch.aclose()
        await self._configuration.aclose()


@asynccontextmanager
async def _nothing() -> AsyncGenerator[None]:
    """Nothing is mounted that would have a life of its own."""
    yield
