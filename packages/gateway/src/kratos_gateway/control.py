"""A control service that tells gateways what to serve (Go: ``config-loader``)."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import describe, one_line
from kratos.options import require_number
from kratos.selector import Node
from kratos.transport import CallOptions, ChainCaller, Connection
from kratos.url import Url, parse_url
from kratos_gateway.gates import PRIORITY_CONFIG, Gates
from kratos_gateway.release import ConfigFiles, Release
from kratos_http import ClientReply, HttpClient, HttpConnector

__all__ = ["ControlService", "Identity"]

_log = logging.getLogger("kratos.gateway")

_PATH: Final = "/v1/control/gateway/"
_INTERVAL: Final = 5.0  # seconds, as in Go
_TIMEOUT: Final = 10.0
_PORTS: Final = {"http": 80, "https": 443}
_BACKOFF: Final = Backoff(base=1.0, cap=60.0)


class Identity:
    """Who a gateway is to its control service.

    Args:
        name: Its name.
        address: Address of its machine.
    """

    __slots__ = ("address", "name")

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address


class ControlService:
    """Asks control services for releases and for feature gates, and writes what they tell to files.

    Of several services the same one is asked until it fails; after a failure, which is logged,
    the next one is asked, later and later until one answers. A release that cannot be read is not
    written, so the files stay good.

    Args:
        urls: Base URLs of the services, ``http`` or ``https``.
        identity: Who asks.
        files: Where releases go; ``None`` to ask for feature gates alone, as workers do of which
            another one writes.
        gates: What is switched.
        interval: Seconds between two questions that are answered.
        timeout: Seconds for one answer.
        backoff: Waits after failures.
        clock: Time for all waits.
        random: Gives numbers of [0, 1).
        shuffle: Brings the services into an order, so that gateways differ in it.

    Raises:
        ConfigError: A URL is none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        identity: Identity,
        files: ConfigFiles | None,
        gates: Gates,
        interval: float = _INTERVAL,
        timeout: float = _TIMEOUT,
        backoff: Backoff = _BACKOFF,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
        shuffle: Callable[[list[Any]], None] = random.shuffle,
    ) -> None:
        require_number("interval", interval, above=0)
        require_number("timeout", timeout, above=0)
        if not urls:
            raise ConfigError("a control service has at least one URL")
        self._services = [_Service(url, timeout=timeout) for url in urls]
        shuffle(self._services)
        self._identity = identity
        self._files = files
        self._gates = gates
        self._interval = interval
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._at = 0
        self._failures = 0
        self._version = ""
        self._priorities: dict[str, str] = {}

    async def run(self, written: Callable[[], None], /) -> None:
        """Ask until cancelled.

        Args:
            written: Called when files have changed.
        """
        while True:
            await self._clock.sleep(self._pause())
            if await self.ask():
                written()

    async def ask(self) -> bool:
        """Ask once; failures are logged, and the next question goes to the next service.

        Returns:
            Whether files have changed.

        Cancellation: files are whole; a release that was told may be asked for again.
        """
        service = self._services[self._at]
        changed = False
        try:
            if self._files is not None:
                changed = await self._ask_release(service, self._files)
            await self._ask_features(service)
        except Exception as error:
            self._failures += 1
            self._at = (self._at + 1) % len(self._services)
            _log.error("control service %s: %s; what is served stays", service, _told(error))
        else:
            self._failures = 0
        return changed

    def inspect(self) -> Mapping[str, Any]:
        """Return what Go's gateway tells of its own, under its names."""
        return {
            "ctrl_service": [str(each) for each in self._services],
            "ctrl_service_idx": self._at,
            "next_ctrl_service": str(self._services[(self._at + 1) % len(self._services)]),
            "dst_path": "" if self._files is None else str(self._files.path),
            "hostname": self._identity.name,
            "advertise_addr": self._identity.address,
        }

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        for service in self._services:
            await service.aclose()

    def _pause(self) -> float:
        if not self._failures:
            return self._interval
        return max(self._interval, self._backoff.delay(self._failures - 1, self._random))

    async def _ask_release(self, service: _Service, files: ConfigFiles) -> bool:
        query = self._who()
        query["last_version"] = self._version
        wants_priorities = files.has_priorities and self._gates.enabled(PRIORITY_CONFIG)
        if wants_priorities:
            query["supportPriorityConfig"] = "1"
            query["lastPriorityVersions"] = [
                f"{key}={version}" for key, version in self._priorities.items()
            ]
        reply = await service.get("release", query)
        if reply.status == 304:
            return False
        release = await asyncio.to_thread(_release, reply)  # of thousands of endpoints, maybe
        # Not before it is written: what failed is to be told again.
        await asyncio.to_thread(files.write, release)
        self._version = release.version
        self._priorities = {each.key: each.version for each in release.priorities}
        _log.info("control service %s: version %r is written", service, release.version)
        return True

    async def _ask_features(self, service: _Service) -> None:
        told = _json(await service.get("features", self._who()))
        features = cast("dict[str, Any]", told).get("features") if isinstance(told, dict) else None
        if not isinstance(features, dict):
            raise ConfigError("the answer about features has none")
        states = cast("dict[str, Any]", features)
        self._gates.switch({name: state for name, state in states.items() if _is_state(state)})

    def _who(self) -> dict[str, str | Sequence[str]]:
        return {"gateway": self._identity.name, "ip_addr": self._identity.address}


class _Service:
    """One control service."""

    def __init__(self, text: str, *, timeout: float) -> None:
        url = parse_url(text)
        if url.scheme not in _PORTS or len(url.hosts) != 1 or url.query:
            raise ConfigError(f"{url}: a control service is http://host:port, or https")
        self._url = url
        self._timeout = timeout
        self._connection = _connection(url, timeout)
        caller = ChainCaller(self._connection.invoke, transport="http", endpoint=str(url))
        self._http = HttpClient(caller)

    def __str__(self) -> str:
        return str(self._url)

    async def get(self, name: str, query: Mapping[str, str | Sequence[str]]) -> ClientReply:
        """Return an answer: a release, or 304.

        Raises:
            Error: There is none in time.
            ConfigError: It has another status.
        """
        reply = await self._http.request(
            "GET",
            f"{self._url.path.rstrip('/')}{_PATH}{name}",
            query=query,
            operation=f"{_PATH}{name}",
            any_status=True,
            options=CallOptions(timeout=self._timeout),
        )
        if reply.status not in (200, 304):
            raise ConfigError(f"its answer about the {name} has the status {reply.status}")
        return reply

    async def aclose(self) -> None:
        await self._connection.aclose()


def _connection(url: Url, timeout: float) -> Connection:
    (address,) = url.addresses(_PORTS[url.scheme])
    connector = HttpConnector(connect_timeout=timeout, max_connections=2)
    return connector.connect(Node(scheme="http", address=address, secure=url.scheme == "https"))


def _release(reply: ClientReply) -> Release:
    return Release.of(_json(reply))


def _json(reply: ClientReply) -> object:
    try:
        return json.loads(reply.body)
    except ValueError as error:
        raise ConfigError(f"its answer is no JSON: {error}") from error


def _told(error: Exception) -> str:
    if isinstance(error, Error):
        return one_line(error.message)
    return one_line(str(error)) if isinstance(error, ConfigError) else describe(error)


def _is_state(value: object) -> bool:
    return isinstance(value, bool)
