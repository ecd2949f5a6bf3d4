"""One running application of a topology."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from kratos.app import App
from kratos.metrics import MemoryMeter
from kratos.registry import RegistrationState
from kratos.testing.app import running
from kratos.testing.call_faults import CallFaults
from kratos.testing.faults import FaultyRegistry
from kratos.testing.log import MemoryLogger
from kratos.testing.topology._server import LocalServer

__all__ = ["Replica"]


class Replica:
    """One running application, and what befalls it alone.

    Attributes:
        app: The application.
        registry: Its own line to the registry, which may be cut, stalled or slow.
        log: What it has logged by the application's logger.
        meter: Its figures.
        killed: Whether it was ended without a farewell.
    """

    def __init__(
        self,
        app: App,
        *,
        registry: FaultyRegistry,
        faults: CallFaults,
        log: MemoryLogger,
        meter: MemoryMeter,
        server: LocalServer | None,
        scheme: str,
    ) -> None:
        self.app = app
        self.registry = registry
        self.log = log
        self.meter = meter
        self.killed = False
        self._faults = faults
        self._server = server
        self._scheme = scheme
        self._running: AbstractAsyncContextManager[App] | None = None

    def __repr__(self) -> str:
        return f"<Replica {self.app.name} {self.app.id}>"

    @property
    def address(self) -> str:
        """Where clients of the topology find it.

        Raises:
            LookupError: It has no endpoint of the topology's transport.
        """
        for url in self.app.endpoints:
            scheme, _, rest = url.partition("://")
            if scheme == self._scheme:
                return rest.partition("?")[0]
        raise LookupError(f"{self!r} has no endpoint {self._scheme}://, but {self.app.endpoints}")

    @property
    def ready(self) -> bool:
        """Whether its readiness probe would say so."""
        return self.app.health.ready

    @property
    def registered(self) -> bool:
        """Whether it believes that it is in the registry."""
        status = self.app.registration
        return status is not None and status.state is RegistrationState.HELD

    @property
    def stranded(self) -> bool:
        """Whether it could not deregister, so that its entry stays until it expires."""
        status = self.app.registration
        return status is not None and status.state is RegistrationState.GONE and status.failures > 0

    @property
    def running(self) -> bool:
        """Whether it has been started and has not stopped."""
        return self._running is not None

    @property
    def in_flight(self) -> int:
        """How many calls it is serving.

        Raises:
            LookupError: It has servers of its own, which do not tell.
        """
        if self._server is None:
            raise LookupError(f"{self!r} serves by sockets, which do not tell what is in flight")
        return self._server.in_flight

    async def start(self) -> None:
        """Run it, and return when it serves (for topologies).

        Raises:
            Exception: What its ``run`` raises.
        """
        running_app = running(self.app)
        await running_app.__aenter__()
        self._running = running_app

    async def stop(self) -> None:
        """Stop it in order, and return when it has stopped; idempotent.

        Raises:
            Exception: What its ``run`` raises.
        """
        running_app, self._running = self._running, None
        if running_app is not None:
            await running_app.__aexit__(None, None, None)

    async def kill(self) -> None:
        """End it as ``SIGKILL`` does, for all others: no farewell to clients or to the registry.

        Its entry stays until it expires. Its stop hooks do run, which those of a killed process
        would not.
        """
        self.killed = True
        self.registry.cut()
        if self._server is not None:
            self._server.crash()
        self.app.hurry()
        await self.stop()

    def slow(self, seconds: float, /) -> None:
        """Let each call to it take so long before it goes on, until the faults are cleared."""
        self._faults.delay(seconds, address=self.address)

    def half_open(self) -> None:
        """Let the way to it fall silent, as when its machine dies, until ``restore``."""
        self._faults.half_open(self.address)

    def go_away(self) -> None:
        """Let it refuse what is new and finish what it has, as a GOAWAY says, until ``restore``."""
        self._faults.go_away(self.address)

    def restore(self) -> None:
        """Undo ``half_open`` and ``go_away``."""
        self._faults.restore(self.address)
