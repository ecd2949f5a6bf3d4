"""Asking nodes whether they are well, before requests find out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import Limit, cancel_and_wait
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.backend.connections import NodeConnection, Place
from kratos_gateway.exchange import Answer, Request, RequestOptions
from kratos_gateway.headers import first
from kratos_gateway.times import in_seconds
from kratos_http.carrier import TooLarge

__all__ = ["Findings", "ProbePlan", "Probes", "plan_of"]

_log = logging.getLogger("kratos.gateway")

_TIMEOUT: Final = 1.0  # seconds
_UNHEALTHY: Final = 3
_HEALTHY: Final = 1
_LONGEST_NAME: Final = 127  # bytes
_MOST: Final = 1024  # bytes that an answer of gRPC may have
_SERVING: Final = b"\0\0\0\0\2\x08\x01"  # a message of the status SERVING, in its frame
_LEAST_BAD: Final = 400

_Listener = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """How a node is asked.

    Attributes:
        path: What a ``GET`` asks for; empty for ``grpc.health.v1.Health`` of gRPC.
        service: Whose health gRPC is asked for; empty for that of the whole server.
        interval: Seconds from an answer to the next question.
        timeout: Seconds for an answer.
        unhealthy: Bad answers in a row after which a node gets no requests.
        healthy: Good ones after which it gets them again.
    """

    path: str
    service: str
    interval: float
    timeout: float
    unhealthy: int
    healthy: int


def plan_of(backend: pb.Backend, *, grpc: bool) -> ProbePlan | None:
    """Return how the nodes of a back end are asked; ``None`` where no ``interval`` says so.

    Args:
        backend: The back end.
        grpc: Whether it speaks gRPC.

    Raises:
        ConfigError: A time is not positive, or path or service are none.
    """
    told = backend.health_check
    if not told.HasField("interval"):
        return None
    interval, timeout = in_seconds(told.interval), _TIMEOUT
    if told.HasField("timeout"):
        timeout = in_seconds(told.timeout)
    if interval <= 0 or timeout <= 0:
        raise ConfigError("health_check: interval and timeout must be more than 0")
    if told.path and not told.path.startswith("/"):
        raise ConfigError(f"health_check: path {told.path!r} must start with a slash")
    if len(told.service.encode()) > _LONGEST_NAME:
        raise ConfigError("health_check: service is no name of a service: it is too long")
    return ProbePlan(
        path="" if grpc else told.path or "/",
        service=told.service if grpc else "",
        interval=interval,
        timeout=timeout,
        unhealthy=told.unhealthy_threshold or _UNHEALTHY,
        healthy=told.healthy_threshold or _HEALTHY,
    )


class _Kind(NamedTuple):
    place: Place
    plan: ProbePlan


class Findings:
    """Which nodes are well, which goes on where another configuration asks them in the same way.

    What was found of a node is forgotten when nobody asks it any more.
    """

    def __init__(self) -> None:
        # Of each node, who asks it, of several configurations while one ends: the newest last.
        self._asking: dict[_Kind, list[_Probe]] = {}

    def is_well(self, kind: _Kind) -> bool:
        """Tell what the newest answer of a node says; one that nobody has asked yet is well."""
        asking = self._asking.get(kind)
        return asking is None or asking[-1].well

    def begin(self, probe: _Probe) -> None:
        """Take one that asks a node from now on, and knows what others have found."""
        self._asking.setdefault(probe.kind, []).append(probe)

    def renew(self, probe: _Probe) -> None:
        """Take one that has an answer for the one that knows best."""
        asking = self._asking.get(probe.kind, [])
        if probe in asking:
            asking.remove(probe)
            asking.append(probe)

    def end(self, probe: _Probe) -> None:
        """Leave one out that asks no more."""
        asking = self._asking[probe.kind]
        asking.remove(probe)
        if not asking:
            del self._asking[probe.kind]


class Probes:
    """Asks nodes, each once however many endpoints want to know.

    Args:
        clock: Time for intervals and limits.
        findings: What is known of nodes, which others may share; ``None`` to begin at nothing.

    Attributes:
        answered: How many questions were answered, or not in time.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, findings: Findings | None = None) -> None:
        self.answered = 0
        self._clock = clock
        self._findings = Findings() if findings is None else findings
        self._probes: dict[_Kind, _Probe] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._probes)

    def take(
        self, place: Place, plan: ProbePlan, connection: NodeConnection, listener: _Listener
    ) -> None:
        """Begin to ask a node, unless it is asked already.

        Args:
            place: The node.
            plan: How.
            connection: To it.
            listener: Called after it has turned well or ill.
        """
        kind = _Kind(place, plan)
        probe = self._probes.get(kind)
        if probe is None:
            well = self._findings.is_well(kind)
            probe = _Probe(kind, connection, self._clock, self._note, well=well)
            self._probes[kind] = probe
            self._findings.begin(probe)
        probe.listeners.append(listener)

    def give_back(self, place: Place, plan: ProbePlan, listener: _Listener) -> None:
        """Tell a listener no more; the last one ends the asking."""
        kind = _Kind(place, plan)
        probe = self._probes[kind]
        probe.listeners.remove(listener)
        if probe.listeners:
            return
        del self._probes[kind]
        self._findings.end(probe)
        probe.task.cancel()
        self._ending.add(probe.task)
        probe.task.add_done_callback(self._ending.discard)

    def is_well(self, place: Place, plan: ProbePlan) -> bool:
        """Tell whether a node may have requests; one that nobody has asked yet may."""
        return self._probes[_Kind(place, plan)].well

    def _note(self, probe: _Probe) -> None:
        self.answered += 1
        self._findings.renew(probe)

    async def aclose(self) -> None:
        """Ask nobody any more. Idempotent."""
        probes, self._probes = self._probes, {}
        for each in probes.values():
            self._findings.end(each)
        await cancel_and_wait(*(each.task for each in probes.values()), *self._ending)


