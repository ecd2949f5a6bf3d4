"""Stop asking back ends that fail, and answer in their place (Go: middleware/circuitbreaker)."""

from __future__ import annotations

import random
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from aegis import BreakerOpen, Guard, Outcome, SreBreaker
from kratos.errors import ConfigError, Error
from kratos.metrics import Counter
from kratos_gateway.api.circuitbreaker_pb2 import CircuitBreaker, ResponseData, SuccessRatio
from kratos_gateway.api.gateway_pb2 import Endpoint, Protocol
from kratos_gateway.conditions import Judge, any_of
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.callers import not_for_others
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.names import header_name, header_value
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["Ratio", "build"]

Action: TypeAlias = Callable[[Request], Awaitable[Answer]]

_OF: Final = 10_000
_OWN_FAULT: Final = 500
_LABELS: Final = ("protocol", "method", "path", "service", "basePath")


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make a breaker, one for each endpoint, and what it answers while it is open.

    Without a trigger it lets everything pass. What fails to be answered is a failure, and so is
    an answer that meets no condition of ``assertCondtions``, if there are some; it is passed on.
    Faults of clients are none: they could keep each other out.

    Raises:
        ConfigError: The trigger, a condition or the action is wrong.
    """
    told = options_of(options, CircuitBreaker)
    new = _trigger(told)
    good = any_of(told.assert_condtions) if told.assert_condtions else None
    backup = _backup(told, context)
    action: Action = _unavailable if backup is None else backup
    if told.WhichOneof("action") == "response_data":
        action = _constant(told.response_data)
    denied = context.meter.counter(
        "go_gateway_requests_circuit_breaker_denied_total",
        description="Requests that a circuit breaker did not let through",
        labels=_LABELS,
    )

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        if new is None:
            return handler
        return _Broken(handler, new(), good, action, denied.labels(*_labels(endpoint))).handle

    if backup is None:
        return Plain(wrap)
    return Plain(wrap, close=backup.aclose)


class Ratio:
    """Lets a constant share through, by chance.

    Args:
        share: How many of 10,000.
        draw: Gives numbers of [0, 1).
    """

    def __init__(self, share: int, *, draw: Callable[[], float] = random.random) -> None:
        self._share: Final = share / _OF
        self._draw: Final = draw

    def allow(self) -> int | None:
        """Return a token, or ``None``."""
        return 0 if self._draw() < self._share else None

    def done(self, _token: int, _outcome: Outcome = Outcome.SUCCESS, /) -> None:
        """Learn nothing."""

    def refusal(self) -> BreakerOpen:
        """Return what says that a call was refused."""
        return BreakerOpen("the circuit is open to a constant share of the calls")


class _Broken:
    """A handler behind a breaker."""

    def __init__(
        self,
        handler: Handler,
        breaker: Guard,
        good: Judge | None,
        action: Action,
        denied: Counter,
    ) -> None:
        self._handler: Final = handler
        self._breaker: Final = breaker
        self._good: Final = good
        self._action: Final = action
        self._denied: Final = denied

    async def handle(self, request: Request, /) -> Answer:
        token = self._breaker.allow()
        if token is None:
            self._denied.inc()
            not_for_others(request)  # it is for now, and not what the back end would say
            return await self._action(request)
        outcome = Outcome.IGNORED  # of a client that went away nothing follows
        try:
            answer = await self._handler(request)
            good = self._good is None or self._good(answer)
            outcome = Outcome.SUCCESS if good else Outcome.FAILURE
            return answer
        except (Exception, CancelledError) as error:
            if not _is_clients(error, request):
                outcome = Outcome.FAILURE
            raise
        finally:
            self._breaker.done(token, outcome)


def _is_clients(error: BaseException, request: Request) -> bool:
    """Tell whether it is the client's doing that there is no answer."""
    if isinstance(error, CancelledError | TimeoutError) and request.options.is_uploading():
        return True  # it is late with its body
    if isinstance(error, CancelledError):
        return not request.options.is_late()
    if isinstance(error, Error):
        return error.code < _OWN_FAULT
    return isinstance(error, ValueError)  # something in the request cannot be sent


def _trigger(told: CircuitBreaker) -> Callable[[], Guard] | None:
    kind = told.WhichOneof("trigger")
    if kind == "success_ratio":
        return _success(told.success_ratio)
    if kind == "ratio":
        share = told.ratio
        if not 0 <= share <= _OF:
            raise ConfigError(f"ratio is how many of {_OF} pass, so 0 to {_OF}, not {share}")
        return lambda: Ratio(share)
    return None


def _success(told: SuccessRatio) -> Callable[[], Guard]:
    window = seconds_of(told.window, name="successRatio.window")

    def new() -> Guard:
        # Zeros are what is not given, as in Go.
        return SreBreaker.aegis(
            success=told.success or 0.6,
            request=told.request or 100,
            buckets=told.bucket or 10,
            window=window or 3.0,
        )

    try:
        new()
    except ValueError as error:
        raise ConfigError(f"successRatio: {error}") from error
    return new


def _backup(told: CircuitBreaker, context: Context) -> Upstream | None:
    if told.WhichOneof("action") != "backup_service":
        return None
    endpoint = told.backup_service.endpoint
    if not endpoint.backends:
        raise ConfigError("backupService.endpoint has no backends")
    if context.upstream is None:
        return _Nowhere()
    return context.upstream(endpoint)


class _Nowhere:
    """A backup where there are no back ends, as when a configuration is only checked."""

    async def __call__(self, request: Request, /) -> Answer:
        return refuse(request, 503)

    async def aclose(self) -> None:
        """Do nothing."""


async def _unavailable(request: Request) -> Answer:
    return refuse(request, 503, message="the circuit is open")


def _constant(told: ResponseData) -> Action:
    status = told.status_code or 200
    if not 200 <= status <= 999:
        raise ConfigError(f"responseData.statusCode must be from 200 to 999, not {status}")
    headers = [
        (header_name(header.key), header_value(header.key, value))
        for header in told.header
        for value in header.value
    ]
    body = told.body
    if body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", _sniffed(body)))

    async def answer(_request: Request) -> Answer:
        return Answer(status, list(headers), body)

    return answer


def _sniffed(body: bytes) -> bytes:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return b"application/octet-stream"
    start = text.lstrip()[:15].lower()
    kind = "html" if start.startswith(("<!doctype html", "<html")) else "plain"
    return f"text/{kind}; charset=utf-8".encode()


def _labels(endpoint: Endpoint) -> tuple[str, ...]:
    metadata = endpoint.metadata
    return (
        Protocol.Name(endpoint.protocol),
        endpoint.method,
        endpoint.path,
        metadata.get("service", ""),
        metadata.get("basePath", ""),
    )
