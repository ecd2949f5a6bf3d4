"""Calls are counted without a line of code once there is a meter, and only once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kratos import App
from kratos.errors import ConfigError, Error
from kratos.log import Level
from kratos.metrics import MemoryMeter, NopMeter
from kratos.middleware import AnyMiddleware, Matcher, metrics, selector, tracing
from kratos.testing import serving
from kratos.testing.app import FakeServer, running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.testing.tracing import MemoryTracer
from kratos.tracing import current_context
from kratos.transport import Call, Handler

COUNTED = "server_requests_code_total"


async def mounted(**options: Any) -> Sequence[AnyMiddleware]:
    """Return the chain that an application gives to its servers."""
    server = FakeServer("api")
    async with running(App(name="shop", servers=[server], **options)):
        return server.mounts[0].middleware


async def call(chain: Sequence[AnyMiddleware]) -> None:
    async with serving(EchoService(), middleware=chain) as caller:
        await caller.unary(ECHO, text("hello"))


async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
    raise Error(429, "RATELIMIT", "not now")


async def test_calls_are_counted_and_timed() -> None:
    meter = MemoryMeter()
    await call(await mounted(metrics=meter))
    assert meter.value(COUNTED, code="200", operation=ECHO.operation) == 1
    assert meter.observed("server_requests_seconds")[0] == 1


async def test_calls_that_are_refused_further_in_are_counted() -> None:
    meter = MemoryMeter()
    with pytest.raises(Error):
        await call(await mounted(metrics=meter, middleware=[refuse]))
    assert meter.value(COUNTED, code="429") == 1


def narrowed() -> AnyMiddleware:
    return selector([metrics(MemoryMeter())], match=lambda _: False)


def matched() -> AnyMiddleware:
    matcher = Matcher()
    matcher.add("/other.Service/*", [metrics(MemoryMeter())])
    return matcher


@pytest.mark.parametrize("named", [lambda: metrics(MemoryMeter()), narrowed, matched])
@pytest.mark.parametrize("whose", ["application", "server"])
async def test_chain_that_names_metrics_has_no_other(named: Any, whose: str) -> None:
    meter = MemoryMeter()
    if whose == "application":
        await call(await mounted(metrics=meter, middleware=[named()]))
    else:
        await call([*await mounted(metrics=meter), named()])
    assert COUNTED not in {family.name for family in meter.snapshot()}


async def test_selector_of_other_things_leaves_it_in_place() -> None:
    meter = MemoryMeter()
    await call(await mounted(metrics=meter, middleware=[selector([tracing()], prefixes=["/"])]))
    assert meter.value(COUNTED) == 1


@pytest.mark.parametrize("whose", ["application", "server"])
async def test_it_stands_within_the_span_of_the_call(whose: str) -> None:
    seen: list[str] = []

    class Watching(MemoryMeter):
        """Notes in which trace a call is counted."""

        def counter(self, *arguments: Any, **options: Any) -> Any:
            made = super().counter(*arguments, **options)

            class Noting:
                def labels(self, *values: str) -> Any:
                    made.labels(*values)
                    return self

                def inc(self, _amount: float = 1.0, /) -> None:
                    seen.append(current_context().trace_id)

            return Noting()

    tracer = MemoryTracer()
    if whose == "application":
        await call(await mounted(metrics=Watching(), middleware=[tracing(tracer)]))
    else:
        await call([*await mounted(metrics=Watching()), tracing(tracer)])
    assert seen == [tracer.spans[0].context.trace_id]


@pytest.mark.parametrize("options", [{"metrics": NopMeter()}, {}])
async def test_without_a_meter_nothing_is_in_the_chain(options: dict[str, Any]) -> None:
    assert await mounted(**options, middleware=[refuse]) == (refuse,)


async def test_it_can_be_switched_off() -> None:
    meter = MemoryMeter()
    assert await mounted(metrics=meter, count_calls=False) == ()


async def test_name_that_is_taken_costs_the_figures_and_not_the_start() -> None:
    meter, log = MemoryMeter(), MemoryLogger()
    meter.gauge(COUNTED).set(7)
    await call(await mounted(metrics=meter, log=log))
    told = [fields for level, _, fields in log.records if level is Level.WARN]
    assert len(told) == 1, "once, and not for each method"
    assert COUNTED in str(told[0]["error"])
    assert meter.value(COUNTED) == 7


def test_anything_but_yes_or_no_is_refused() -> None:
    with pytest.raises(ConfigError, match="count_calls must be True or False, not 'no'"):
        App(count_calls="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
