"""What is told of a server that takes some telemetry and refuses other."""

from __future__ import annotations

from kratos.testing import MemoryLogger
from kratos_otel._complaints import Complaints

REFUSED = "telemetry is not taken, and is dropped until it is"
AGAIN = "telemetry is taken again"


def yes() -> bool:
    return True


def no() -> bool:
    return False


def test_traces_that_are_lost_are_told_of_although_metrics_never_got_through() -> None:
    log = MemoryLogger()
    complaints = Complaints(log, "http://jaeger:4318")
    complaints.attempt("spans", 1, yes)
    complaints.attempt("metrics", 1, no)
    complaints.attempt("spans", 1, yes)
    assert log.messages() == [REFUSED]
    for _ in range(2):
        complaints.attempt("spans", 1, no)
        complaints.attempt("metrics", 1, no)
    assert log.messages() == [REFUSED, REFUSED]


def test_server_that_is_away_for_all_is_told_of_once() -> None:
    log = MemoryLogger()
    complaints = Complaints(log, "http://collector:4318")
    for _ in range(2):
        for what in ("spans", "metrics", "records"):
            complaints.attempt(what, 1, no)
    assert log.messages() == [REFUSED]
    for what in ("spans", "metrics", "records"):
        complaints.attempt(what, 1, yes)
    assert log.messages() == [REFUSED, AGAIN]
