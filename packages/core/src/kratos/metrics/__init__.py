"""Metrics: counters, gauges and observers, bound to their labels once (Go: metrics).

A back end supplies a ``Meter``. Whatever runs per call binds its labels when chains are built
and keeps the child, so that a call costs one method call:

    requests = meter.counter("server_requests_code_total", labels=("kind", "operation"))
    hello = requests.labels("http", "/helloworld.Greeter/SayHello")
    ...
    hello.inc()

What a meter has counted is a ``Snapshot``, if it can tell: then it is added up over workers.
"""

from kratos.metrics._checks import SECONDS_BUCKETS, bounds_of, require_across
from kratos.metrics._installed import default_meter
from kratos.metrics._interface import (
    Across,
    Collecting,
    Counter,
    Gauge,
    Including,
    Meter,
    Observer,
    Snapshotting,
)
from kratos.metrics._memory import MemoryMeter
from kratos.metrics._nop import NopMeter
from kratos.metrics._snapshot import (
    Distribution,
    Exemplar,
    Exemplars,
    Family,
    Kind,
    Snapshot,
    from_wire,
    lasting,
    merge,
    to_wire,
)
from kratos.metrics._text import CONTENT_TYPE, exposition

__all__ = [
    "CONTENT_TYPE",
    "SECONDS_BUCKETS",
    "Across",
    "Collecting",
    "Counter",
    "Distribution",
    "Exemplar",
    "Exemplars",
    "Family",
    "Gauge",
    "Including",
    "Kind",
    "MemoryMeter",
    "Meter",
    "NopMeter",
    "Observer",
    "Snapshot",
    "Snapshotting",
    "bounds_of",
    "default_meter",
    "exposition",
    "from_wire",
    "lasting",
    "merge",
    "require_across",
    "to_wire",
]
