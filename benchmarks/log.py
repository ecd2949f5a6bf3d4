"""What a record costs: one that nobody wants, and one that becomes a line of JSON in a file.

Everybody writes what a service in production writes: time in UTC, level, message, and fields at
the top of one JSON object; structlog with orjson as its documentation on performance says, loguru
by a sink of that form, ``logging`` by python-json-logger. Lines go to ``/dev/null``, so that what
is measured is the CPU time of all threads, not a disk.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from importlib import import_module
from typing import Any, Final, TypeAlias

from benchmarks.measure import Result
from kratos.log import Helper, LineLogger, QueuedWriter, StdLogger, with_

__all__ = ["measured"]

Work: TypeAlias = Callable[[], object]
Flush: TypeAlias = Callable[[], object]

_BATCH: Final = 0.004  # seconds; short ones find a moment in which nobody disturbs
_SHORT: Final = "ns_cpu_per_record"
_BOUND: Final[dict[str, Any]] = {
    "service": "shop",
    "version": "1.4.2",
    "region": "eu-central-1",
    "tenant": "acme",
    "request_id": "0b7f7a51d7c84b4e",
}
_FIELDS: Final[dict[str, Any]] = {"order": 4711, "seconds": 0.0123}


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all cases round by round, subjects alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round, for a case and a subject; a twentieth of that is enough here.
    """
    batches = max(1, int(seconds / 20 / _BATCH))
    works = {(case, name): (work, flush) for case, name, work, flush in _works()}
    results = {key: Result("log", *key, unit=_unit(key[0])) for key in works}
    counts = {key: max(1, int(_BATCH / _cpu(*works[key], 100))) for key in works}
    for number in range(rounds + 1):
        for case in dict.fromkeys(case for case, _ in works):
            keys = [key for key in works if key[0] == case]
            best = dict.fromkeys(keys, float("inf"))
            for _ in range(batches):  # alternating: who else is busy slows all subjects alike
                for key in keys:
                    best[key] = min(best[key], _cpu(*works[key], counts[key]))
            for key in keys if number else ():
                scale = 1e9 if results[key].unit == _SHORT else 1e6
                results[key].values.append(best[key] * scale)
                results[key].rate = max(results[key].rate, 1 / best[key])
    return list(results.values())


def _unit(case: str) -> str:
    return _SHORT if case.startswith("disabled") else "us_cpu_per_record"


def _cpu(work: Work, flush: Flush, count: int) -> float:
    """Return CPU seconds of one call, those of the thread that writes included."""
    start = time.process_time()
    for _ in range(count):
        work()
    flush()
    return max(time.process_time() - start, 1e-7) / count


def _works() -> Iterator[tuple[str, str, Work, Flush]]:
    error = _raised()
    yield "disabled", "nothing", _nothing, _nothing
    for name, make in _SUBJECTS.items():
        bare, bound, flush = make()
        for case, work in _cases(name, bare, bound, error):
            yield case, name, work, flush


def _cases(name: str, bare: Any, bound: Any, error: Exception) -> Iterator[tuple[str, Work]]:
    """Yield what each logger is asked to do, in its own words."""
    info, debug, failed, with_five = bare.info, bare.debug, bare.error, bound.info
    yield "disabled", lambda: debug("reserved")
    if name.startswith("logging"):
        yield "disabled, arguments", lambda: debug("reserved %s", 4711)
        yield "line", lambda: info("reserved")
        yield "line, 2 fields", lambda: info("reserved", extra=_FIELDS)
        yield "line, 5 bound", lambda: with_five("reserved", extra=_FIELDS)
        yield "line, exception", lambda: failed("lost", exc_info=error)
        return
    if name == "loguru":
        yield "disabled, arguments", lambda: debug("reserved {}", 4711)
        yield "line", lambda: info("reserved")
        yield "line, 2 fields", lambda: bare.bind(**_FIELDS).info("reserved")
        yield "line, 5 bound", lambda: bound.bind(**_FIELDS).info("reserved")
        yield "line, exception", lambda: bare.opt(exception=error).error("lost")
        return
    yield "disabled, arguments", lambda: debug("reserved %s", 4711)
    yield "line", lambda: info("reserved")
    yield "line, 2 fields", lambda: info("reserved", order=4711, seconds=0.0123)
    yield "line, 5 bound", lambda: with_five("reserved", order=4711, seconds=0.0123)
    if name == "structlog":
        yield "line, exception", lambda: failed("lost", exc_info=error)
    else:
        yield "line, exception", lambda: failed("lost", error=error)


def _raised() -> Exception:
    try:
        raise TimeoutError("the warehouse does not answer")
    except TimeoutError as error:
        return error


def _null() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def _kratos() -> tuple[Any, Any, Flush]:
    writer = QueuedWriter(_null(), limit=1_000_000, limit_bytes=1 << 30)
    logger = LineLogger(writer, format="json")
    return Helper(logger), Helper(with_(logger, **_BOUND)), writer.flush


def _kratos_on_logging() -> tuple[Any, Any, Flush]:
    logger = StdLogger(_standard("bench.kratos"))
    return Helper(logger), Helper(with_(logger, **_BOUND)), _nothing


def _logging() -> tuple[Any, Any, Flush]:
    logger = _standard("bench.logging")
    return logger, _Adapter(logger, _BOUND), _nothing


class _Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds its fields to those of a record, as the class does by itself from Python 3.13 on."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


def _standard(name: str) -> logging.Logger:
    # By its name: where the types are checked, it is not installed.
    formatter: Any = import_module("pythonjsonlogger.orjson").OrjsonFormatter

    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(os.fdopen(_null(), "w", encoding="utf-8"))
    handler.setFormatter(formatter("{asctime}{levelname}{message}", style="{"))
    logger.handlers[:] = [handler]
    return logger


def _structlog() -> tuple[Any, Any, Flush]:
    import orjson
    import structlog

    logger = structlog.wrap_logger(
        structlog.BytesLogger(os.fdopen(_null(), "wb")),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    return logger.bind(), logger.bind(**_BOUND), _nothing


def _loguru() -> tuple[Any, Any, Flush]:
    import orjson
    from loguru import logger

    file = io.FileIO(_null(), "w")

    def sink(message: Any) -> None:
        record = message.record
        line = {
            "time": record["time"].astimezone(UTC).isoformat(),
            "level": record["level"].name,
            "msg": record["message"],
            **record["extra"],
        }
        if record["exception"] is not None:
            line["stack"] = str(message)
        file.write(orjson.dumps(line, default=str) + b"\n")

    logger.remove()
    logger.add(sink, level="INFO", format="{message}", diagnose=False, backtrace=False)
    return logger, logger.bind(**_BOUND), _nothing


def _nothing() -> None:
    """Do nothing: what was logged is written."""


_SUBJECTS: Final[dict[str, Callable[[], tuple[Any, Any, Flush]]]] = {
    "kratos": _kratos,
    "kratos, StdLogger": _kratos_on_logging,
    "logging": _logging,
    "loguru": _loguru,
    "structlog": _structlog,
}
