"""What limiters and breakers tell a meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aegis import ManualClock, Outcome
from aegis.circuitbreaker import SreBreaker, WindowBreaker
from aegis.concurrency import Gradient2
from kratos.errors import Error
from kratos.metrics import Across, Counter, Gauge, MemoryMeter, NopMeter, Snapshot, lasting, merge
from kratos.middleware import circuitbreaker, ratelimit
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.guard import Ledger, LedgerStats
from kratos.transport import Call, Side, local


class Series:
    """One time series, and all that hang under the same instrument."""

    def __init__(self, values: dict[tuple[str, ...], float], key: tuple[str, ...]) -> None:
        self._values = values
        self._key = key

    def labels(self, *values: str) -> Series:
        return Series(self._values, (*self._key, *values))

    def inc(self, amount: float = 1.0, /) -> None:
        self.add(amount)

    def add(self, amount: float, /) -> None:
        self._values[self._key] = self._values.get(self._key, 0.0) + amount

    def set(self, value: float, /) -> None:
        self._values[self._key] = value


class Book(NopMeter):
    """A meter that keeps counters and gauges, and cannot say when it is read."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        return Series(self.values, (name,))

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        return Series(self.values, (name,))


class CollectingBook(Book):
    """One that can."""

    def __init__(self) -> None:
        super().__init__()
        self._publish: list[Callable[[], None]] = []

    def on_collect(self, publish: Callable[[], None], /) -> None:
        self._publish.append(publish)

    def collect(self) -> dict[tuple[str, ...], float]:
        for publish in self._publish:
            publish()
        return self.values


async def test_refusals_are_counted_by_side_kind_operation_and_reason() -> None:
    meter, ledger = Book(), Ledger()
    ledger.open = False
    refusing = ratelimit(ledger, meter=meter)
    for side in ({"middleware": [refusing]}, {"client_middleware": [refusing]}):
        options: dict[str, Any] = side
        with pytest.raises(Error):
            await local(EchoService(), **options).unary(ECHO, text("x"))
    labels = ("local", ECHO.operation, "RATELIMIT")
    assert meter.values == {
        ("server_requests_refused_total", *labels): 1,
        ("client_requests_refused_total", *labels): 1,
    }


async def test_calls_that_are_admitted_cost_no_instrument_anything() -> None:
    meter = Book()
    caller = local(EchoService(), middleware=[ratelimit(Ledger(), meter=meter)])
    await caller.unary(ECHO, text("x"))
    assert meter.values == {}


async def test_states_are_read_when_the_meter_is() -> None:
    meter = CollectingBook()
    limited = ratelimit(Gradient2(limit=7), meter=meter, name="front")
    await local(EchoService(), middleware=[limited]).unary(ECHO, text("x"))
    values = meter.collect()
    assert values["ratelimit_limit", "front", "*"] == 7
    assert values["ratelimit_inflight", "front", "*"] == 0
    assert values["ratelimit_admitted_total", "front", "*"] == 1


class Sums:
    """A guard whose statistics a test sets."""

    def __init__(self) -> None:
        self.told = LedgerStats(inflight=0, refused=0)

    def allow(self) -> int | None:
        return 0

    def done(self, token: int, outcome: Any = None, /) -> None: ...

    def refusal(self) -> Any: ...

    def stats(self) -> LedgerStats:
        return self.told


def test_what_only_grows_is_a_counter_that_never_falls() -> None:
    meter, guard = MemoryMeter(), Sums()
    ratelimit(guard, meter=meter).bind(ECHO)
    for refused, told in ((3, 3), (3, 3), (10, 10), (2, 12), (2, 12)):  # begun anew at 2
        guard.told = LedgerStats(inflight=7, refused=refused)
        assert meter.value("ratelimit_refused_total", operation="*") == told
    kinds = {family.name: family.kind for family in meter.snapshot()}
    assert kinds["ratelimit_refused_total"] == "counter"
    assert kinds["ratelimit_inflight"] == "gauge"


def test_what_a_worker_counted_before_its_reload_stays_in_the_sum() -> None:
    def worker(refused: int) -> Snapshot:
        meter, guard = MemoryMeter(), Sums()
        ratelimit(guard, meter=meter).bind(ECHO)
        guard.told = LedgerStats(inflight=1, refused=refused)
        return meter.snapshot()

    both = merge([("", lasting(worker(5))), ("0", worker(2))])
    series = {family.name: dict(family.series) for family in both}
    assert series["ratelimit_refused_total"] == {("", "*"): 7}
    assert series["ratelimit_inflight"] == {("", "*", "0"): 1}


async def test_states_are_sent_to_a_meter_that_cannot_ask() -> None:
    meter = Book()
    limited = ratelimit(Ledger(), meter=meter)
    await local(EchoService(), middleware=[limited]).unary(ECHO, text("x"))
    limited.publish()
    assert meter.values["ratelimit_inflight", "", "*"] == 0


def test_state_of_a_breaker_is_one_series_for_each_member() -> None:
    meter = CollectingBook()
    guarded = circuitbreaker(lambda: SreBreaker.kratos3(request=1), meter=meter)
    guarded.bind(ECHO)
    states = {
        key[-1]: value
        for key, value in meter.collect().items()
        if key[:3] == ("circuitbreaker_state", "", ECHO.operation)
    }
    assert states.pop("closed") == 1
    assert set(states.values()) == {0}
    assert meter.values["circuitbreaker_drop_probability", "", ECHO.operation] == 0


def test_value_that_is_gone_is_zero_and_one_that_never_was_is_absent() -> None:
    clock, meter = ManualClock(), CollectingBook()
    breaker = WindowBreaker(last_calls=1, open_for=3.0, clock=clock)
    guarded = circuitbreaker(lambda: breaker, meter=meter)
    guarded.bind(ECHO)
    key = ("circuitbreaker_retry_after", "", ECHO.operation)
    assert key not in meter.collect()
    token = breaker.allow()
    assert token is not None
    breaker.done(token, Outcome.FAILURE)
    assert meter.collect()[key] == 3
    clock.advance(3)
    token = breaker.allow()
    assert token is not None
    breaker.done(token)
    assert meter.collect()[key] == 0


def test_limiters_of_keys_make_no_series() -> None:
    meter = CollectingBook()
    limited = ratelimit(Ledger, meter=meter, per=lambda call: call.peer)
    assert limited.bind(ECHO) is not None
    assert meter.collect() == {}


async def test_limiter_without_statistics_is_left_out() -> None:
    class Bare:
        def allow(self) -> int | None:
            return 0

        def done(self, token: int, outcome: Any = None, /) -> None: ...

        def refusal(self) -> Any: ...

    meter = CollectingBook()
    bound = ratelimit(Bare(), meter=meter).bind(ECHO)
    assert bound is not None

    async def core(call: Call, request: Any) -> Any:
        return request

    assert await bound(Call(ECHO, side=Side.SERVER, transport="t"), "x", core) == "x"
    assert meter.collect() == {}
