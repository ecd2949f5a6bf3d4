"""Which calls may be made again, after which errors, and when the other side wants them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from email.utils import parsedate_to_datetime
from math import inf, isfinite
from typing import Any, Final, TypeAlias, cast

from kratos.clock import Clock
from kratos.errors import ConfigError, Error
from kratos.metrics import Counter, Meter
from kratos.middleware._refusal import RETRY_AFTER
from kratos.transport.call import Call
from kratos.transport.caller import CallOptions
from kratos.transport.method import IDEMPOTENT_VERBS, Method

__all__ = [
    "RETRY_CODES",
    "Idempotent",
    "Labelled",
    "Retryable",
    "avoiding",
    "is_idempotent",
    "pushback",
    "retries_of",
    "transient",
]

Idempotent: TypeAlias = "Callable[[Method[Any, Any]], bool]"
"""Tells whether calls of a method may run twice; asked when a chain is built."""

Retryable: TypeAlias = "Callable[[Exception], bool]"
"""Tells whether an error may be gone on the next try."""

Labelled: TypeAlias = "Callable[[Call], Counter]"
"""Returns the counter of a call's transport and operation."""

RETRY_CODES: Final = frozenset({429, 502, 503})

# The first attempt of a call with a key still runs: its outcome will be that of the call.
_IN_USE: Final = "IDEMPOTENCY_KEY_IN_USE"

# Refusals that come from this side of the wire, or are the message's own fault: no other node would
# help.
_OWN_REASONS: Final = frozenset(
    {"CIRCUITBREAKER", "MESSAGE_TOO_LARGE", "NODE_NOT_FOUND", "no_available_node"}
)

_PUSHBACK: Final = "grpc-retry-pushback-ms"
_HEADER: Final = "retry-after"


def is_idempotent(method: Method[Any, Any]) -> bool:
    """Tell whether a definition says that a call may run twice.

    It does by ``idempotency_level``, or by the HTTP verb of the main binding: GET, HEAD, PUT,
    DELETE.
    """
    return method.idempotent or (bool(method.http) and method.http[0].verb in IDEMPOTENT_VERBS)


def transient(codes: Collection[int], reasons: Collection[str]) -> Retryable:
    """Return what tells whether an error is worth another attempt, by its code or reason.

    So is a lost connection; so is not what this process said itself.

    Raises:
        ConfigError: One of them is a text, which would be taken for its letters.
    """
    for given in (codes, reasons):
        if isinstance(cast("object", given), str):
            raise ConfigError(f"codes and reasons are sets or lists, even of one; not {given!r}")

    def retryable(error: Exception) -> bool:
        if isinstance(error, Error):
            if error.reason in _OWN_REASONS:
                return error.reason in reasons
            return error.code in codes or error.reason in reasons or error.reason == _IN_USE
        return isinstance(error, (OSError, EOFError))

    return retryable


def avoiding(options: CallOptions | None, used: Collection[str]) -> CallOptions | None:
    """Return the options of an attempt that is to go elsewhere than those before it."""
    used = [address for address in used if address]
    if not used:
        return options
    options = CallOptions() if options is None else options
    return replace(options, avoid=frozenset({*options.avoid, *used}))


def pushback(attempt: Call, error: Exception, clock: Clock) -> float:
    """Return the seconds that the other side asks to wait: 0 for none, infinity for ever.

    It asks by the trailer ``grpc-retry-pushback-ms`` (gRPC proposal A6: a number below zero, or
    none at all, forbids another attempt), by ``Retry-After`` in seconds or as a date (RFC 9110),
    or by ``retry_after`` in the metadata of the error. The longest one counts.
    """
    asked = 0.0
    for header in (attempt.reply_headers, attempt.trailers):
        milliseconds = header.get(_PUSHBACK)
        if milliseconds:
            asked = max(asked, _milliseconds(milliseconds))
        after = header.get(_HEADER)
        if after:
            asked = max(asked, _seconds(after, clock))
    if isinstance(error, Error):
        asked = max(asked, _seconds(error.metadata.get(RETRY_AFTER, ""), clock))
    return asked


def retries_of(meter: Meter) -> Labelled:
    """Return the counters ``client_retries_total`` of a meter: of retries and hedges alike."""
    counter = meter.counter(
        "client_retries_total",
        description="Attempts beyond the first.",
        unit="{attempt}",
        labels=("kind", "operation"),
    )
    # Grows with the operations, which the definitions bound, and not with the calls.
    series: dict[tuple[str, str], Counter] = {}

    def of_call(call: Call) -> Counter:
        key = (call.transport, call.method.operation)
        found = series.get(key)
        if found is None:
            found = series[key] = counter.labels(*key)
        return found

    return of_call


def _milliseconds(text: str) -> float:
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 12:
        return int(digits) / 1000
    return inf


def _seconds(text: str, clock: Clock) -> float:
    """Return the seconds of a ``Retry-After``; 0 for what is malformed, as if it were not there."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - clock.wall()
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if isfinite(seconds) else 0.0
