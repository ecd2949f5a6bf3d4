"""Faults on purpose, to see what clients make of them."""

from __future__ import annotations

import random
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos_gateway.api.fault_pb2 import Fault
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name, header_value
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["build"]

_LONGEST: Final = 3600.0  # seconds
_REASON: Final = "FAULT_INJECTED"


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what delays requests, or answers them with an error in place of the back end.

    Each attempt has its own luck. A delay is within the time limit of the attempt, and before the
    error where there are both.

    Raises:
        ConfigError: There is no fault, or an option is out of its range.
    """
    faults = _Faults(options_of(options, Fault), context.clock)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            return await faults.handle(request, handler)

        return handle

    return Plain(wrap)


class _Faults:
    """What goes wrong, and for whom."""

    def __init__(self, told: Fault, clock: Clock) -> None:
        if not (told.HasField("delay") or told.HasField("abort")):
            raise ConfigError("there is no fault: write delay or abort")
        self._clock: Final = clock
        self._name, self._value = _header(told.header)
        self._delay, self._delayed = 0.0, 0.0
        self._status, self._aborted, self._message = 0, 0.0, ""
        if told.HasField("delay"):
            self._delay = seconds_of(told.delay.time, name="delay.time")
            self._delayed = _share(told.delay.share, "delay.share")
            if not 0 < self._delay <= _LONGEST:
                raise ConfigError(f"delay.time is more than 0 s and at most {_LONGEST:g} s")
        if told.HasField("abort"):
            self._status = told.abort.status
            self._aborted = _share(told.abort.share, "abort.share")
            self._message = told.abort.message or "a fault on purpose"
            if not 400 <= self._status <= 599:
                raise ConfigError(f"abort.status is one of 400 to 599, not {self._status}")

    async def handle(self, request: Request, handler: Handler) -> Answer:
        if not self._is_meant(request):
            return await handler(request)
        if self._delay and random.random() < self._delayed:
            await self._clock.sleep(self._delay)
        if self._status and random.random() < self._aborted:
            return refuse(request, self._status, reason=_REASON, message=self._message)
        return await handler(request)

    def _is_meant(self, request: Request) -> bool:
        if not self._name:
            return True
        values = [value for name, value in request.headers if name == self._name]
        return bool(values) and (not self._value or self._value in values)


def _share(given: float, name: str) -> float:
    share = given or 1.0
    if not 0 < share <= 1:
        raise ConfigError(f"{name} must be more than 0 and at most 1, not {given:g}")
    return share


def _header(text: str) -> tuple[bytes, bytes]:
    if not text:
        return b"", b""
    name, _, value = text.partition(":")
    return header_name(name), header_value(name, value)
