"""Hiding what an event must not tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from kratos import redact

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint, Log

__all__ = ["redacted", "redacted_log"]

_PARTS: Final = ("contexts", "extra", "logentry", "request", "tags", "user")
_TEXTS: Final = ("message", "transaction")
_CRUMB_PARTS: Final = ("message", "data")
_SPAN_PARTS: Final = ("description", "data", "tags")
_LOG_PARTS: Final = ("body", "attributes")


def redacted(event: Event, _hint: Hint | None = None, /, *, local_variables: bool = False) -> Event:
    """Return an event without secrets, and without the local variables of its traces.

    Secrets are known as in logs: by the names that they are under, and by their looks; see
    ``kratos.redact``. For ``sentry_sdk.init(before_send=redacted)`` where ``Sentry`` is not used;
    within calls the middleware does it, too.

    Args:
        event: As sentry_sdk has made it; it is changed.
        local_variables: Whether local variables stay, those with telling names hidden. A request
            among them is shown with all its fields.
    """
    whole = cast("dict[str, Any]", event)
    _redact(whole, _PARTS)
    for name in _TEXTS:
        if isinstance(whole.get(name), str):
            whole[name] = redact.scrubbed(whole[name])
    for crumb in _values(whole.get("breadcrumbs")):
        _redact(crumb, _CRUMB_PARTS)
    for span in _values(whole.get("spans")):
        _redact(span, _SPAN_PARTS)
    for part in (*_values(whole.get("exception")), *_values(whole.get("threads"))):
        if isinstance(part.get("value"), str):
            part["value"] = redact.scrubbed(part["value"])
        _redact_frames(part.get("stacktrace") or {}, local_variables=local_variables)
    return event


def redacted_log(log: Log, _hint: Hint | None = None, /) -> Log:
    """Return a log of Sentry without secrets; it is changed."""
    _redact(cast("dict[str, Any]", log), _LOG_PARTS)
    return log


def _redact(holder: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name in holder:
            holder[name] = redact.redacted(holder[name])


def _redact_frames(trace: dict[str, Any], *, local_variables: bool) -> None:
    frames: list[dict[str, Any]] = trace.get("frames") or []
    for frame in frames:
        if "vars" in frame:
            frame["vars"] = redact.redacted(frame["vars"]) if local_variables else {}


def _values(part: Any) -> Iterator[dict[str, Any]]:
    """Yield the members of an interface of Sentry that is a list, in both of its forms."""
    found: Any = cast("dict[str, Any]", part).get("values") if isinstance(part, dict) else part
    for each in cast("list[Any]", found or ()):
        if isinstance(each, dict):
            yield cast("dict[str, Any]", each)
