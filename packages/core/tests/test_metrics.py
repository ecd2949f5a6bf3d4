from __future__ import annotations

from kratos.metrics import Meter, NopMeter


def test_dropping_instruments_take_every_call() -> None:
    meter: Meter = NopMeter()
    requests = meter.counter("requests", labels=("kind",)).labels("http")
    requests.inc()
    requests.inc(2.0)
    open_calls = meter.gauge("open")
    open_calls.set(3.0)
    open_calls.add(-1.0)
    seconds = meter.histogram("seconds", unit="s", labels=("kind",), buckets=(0.1, 1.0))
    seconds.labels("http").observe(0.5)
    assert requests.labels() is requests


def test_dropping_instruments_are_one_object_whatever_is_asked_for() -> None:
    meter = NopMeter()
    children = {id(meter.counter(f"c{n}").labels(str(n))) for n in range(100)}
    assert len(children) == 1
