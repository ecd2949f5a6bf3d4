"""Which paths and hosts are spelled as no request is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kratos.errors import Error
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.routing.clean import clean

__all__ = ["spelling_troubles"]

_MARK: Final = re.compile("\0([0-9]+)\0")  # stands for what is in braces; no pattern has a zero
_METRICS: Final = "/metrics"


def spelling_troubles(endpoint: Endpoint, *, metrics: bool | None = None) -> Iterator[Trouble]:
    """Tell which texts of the path and of the host of an endpoint no request has.

    What is in braces may be anything, and is not looked at.

    Args:
        endpoint: Its patterns are good ones.
        metrics: Whether the gateway shows metrics; ``None`` if that is not known.
    """
    if "\0" in endpoint.path:
        return  # it is no pattern, which has been told
    text, braces = _marked(endpoint.path)
    odd = _odd_path(text)
    if odd:
        yield Trouble("path", f"no request has it: {odd}", fatal=False)
    elif (form := _as_requested(text)) != text:
        written = _MARK.sub(lambda found: braces[int(found[1])], form)
        why = "paths of requests are decoded, and without empty segments, . and .."
        yield Trouble("path", f"no request has it: {why}; write {written!r}", fatal=False)
    elif text == _METRICS and metrics is not False:
        advice = "choose another path, or start it with -private-metrics"
        why = "the gateway answers /metrics itself, unless it has workers"
        yield Trouble("path", f"it is never asked: {why}; {advice}", fatal=False)
    odd = _odd_host(_marked(endpoint.host)[0])
    if odd:
        yield Trouble("host", f"no request has it: {odd}", fatal=False)


def _marked(pattern: str) -> tuple[str, list[str]]:
    """Return a pattern with marks in place of what is in braces, and that."""
    plain, braces = "", list[str]()
    depth = begin = 0
    for at, char in enumerate(pattern):
        depth += (char == "{") - (char == "}")
        if char == "{" and depth == 1:
            plain += pattern[begin:at]
            begin = at
        elif char == "}" and depth == 0:
            plain += f"\0{len(braces)}\0"
            braces.append(pattern[begin : at + 1])
            begin = at + 1
    return plain + pattern[begin:], braces


def _odd_path(text: str) -> str:
    if "?" in text:
        return "what follows ? is the query, which a match looks at: match: [{query: name}]"
    if "#" in text:
        return "clients keep to themselves what follows #"
    return ""


def _as_requested(text: str) -> str:
    """Return a path as those of requests are, also that before a star."""
    head = text.rstrip("*")
    # A prefix may end within a segment, so its last one may be two dots, and more follow.
    whole = head if head == text else head[: head.rfind("/") + 1]
    rest = head[len(whole) :]
    if not whole.startswith("/"):
        return text
    try:
        last = clean(f"/-{rest}".encode("utf-8", "surrogatepass")).decoded[2:]
        form = clean(whole.encode("utf-8", "surrogatepass")).decoded
    except Error:
        return text  # a percent sign that begins no escape stands for itself
    return f"{form}{last}{text[len(head) :]}"


def _odd_host(text: str) -> str:
    if "/" in text:
        return "a host has neither a scheme nor a path: write the name alone"
    if text == "*":
        return "a star stands for itself: leave it out, for any host"
    if "*" in text:
        return "a star stands for itself: write {name}, which is one label, or {name:.*}"
    return ""
