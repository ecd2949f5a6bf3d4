"""What an event says of the call that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from kratos.middleware import current_request_id
from kratos.principal import current_principal
from kratos.process import worker_slot
from kratos.tracing import current_context
from kratos.transport import Call

if TYPE_CHECKING:
    from sentry_sdk.types import Event

__all__ = ["describe"]

# What tells where somebody is.
_PERSONAL: Final = frozenset(
    {"forwarded", "x-forwarded-for", "x-real-ip", "true-client-ip", "cf-connecting-ip"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is told of a call.

    Attributes:
        headers: Whether headers of the request are.
        user: Whether the caller is.
        addresses: Whether the caller's address is.
    """

    headers: bool
    user: bool
    addresses: bool


def describe(event: Event, call: Call, tags: Mapping[str, str], shown: Shown, /) -> None:
    """Write into an event what is known of its call.

    Args:
        event: As sentry_sdk has made it.
        call: The call.
        tags: What goes with the tags that are known here; tags that the event has win.
        shown: What is told.
    """
    whole = cast("dict[str, Any]", event)
    operation = call.method.operation
    whole["transaction"] = operation
    whole["transaction_info"] = {"source": "route"}
    own: dict[str, str] = whole.get("tags") or {}
    known: dict[str, str] = {
        "operation": operation,
        "kind": call.side.value,
        "component": call.transport,
        "request_id": current_request_id(),
        "worker": _text(worker_slot()),
        **_trace(whole),
        **tags,
        **own,
    }
    whole["tags"] = {name: value for name, value in known.items() if value != ""}
    contexts = whole.setdefault("contexts", {})
    contexts["kratos"] = {
        "arity": call.method.arity.name.lower(),
        "sent": call.sent,
        "received": call.received,
        "cause": "" if call.cause is None else call.cause.value,
    }
    if shown.addresses and call.peer:
        contexts["kratos"]["peer"] = call.peer
    told = _headers(call, addresses=shown.addresses) if shown.headers else {}
    if call.transport == "http":
        whole["request"] = _request(call, told)
    else:
        contexts["gRPC" if call.transport == "grpc" else call.transport] = {
            "endpoint": call.endpoint,
            "operation": operation,
        }
        if told:
            contexts["Headers"] = told
    user = _user(shown)
    if user:
        whole["user"] = {**user, **(whole.get("user") or {})}


def _user(shown: Shown) -> dict[str, str]:
    user: dict[str, str] = {}
    principal = current_principal() if shown.user else None
    if principal is not None:
        user = {"id": principal.subject, "scheme": principal.scheme}
        if principal.issuer:
            user["issuer"] = principal.issuer
    return user


def _trace(whole: dict[str, Any]) -> dict[str, str]:
    span = current_context()
    if not span.valid:
        return {}
    ids = {"trace_id": span.trace_id, "span_id": span.span_id}
    contexts = whole.setdefault("contexts", {})
    contexts["trace"] = {**(contexts.get("trace") or {}), **ids}
    return {"trace_id": span.trace_id}


def _headers(call: Call, *, addresses: bool) -> dict[str, str]:
    return {
        name: ", ".join(call.headers.values(name))
        for name in call.headers.keys()  # noqa: SIM118 - a header is no mapping
        if addresses or name not in _PERSONAL
    }


def _request(call: Call, headers: Mapping[str, str]) -> dict[str, Any]:
    path = call.path.decode("ascii", "replace")
    request: dict[str, Any] = {"url": f"{call.endpoint}{path}", "headers": headers}
    if call.rule is not None:
        request["method"] = call.rule.verb
    return request


def _text(slot: int | None) -> str:
    return "" if slot is None else str(slot)
