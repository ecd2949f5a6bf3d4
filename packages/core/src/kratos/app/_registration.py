"""The application's place in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kratos.app._options import Options
from kratos.errors import KratosError
from kratos.health import Health
from kratos.limit import cancel_and_wait, describe
from kratos.log import Level
from kratos.registry import (
    Keeper,
    Registrar,
    RegistrationState,
    RegistrationStatus,
    Registry,
    ServiceInstance,
    from_url,
)
from kratos.transport.server import AppInfo

__all__ = ["Publication"]

CHECK = "registration"


class Publication:
    """Registers one application and shows how that stands; does nothing without a registrar.

    Args:
        options: Of the application.
        changed: Called at every change, for instance to look at readiness again.
    """

    def __init__(self, options: Options, *, changed: Callable[[], None]) -> None:
        self._options = options
        self._changed = changed
        self._keeper: Keeper | None = None
        self._registrar: Registrar | None = None
        self._info: AppInfo | None = None
        self._wanted = True
        self._withdrawn = False
        self._woken = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._own: Registry | None = None  # made from a URL, so ours to close
        self._states = options.metrics.gauge(
            "kratos_registration_state",
            description="1 for the state of the registration, 0 for the others",
            labels=("state",),
        )
        self._failures = options.metrics.counter(
            "kratos_registration_failures_total",
            description="failed attempts to register or to renew",
        )

    @property
    def status(self) -> RegistrationStatus | None:
        """How the registration stands; ``None`` before it begins or without a registrar."""
        return None if self._keeper is None else self._keeper.status

    def open(self) -> Registrar | None:
        """Return the registrar, made from its URL if need be; nothing is connected yet.

        Raises:
            ConfigError: The URL is wrong.
            PluginNotFound: No adapter for its scheme is installed.
        """
        if isinstance(self._options.registrar, str):
            self._own = from_url(self._options.registrar)
            return self._own
        return self._options.registrar

    def add_check(self, health: Health) -> None:
        """Make readiness wait for the registration, if there is one."""
        if self._options.registrar is not None:
            # The keeper tells how it stands, and every start begins without a registration.
            health.add_check(CHECK, self._check, ttl=0.0, logged=False)

    async def start(self, registrar: Registrar, info: AppInfo) -> None:
        """Begin to keep the application registered.

        Raises:
            RegistryUnavailable: Registration is required, and the first attempt failed.
        """
        if not info.endpoints:
            self._options.log.log(
                Level.WARN, "the application registers without an endpoint: nobody can call it"
            )
        self._registrar, self._info = registrar, info
        self._keeper = self._keep(registrar, info)
        await self._keeper.start(require=self._options.require_registration)
        self._following = asyncio.create_task(self._follow(), name="kratos-registration")

    def want(self, wanted: bool) -> None:  # noqa: FBT001  the only argument
        """Have the application registered, or not; it follows in the background."""
        self._wanted = wanted
        self._woken.set()

    def update(self, info: AppInfo) -> None:
        """Publish other metadata in place of the present ones."""
        if self._keeper is None:
            return
        if self._withdrawn:
            raise RuntimeError(f"{info.name} is deregistered already")
        if self._keeper.status.state is not RegistrationState.GONE:
            self._keeper.update(instance_of(info))
        self._info = info

    async def withdraw(self) -> None:
        """Deregister; a failure is logged by the keeper and stops nothing."""
        if self._following is not None:
            await cancel_and_wait(self._following)
        self._withdrawn = True
        if self._keeper is not None:
            await self._keeper.aclose()

    async def aclose(self) -> None:
        """Release a registry that was made from a URL."""
        if self._own is not None:
            await self._own.aclose()

    async def _follow(self) -> None:
        """Register and deregister as is wanted."""
        assert self._keeper is not None
        assert self._registrar is not None
        assert self._info is not None
        while True:
            await self._woken.wait()
            self._woken.clear()
            gone = self._keeper.status.state is RegistrationState.GONE
            if not self._wanted and not gone:
                await self._keeper.aclose()
            elif self._wanted and gone:
                self._keeper = self._keep(self._registrar, self._info)
                await self._keeper.start()

    def _keep(self, registrar: Registrar, info: AppInfo) -> Keeper:
        return Keeper(
            registrar,
            instance_of(info),
            timeout=self._options.registrar_timeout,
            clock=self._options.clock,
            on_change=self._note,
        )

    def _check(self) -> None:
        status = self.status
        if status is None or not status.registered:
            state = RegistrationState.PENDING if status is None else status.state
            why = "" if status is None or status.last_error is None else describe(status.last_error)
            raise KratosError(f"registration is {state.value} {why}".rstrip())

    def _note(self, status: RegistrationStatus) -> None:
        for state in RegistrationState:
            self._states.labels(state.value).set(float(state is status.state))
        if status.failures:
            self._failures.inc()
        self._changed()


def instance_of(info: AppInfo) -> ServiceInstance:
    """Return what registries are told of an application."""
    return ServiceInstance(
        id=info.id,
        name=info.name,
        version=info.version,
        metadata=info.metadata,
        endpoints=info.endpoints,
    )
