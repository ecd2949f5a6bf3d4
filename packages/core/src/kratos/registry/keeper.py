"""The loop that keeps an instance registered, whatever happens to the registry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Final

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import RegistrationLost, RegistryUnavailable
from kratos.limit import Limit, cancel_and_wait, describe, is_cancelled_from_outside
from kratos.registry._instance import ServiceInstance
from kratos.registry._interface import Registrar, Registration, name_of
from kratos.registry._schedule import Schedule
from kratos.registry._status import RegistrationState, RegistrationStatus, Reporter

__all__ = ["Keeper"]

_BACKOFF: Final = Backoff()


class Keeper:
    """Keeps one instance registered from ``start`` to ``aclose``, through every failure.

    Registers, with back-off and for ever; renews three times per ttl; registers again when the
    publication is lost; replaces it in place when the desired instance changes. Every change
    of state is logged and told to ``on_change``, so an outage is visible while it lasts.

    Args:
        registrar: Where to publish.
        instance: What to publish.
        timeout: Seconds for one attempt to register or to withdraw, and the most for one to
            renew.
        verify_every: Seconds between checks of a publication that does not expire.
        backoff: Waits between failed attempts.
        clock: Time for all waits.
        random: Gives numbers of [0, 1).
        on_change: Called with the status at each change of state and each failure; must not
            block; what it raises is logged.

    Raises:
        ValueError: The instance cannot be published.
    """

    def __init__(
        self,
        registrar: Registrar,
        instance: ServiceInstance,
        *,
        timeout: float = 10.0,
        verify_every: float = 60.0,
        backoff: Backoff = _BACKOFF,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        on_change: Callable[[RegistrationStatus], None] | None = None,
    ) -> None:
        instance.check()
        self._registrar = registrar
        self._name = name_of(registrar)
        self._desired = instance
        self._timeout = timeout
        self._clock = clock
        self._schedule = Schedule(backoff=backoff, verify_every=verify_every, random=random)
        self._report = Reporter(self._name, instance, clock=clock, on_change=on_change)
        self._registration: Registration | None = None
        self._published: ServiceInstance | None = None  # None again when it is lost
        self._losing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._tried: asyncio.Future[BaseException | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Lock()

    @property
    def status(self) -> RegistrationStatus:
        """The present state, its age and the last error."""
        return self._report.status

    async def start(self, *, require: bool = False) -> None:
        """Begin to keep the instance registered.

        Args:
            require: Wait for the first attempt, and fail if it does; else return at once and
                keep trying in the background.

        Raises:
            RegistryUnavailable: ``require``, and the first attempt failed; nothing is left.
            RuntimeError: Started or closed before.

        Cancellation: with ``require``, cleans up as ``aclose``.
        """
        if self._task is not None or self.status.state is RegistrationState.GONE:
            raise RuntimeError("a keeper starts once")
        self._tried = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"kratos-keeper {self._desired}")
        if not require:
            return
        try:
            error = await asyncio.shield(self._tried)
        except BaseException:
            await self.aclose()
            raise
        if error is not None:
            await self.aclose()
            raise RegistryUnavailable(
                f"{self._name} did not register {self._desired} "
                f"(limit {self._timeout:g} s): {describe(error)}"
            ) from error

    def update(self, instance: ServiceInstance) -> None:
        """Change the desired instance; it replaces the published one in place, in the background.

        Raises:
            ValueError: The instance cannot be published, or has another id or name.
            RuntimeError: The keeper is closed.
        """
        instance.check()
        if (instance.id, instance.name) != (self._desired.id, self._desired.name):
            raise ValueError(
                f"{self._desired} cannot become {instance}: id and name stay for life; "
                "close this keeper and start another"
            )
        if self.status.state is RegistrationState.GONE:
            raise RuntimeError(f"the keeper of {self._desired} is closed")
        self._desired = instance
        self._report.want(instance)
        self._wake.set()

    async def aclose(self) -> None:
        """Stop the loop, wait for its end, then withdraw; never raises because of the registry.

        A failed withdrawal is logged and shown in ``status``. Idempotent; may be called before
        ``start`` and concurrently.

        Cancellation: safe; call again to withdraw.
        """
        async with self._closing:
            if self.status.state is RegistrationState.GONE:
                return
            if self._task is not None:
                await cancel_and_wait(self._task)
            error = await self._withdraw()
            if error is None:
                self._report.reached(RegistrationState.GONE)
            else:
                self._report.failed(RegistrationState.GONE, error, next_in=None)

    async def _run(self) -> None:
        try:
            while True:
                now = self._clock.time()
                if self._published != self._desired and now >= self._schedule.register_at:
                    await self._register()
                elif (
                    self._registration is not None
                    and self._published is not None
                    and now >= self._schedule.renew_at
                ):
                    await self._renew(self._registration)
                else:
                    await self._pause(now)
        finally:
            if self._tried is not None and not self._tried.done():
                self._tried.set_result(RuntimeError("the keeper ended"))
            await self._listen(None)

    async def _register(self) -> None:
        error = await self._attempt(self._publish(self._desired), self._timeout)
        if error is None:
            await self._listen(self._registration)
        else:
            delay = self._schedule.register_failed(self._clock.time())
            # What was published before still stands while its replacement is refused.
            replacing = self._published is not None
            state = RegistrationState.DEGRADED if replacing else self.status.state
            self._report.failed(state, error, next_in=delay)
        if self._tried is not None and not self._tried.done():
            self._tried.set_result(error)

    async def _publish(self, wanted: ServiceInstance) -> None:
        started = self._clock.time()
        self._registration = await self._registrar.register(wanted)
        # Nothing waits from here on, so no cancellation can lose track of the publication.
        self._published = wanted
        self._schedule.registered(started, self._registration.ttl)
        self._settled()

    async def _renew(self, registration: Registration) -> None:
        started = self._clock.time()
        limit = min(self._timeout, self._schedule.interval(registration.ttl))
        error = await self._attempt(registration.renew(), limit)
        now = self._clock.time()
        if error is None:
            self._schedule.renewed(started, registration.ttl)
            self._settled()
            if self._losing is None:
                await self._listen(registration)
        elif isinstance(error, RegistrationLost) or now >= self._schedule.good_until:
            await self._lose(error)
        else:
            delay = self._schedule.renew_failed(now)
            self._report.failed(RegistrationState.DEGRADED, error, next_in=delay)

    def _settled(self) -> None:
        if self._published == self._desired:
            self._report.reached(RegistrationState.HELD)

    async def _pause(self, now: float) -> None:
        """Wait for the next attempt that is due, a change of the instance, or a loss."""
        due = [self._schedule.register_at] if self._published != self._desired else []
        due += [self._schedule.renew_at] if self._published is not None else []
        waiting = [
            asyncio.create_task(self._clock.sleep(min(due) - now)),
            asyncio.create_task(self._changed()),
        ]
        losing = [] if self._losing is None else [self._losing]
        try:
            await asyncio.wait([*waiting, *losing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waiting)
        if self._losing is not None and self._losing.done():
            await self._hear(self._losing)

    async def _changed(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    async def _hear(self, losing: asyncio.Task[None]) -> None:
        """Act on the end of ``Registration.lost``."""
        error = asyncio.CancelledError() if losing.cancelled() else losing.exception()
        if error is None or isinstance(error, RegistrationLost):
            await self._lose(error or RegistrationLost(f"{self._name} reported the loss"))
            return
        # It only failed to listen: see whether the publication stands, and listen again then.
        await self._listen(None)
        delay = self._schedule.unheard(self._clock.time())
        self._report.failed(RegistrationState.DEGRADED, error, next_in=delay)

    async def _lose(self, error: BaseException) -> None:
        await self._listen(None)
        self._published = None
        if isinstance(error, RegistrationLost):
            # Surely gone. After mere silence it may reappear, and is withdrawn at the end.
            self._registration = None
        delay = self._schedule.lost(self._clock.time())
        self._report.failed(RegistrationState.LOST, error, next_in=delay)

    async def _listen(self, registration: Registration | None) -> None:
        """Wait for the loss of ``registration``, and no longer for that of an earlier one."""
        earlier, self._losing = self._losing, None
        if earlier is not None:
            await cancel_and_wait(earlier)
        if registration is not None:
            self._losing = asyncio.create_task(registration.lost())

    async def _withdraw(self) -> BaseException | None:
        if self._registration is None:
            return None
        return await self._attempt(self._registration.withdraw(), self._timeout)

    async def _attempt(
        self, work: Coroutine[object, object, None], limit: float
    ) -> BaseException | None:
        """Return what went wrong; only a cancellation of the running task is raised."""
        try:
            async with Limit(self._clock, limit):
                await work
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                raise
            return error
        return None