class _Probe:
    """Asks one node again and again."""

    def __init__(
        self,
        kind: _Kind,
        connection: NodeConnection,
        clock: Clock,
        note: Callable[[_Probe], None],
        *,
        well: bool,
    ) -> None:
        self.kind = kind
        self.well = well
        self._note = note
        self.listeners: list[_Listener] = []
        self._place, self._plan = kind
        self._connection = connection
        self._clock = clock
        self.task = asyncio.create_task(self._run(), name=f"kratos-gateway-probe {kind.place[0]}")

    async def _run(self) -> None:
        plan, row = self._plan, 0
        while True:
            well, why = await self._ask()
            row = row + 1 if well is not self.well else 0
            if row >= (plan.healthy if well else plan.unhealthy):
                row = 0
                self._turn(well=well, why=why)
            self._note(self)
            await self._clock.sleep(plan.interval)

    def _turn(self, *, well: bool, why: str) -> None:
        self.well = well
        if well:
            _log.info("%s is well again", self._place.address)
        else:
            _log.warning("%s gets no requests while it is not well: %s", self._place.address, why)
        for listener in tuple(self.listeners):
            listener()

    async def _ask(self) -> tuple[bool, str]:
        """Ask once, and return whether the node is well, and why not."""
        plan = self._plan
        try:
            async with Limit(self._clock, plan.timeout):
                answer = await self._connection.send(self._request(), self._place.address)
                try:
                    if plan.path:
                        return answer.status < _LEAST_BAD, f"it answers {answer.status}"
                    return await _is_serving(answer)
                finally:
                    if not isinstance(answer.body, bytes):
                        answer.body.close()
        except TimeoutError:
            return False, f"no answer within {plan.timeout:g} s"
        except (Error, OSError, TooLarge, ValueError) as error:
            return False, str(error) or type(error).__name__

    def _request(self) -> Request:
        plan = self._plan
        headers = [(b"user-agent", b"kratos-gateway")]
        if plan.path:
            path, _, query = plan.path.partition("?")
            return self._made("GET", path, query, headers, b"")
        name = plan.service.encode()
        message = b"\x0a" + bytes((len(name),)) + name if name else b""
        headers.append((b"content-type", b"application/grpc"))
        body = b"\0" + len(message).to_bytes(4, "big") + message
        return self._made("POST", "/grpc.health.v1.Health/Check", "", headers, body)

    def _made(
        self, verb: str, path: str, query: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Request:
        scheme = "https" if self._place.secure else "http"
        options = RequestOptions(pb.Endpoint())
        host = self._place.address
        return Request(verb, scheme, host, path, query, headers, body, "", "2", options)


async def _is_serving(answer: Answer) -> tuple[bool, str]:
    """Tell whether an answer of gRPC says that the service is served, and why not."""
    body = answer.body
    if isinstance(body, bytes):
        data, trailers = body, answer.trailers
    else:
        data = b""
        while (piece := await body.read()) and len(data) <= _MOST:
            data += piece
        trailers = body.trailers
    status = first(trailers, b"grpc-status") or answer.header(b"grpc-status")
    if status != b"0":
        return False, f"it answers {answer.status}, grpc-status {status.decode('latin-1') or '?'}"
    return data == _SERVING, "it says that it is not serving"
