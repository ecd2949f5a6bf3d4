"""What an application is made of, checked before anything is touched."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, cast

from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos.health import Health
from kratos.log import Logger
from kratos.metrics import Meter
from kratos.offload import Offload
from kratos.registry import Registrar
from kratos.transport.method import Service
from kratos.transport.operation import Missing
from kratos.transport.server import Mountable, Server, attends

if TYPE_CHECKING:
    from kratos.app._app import App
    from kratos.config import Config
    from kratos.middleware import AnyMiddleware

__all__ = ["Hook", "Options", "RegistrationBy", "Workers", "check_workers", "name_of"]

Hook: TypeAlias = "Callable[[App], Awaitable[None] | None]"
RegistrationBy: TypeAlias = Literal["host", "worker"]
Workers: TypeAlias = int | Literal["auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of ``App``, where they are described."""

    id: str
    name: str
    version: str
    metadata: Mapping[str, str]
    config: Config | None
    endpoints: Sequence[str]
    services: Sequence[Service]
    middleware: Sequence[AnyMiddleware]
    servers: Sequence[Server]
    host_servers: Sequence[Server]
    resources: Sequence[AbstractAsyncContextManager[Any]]
    missing: Missing
    registrar: Registrar | str | None
    registrar_timeout: float
    require_registration: bool
    workers: Workers
    registration: RegistrationBy
    min_ready: int
    startup_timeout: float | None
    stop_timeout: float | None
    drain_delay: float
    check_interval: float
    signals: Sequence[signal.Signals]
    before_start: Sequence[Hook]
    after_start: Sequence[Hook]
    before_stop: Sequence[Hook]
    after_stop: Sequence[Hook]
    health: Health
    offload: Offload
    log: Logger
    metrics: Meter
    count_calls: bool
    clock: Clock

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: An option is wrong; the text names it and says what to do.
        """
        self._check_identity()
        self._check_config()
        self._check_servers()
        self._check_resources()
        self._check_registrar()
        self._check_workers()
        self._check_times()
        self._check_surroundings()
        for number in _items("signals", self.signals):
            if not isinstance(number, signal.Signals):
                raise ConfigError(f"signals: {number!r} is no signal; write it like signal.SIGTERM")
        for group in ("before_start", "after_start", "before_stop", "after_stop"):
            for hook in _items(group, getattr(self, group)):
                if not callable(hook):
                    raise ConfigError(f"{group}: {hook!r} is no function that takes the App")

    def _check_identity(self) -> None:
        for option in ("id", "name", "version"):
            value: object = getattr(self, option)
            if not isinstance(value, str):
                raise ConfigError(f"{option} must be text, not {value!r}")
        if not self.id:
            raise ConfigError("id must not be empty; leave it out to have one made")
        if not isinstance(cast("object", self.metadata), Mapping):
            raise ConfigError(f"metadata must map text to text, not {self.metadata!r}")
        for key, value in cast("Mapping[Any, Any]", self.metadata).items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ConfigError(
                    f"metadata must map text to text; write {key!r}: {str(value)!r} as text"
                )
        for endpoint in _items("endpoints", self.endpoints):
            if not isinstance(endpoint, str) or not endpoint:
                raise ConfigError(
                    f"endpoints: {endpoint!r} is no URL; write it like 'http://10.0.0.1:8000'"
                )

    def _check_config(self) -> None:
        if self.config is None:
            return
        from kratos.config import Config  # programs without one do not pay for it

        if not isinstance(self.config, Config):  # pyright: ignore[reportUnnecessaryIsInstance]
            # It may hold secrets, and is not shown.
            raise ConfigError(
                f"config must be a Config, not {type(self.config).__name__}: "
                "write Config(FileSource('configs'))"
            )

    def _check_servers(self) -> None:
        seen: set[int] = set()
        for option in ("servers", "host_servers"):
            for index, server in enumerate(_items(option, getattr(self, option))):
                where = f"{option}[{index}]"
                if isinstance(server, type) or not isinstance(server, Server):
                    raise ConfigError(
                        f"{where}: {server!r} must be an object with async start() and stop()"
                    )
                if id(server) in seen:
                    raise ConfigError(f"{where}: {name_of(server)} is listed twice")
                seen.add(id(server))
        _items("middleware", self.middleware)
        for index, service in enumerate(_items("services", self.services)):
            if isinstance(service, type):
                raise ConfigError(
                    f"services[{index}]: {name_of(service)} must be an instance, not a class"
                )
            if not isinstance(service, Service):
                raise ConfigError(
                    f"services[{index}]: {name_of(service)} has no generated service class "
                    "among its bases"
                )
        serving = [server for server in self.servers if not attends(server)]
        if self.services and not any(isinstance(server, Mountable) for server in serving):
            raise ConfigError(
                f"services: nothing can serve {name_of(self.services[0])}; "
                "add a server that can, such as HttpServer or GrpcServer, to servers"
            )

    def _check_resources(self) -> None:
        for index, resource in enumerate(_items("resources", self.resources)):
            if isinstance(resource, type) or not isinstance(resource, AbstractAsyncContextManager):
                raise ConfigError(
                    f"resources[{index}]: {resource!r} must be an asynchronous context manager, "
                    "such as a Client"
                )

    def _check_registrar(self) -> None:
        if self.registrar is None:
            if self.require_registration:
                raise ConfigError("require_registration needs a registrar")
            return
        if not self.name:
            raise ConfigError("name must not be empty, because the registrar publishes it")
        if not isinstance(self.registrar, str) and not callable(
            getattr(self.registrar, "register", None)
        ):
            raise ConfigError(
                f"registrar: {self.registrar!r} has no register(); pass a registry or its URL"
            )

    def _check_workers(self) -> None:
        check_workers(self.workers)
        if self.registration not in ("host", "worker"):
            raise ConfigError(f"registration must be 'host' or 'worker', not {self.registration!r}")
        if not isinstance(cast("object", self.min_ready), int) or self.min_ready < 1:
            raise ConfigError(f"min_ready must be a number of workers from 1, not {self.min_ready}")
        if self.registration == "worker" and self.endpoints:
            raise ConfigError(
                "endpoints are the same for all workers, so they go with registration='host'; "
                "leave them out to have each worker publish its own"
            )

    def _check_surroundings(self) -> None:
        if isinstance(self.log, logging.Logger):  # has a method log, too, but another one
            raise ConfigError("log must be a logger of Kratos: write StdLogger(logger)")
        for option, does in (("log", "log"), ("metrics", "counter")):
            value: object = getattr(self, option)
            if not callable(getattr(value, does, None)):
                raise ConfigError(f"{option}: {value!r} has no {does}()")
        if not isinstance(cast("object", self.count_calls), bool):
            raise ConfigError(f"count_calls must be True or False, not {self.count_calls!r}")
        if not isinstance(cast("object", self.missing), Missing):
            raise ConfigError(
                f"missing must be Missing.REFUSE or Missing.UNIMPLEMENTED, not {self.missing!r}"
            )

    def _check_times(self) -> None:
        for option in ("registrar_timeout", "startup_timeout", "stop_timeout", "check_interval"):
            value: object = getattr(self, option)
            if value is not None and not (_is_time(value) and value > 0):
                unlimited = " or None for no limit" if option.startswith("st") else ""
                raise ConfigError(f"{option} must be a positive number of seconds{unlimited}")
        if not (_is_time(self.drain_delay) and self.drain_delay >= 0):
            raise ConfigError("drain_delay must be a number of seconds, 0 for none")


def check_workers(workers: object) -> None:
    """Refuse what is no number of workers.

    Raises:
        ConfigError: It is none.
    """
    number = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 0
    if not number and workers != "auto":
        raise ConfigError(
            f"workers must be a number from 0, or 'auto' for one on each core, not {workers!r}"
        )


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _items(option: str, values: object) -> Sequence[object]:
    """Return a sequence option; a text would be taken for a sequence of its characters."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f"{option} must be a list, not {values!r}")
    return cast("Sequence[object]", values)


def name_of(thing: object) -> str:
    """Return how to call a server, a service or a hook in errors and logs."""
    name = getattr(thing, "__qualname__", None)
    if isinstance(name, str):
        return name
    text = str(thing)
    return type(thing).__name__ if text == object.__repr__(thing) else text
