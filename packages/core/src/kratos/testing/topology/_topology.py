"""Several services, one registry, one source of configuration, in one test."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, overload

from kratos import plugins
from kratos.app import App
from kratos.client import Client
from kratos.config import MemorySource
from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.registry import Registry
from kratos.registry.memory import MemoryRegistry
from kratos.testing.call_faults import CallFaults
from kratos.testing.connector import FakeConnector
from kratos.testing.faults import FaultyRegistry
from kratos.testing.leaks import LeakCheck
from kratos.testing.log import MemoryLogger
from kratos.testing.topology._calls import Calls
from kratos.testing.topology._registry import TopologyRegistry
from kratos.testing.topology._replica import Replica
from kratos.testing.topology._server import LocalServer
from kratos.transport import Connector
from kratos.transport.server import Endpointer, Server

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["Replicas", "Topology"]

_LOCAL: Final = "local"  # the scheme of what has no socket
_FIRST: Final = 1.0  # seconds for a client to become ready
_EVERY: Final = 0.05  # seconds between looks
_PATIENCE: Final = 0.5  # seconds for what is about to end, after everything was awaited


class Replicas(Sequence[Replica]):
    """Running applications of one service."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = tuple(replicas)

    @overload
    def __getitem__(self, index: int, /) -> Replica: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[Replica]: ...
    def __getitem__(self, index: int | slice, /) -> Replica | Sequence[Replica]:
        return self._replicas[index]

    def __len__(self) -> int:
        return len(self._replicas)

    @property
    def ready(self) -> bool:
        """Whether all are."""
        return all(each.ready for each in self._replicas)

    @property
    def registered(self) -> bool:
        """Whether all believe to be."""
        return all(each.registered for each in self._replicas)

    async def stop(self) -> None:
        """Stop all in order, one after the other, as a rollout does."""
        for each in self._replicas:
            await each.stop()

    async def stop_at_once(self) -> None:
        """Stop all in order, at the same time."""
        await asyncio.gather(*(each.stop() for each in self._replicas))


