"""Metrics: counters, gauges and observers, bound to their labels once (Go: metrics).

A back end supplies a ``Meter``. Whatever runs per call binds its labels when chains are built
and keeps the child, so that a call costs one method call:

    requests = meter.counter("server_requests_code_total", labels=("kind", "operation"))
    hello = requests.labels("http", "/helloworld.Greeter/SayHello")
    ...
    hello.inc()
"""

from kratos.metrics._interface import Collecting, Counter, Gauge, Meter, Observer
from kratos.metrics._nop import NopMeter

__all__ = ["Collecting", "Counter", "Gauge", "Meter", "NopMeter", "Observer"]