class Topology:
    """Whole applications, their clients, a registry and a source of configuration, in one process.

    An async context manager, for ``in_virtual_time``: minutes pass in no time, and nothing depends
    on how busy the machine is. At its end clients are closed and applications are stopped; then
    the registry has to be empty, and no task, thread or socket may be left.

    Applications are built as in production, and run with these options in place of their own: the
    topology's registry, a log and a meter that can be asked, no signals. Servers with an address
    are replaced by one in process, so what only those have (their own middleware, routes, limits)
    takes no part; name a ``transport`` to keep them. Others, such as periodic jobs, stay.

    Args:
        transport: ``None`` for calls in process; or the name of an installed transport, by whose
            endpoints clients reach the applications. Let them listen on ``127.0.0.1:0``. Over
            ``http`` virtual time works; gRPC's core has threads of its own, so it needs the real.
        registry: What keeps the publications; one in memory by default.
        ttl: Seconds that a publication in the registry in memory outlives its last renewal.
        config: What the source of configuration says at first.
        timeout: Seconds that servers in process give a unary call; ``None`` for no limit.
        seed: Of the faults.

    Attributes:
        registry: The registry, and what befalls it.
        config: The source; give it to a ``Config`` of an application.
        faults: What befalls calls of clients made here.
        calls: How they ended.
        meter: Figures of clients made here.
    """

    def __init__(
        self,
        *,
        transport: str | None = None,
        registry: Registry | None = None,
        ttl: float = 15.0,
        config: Mapping[str, str] | None = None,
        timeout: float | None = 1.0,
        seed: int = 0,
    ) -> None:
        self.registry = TopologyRegistry(MemoryRegistry(ttl=ttl) if registry is None else registry)
        self.config = MemorySource(config)
        self.faults = CallFaults(seed=seed)
        self.calls = Calls()
        self.meter = MemoryMeter()
        self._transport = transport
        self._timeout = timeout
        self._network = FakeConnector(scheme=_LOCAL)
        self._replicas: list[Replica] = []
        self._stack = AsyncExitStack()
        self._check: LeakCheck | None = None

    async def start(self, build: Callable[[], App], /, *, replicas: int = 1) -> Replicas:
        """Build and run an application so many times, and return when all of them serve.

        Args:
            build: Makes the application, as for ``kratos.run``.
            replicas: How many.

        Raises:
            RuntimeError: The topology was not entered.
            ConfigError: What is built has no name, by which it could be found.
            Exception: What the start of an application raises.
        """
        self._entered()
        started: list[Replica] = []
        for _ in range(replicas):
            replica = self._make(build())
            self._replicas.append(replica)
            started.append(replica)
            await replica.start()
        return Replicas(started)

    def client(self, target: str, /, **options: Any) -> Client:
        """Return a client, not yet entered: for the ``resources`` of an application, for example.

        Args:
            target: Name of a service, or a target as ``Client`` takes it.
            options: Of the client, besides ``discovery`` and ``transport``.
        """
        middleware: Sequence[AnyMiddleware] = options.pop("middleware", ())
        options.setdefault("meter", self.meter)
        return Client(
            target if ":" in target else f"discovery:///{target}",
            discovery=self.registry,
            transport=self.faults.connector(self._connector()),
            middleware=[self.calls, *middleware],
            **options,
        )

    async def connect(self, target: str, /, **options: Any) -> Client:
        """Return a client that is open until the end of the topology; arguments as ``client``.

        It has a node that is ready; or there was none for a second, which is no error here.
        """
        self._entered()
        client = await self._stack.enter_async_context(self.client(target, **options))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST):
                await client.ready()
        return client

    async def pass_time(self, seconds: float, /) -> None:
        """Let so much of the loop's time pass."""
        await asyncio.sleep(seconds)

    async def until(
        self, condition: Callable[[], object | Awaitable[object]], /, *, within: float
    ) -> float:
        """Wait for a condition, and return the seconds that it took.

        Args:
            condition: Returns something true, or a coroutine that does.
            within: Seconds after which it is too late.

        Raises:
            AssertionError: It is.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return loop.time() - began
            if loop.time() - began >= within:
                raise AssertionError(f"not within {within:g} s")
            await asyncio.sleep(_EVERY)

    async def registered(self, service: str, number: int, /, *, within: float) -> float:
        """Wait until the registry holds so many instances, and return the seconds that it took.

        Raises:
            AssertionError: It is too late; says how many there are.
        """

        async def listed() -> bool:
            return len(await self.registry.instances(service)) == number

        try:
            return await self.until(listed, within=within)
        except AssertionError:
            found = len(await self.registry.instances(service))
            raise AssertionError(
                f"{found} instances of {service} are registered after {within:g} s, not {number}"
            ) from None

    async def __aenter__(self) -> Self:
        if self._check is not None:
            raise RuntimeError("a topology is entered once")
        self._check = LeakCheck()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with AsyncExitStack() as stack:
            for replica in self._replicas:  # left in reverse: the last one started stops first
                stack.push_async_callback(replica.stop)
            stack.push_async_callback(self._stack.aclose)
            stack.callback(self.faults.clear)
            stack.callback(self.registry.up)
        await self.registry.empty()
        if error is None:  # else that would hide what is wrong
            await self._assert_nothing_left()

    async def _assert_nothing_left(self) -> None:
        expiring = {each.app.id for each in self._replicas if each.killed or each.stranded}
        left = [each for each in await self.registry.held() if each.id not in expiring]
        if left:
            raise AssertionError(f"still registered: {', '.join(map(str, left))}")
        assert self._check is not None, "entered"
        await self._check.nothing_left(patience=_PATIENCE)

    def _entered(self) -> None:
        if self._check is None:
            raise RuntimeError("a topology is to be entered: async with Topology() as t")

    def _make(self, app: App) -> Replica:
        if not app.name:
            raise ConfigError("an application of a topology needs a name, by which it is found")
        line = FaultyRegistry(self.registry, self.registry)
        log, meter = MemoryLogger(), MemoryMeter()
        server: LocalServer | None = None
        app.adapt(
            lambda options: replace(options, registrar=line, log=log, metrics=meter, signals=())
        )
        if self._transport is None:
            address = f"{app.name}-{len(self._replicas)}:1"
            server = LocalServer(self._network, address, timeout=self._timeout)
            served = [server, *_without_address(app.options.servers)]
            hosted = _without_address(app.options.host_servers)
            app.adapt(lambda options: replace(options, servers=served, host_servers=hosted))
        return Replica(
            app,
            registry=line,
            faults=self.faults,
            log=log,
            meter=meter,
            server=server,
            scheme=self._transport or _LOCAL,
        )

    def _connector(self) -> Connector:
        if self._transport is None:
            return self._network
        made: Connector = plugins.load("kratos.transport", self._transport)(tls=None)
        return made


def _without_address(servers: Sequence[Server]) -> list[Server]:
    return [each for each in servers if not isinstance(each, Endpointer)]
