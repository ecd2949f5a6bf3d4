"""A page about a gateway for people: routes, back ends, traffic, and what a change would bring.

It shows and changes nothing. It is one of the pages of the listener for debugging, so for people on
this machine, or who come through it; with a token, they have to know that, too.
"""

from __future__ import annotations

import asyncio
import difflib
import hmac
import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from kratos.address import Address
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.transport.http import Head, Reply
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.console_page import HTML, document
from kratos_gateway.hiding import shown
from kratos_gateway.server import Gateway
from kratos_gateway.wording import in_words
from kratos_http.debug import Page, json_page, text_page

__all__ = ["Showing", "console", "signpost"]

_PATH: Final = "/debug/console"
_FAILED: Final = 30.0  # seconds for which a failure of a node is news
_COMPARED: Final = 10.0  # seconds for which a comparison is good: long texts take long
_SHOWN: Final = 500  # lines of a difference
_PORT: Final = re.compile(r":[0-9]*\Z")
# No links: browsers say when one leads here from another port, and listeners refuse that.
_EACH: Final = "Each worker has a console that shows that worker alone. Type or paste its address:"
_ANYWHERE: Final = "Each worker has a console, at the port that its first line in the log names."
_WHO: Final = Reply(
    401,
    (
        (b"www-authenticate", b'Basic realm="kratos-gateway", charset="UTF-8"'),
        (b"content-type", b"text/plain; charset=utf-8"),
    ),
    b"The console asks for its token as the password, of any user.\n",
)


@runtime_checkable
class Showing(Protocol):
    """What serves a configuration, and tells of each of its endpoints; a ``Proxy`` is one."""

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        ...

    def show(self) -> Sequence[Mapping[str, Any]]:
        """Return what is known of each endpoint, in their order."""
        ...


def console(gateway: Gateway, *, token: str = "", clock: Clock = SYSTEM_CLOCK) -> Sequence[Page]:
    """Return the console of a gateway, for ``DebugServer(pages=...)``.

    Args:
        gateway: The gateway.
        token: What people have to give as the password of any user; empty to ask for none.
        clock: Time for rates, and for how long ago something was.
    """
    made = _Console(gateway, token, clock)
    title = "routes, back ends, traffic, and what a change would bring"
    return [
        Page(path=_PATH, title=title, make=made.page),
        Page(path=f"{_PATH}.json", title="the same for programs", make=made.data),
    ]


def signpost(first: str, *, workers: int, token: str = "") -> Sequence[Page]:
    """Return pages that say where the consoles of workers are, for the listener of all of them.

    Args:
        first: Address of the first worker's listener for debugging; the others follow.
        workers: How many there are.
        token: As of ``console``.
    """
    made = _Signpost(Address.parse(first), workers, token)
    title = "where the consoles of the workers are"
    return [
        Page(path=_PATH, title=title, make=made.page),
        Page(path=f"{_PATH}.json", title="the same for programs", make=made.data),
    ]


class _Door:
    """Lets people in who know the token, if there is one."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def is_open(self, head: Head) -> bool:
        if not self._token:
            return True
        scheme, _, given = head.header(b"authorization").partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            _, _, password = b64decode(given, validate=True).partition(b":")
        except ValueError:
            return False
        return hmac.compare_digest(password, self._token)


class _Signpost:
    def __init__(self, first: Address, workers: int, token: str) -> None:
        self._first = first
        self._workers = workers
        self._door = _Door(token)

    async def page(self, head: Head) -> Reply:
        if not self._door.is_open(head):
            return _WHO
        places = self._places(head)
        return text_page("\n".join([_EACH if places else _ANYWHERE, "", *places, ""]))

    async def data(self, head: Head) -> Reply:
        if not self._door.is_open(head):
            return _WHO
        return json_page({"workers": self._places(head)})

    def _places(self, head: Head) -> Sequence[str]:
        """Return where the consoles are, by the name that this listener was asked by."""
        first, slots = self._first, range(self._workers)
        if first.path:
            return [f"unix:{first.path}.{slot} {_PATH}" for slot in slots]
        if not first.port:
            return ()
        host = _PORT.sub("", head.header(b"host").decode("latin-1"))
        return [f"http://{host}:{first.port + slot}{_PATH}" for slot in slots]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen at a time."""

    serving: object
    time: float
    requests: Sequence[int]


class _Console:
    def __init__(self, gateway: Gateway, token: str, clock: Clock) -> None:
        self._gateway = gateway
        self._door = _Door(token)
        self._clock = clock
        self._last: _Look | None = None
        self._compared: tuple[pb.Gateway, float, dict[str, Any]] | None = None

    async def page(self, head: Head) -> Reply:
        if not self._door.is_open(head):
            return _WHO
        return Reply(200, HTML, document(await self._found()))

    async def data(self, head: Head) -> Reply:
        return json_page(await self._found()) if self._door.is_open(head) else _WHO

    async def _found(self) -> dict[str, Any]:
        gateway = self._gateway
        config = gateway.in_force or pb.Gateway()
        serving: object = gateway.serving
        told = serving.show() if isinstance(serving, Showing) else ()
        rates = self._rates(serving, [each["requests"] for each in told])
        now = self._clock.wall()
        return {
            "name": config.name,
            "version": config.version,
            "configuration": str(gateway.configuration),
            "inFlight": serving.in_flight if isinstance(serving, Showing) else 0,
            "change": await self._change(config),
            # Beside the loop, which has requests to pass on, as there may be thousands.
            "endpoints": await asyncio.to_thread(_endpoints, config, told, rates, now),
            "middlewares": [each.name for each in config.middlewares],
        }

    def _rates(self, serving: object, requests: Sequence[int]) -> Sequence[float]:
        """Return requests per second since the last look, if that was at the same endpoints."""
        now, last = self._clock.time(), self._last
        if last is None or last.serving is not serving or now - last.time >= 1:
            self._last = _Look(serving, now, requests)
        if last is None or last.serving is not serving or now <= last.time:
            return ()
        pairs = zip(requests, last.requests, strict=True)
        return [(after - before) / (now - last.time) for after, before in pairs]

    async def _change(self, config: pb.Gateway) -> dict[str, Any]:
        """Return how the texts of the configuration differ from what is served, or did just now."""
        now, known = self._clock.time(), self._compared
        if known is not None and known[0] is config and now - known[1] < _COMPARED:
            return known[2]
        found = await self._compare(config)
        self._compared = config, now, found
        return found

    async def _compare(self, config: pb.Gateway) -> dict[str, Any]:
        try:
            loaded = await self._gateway.configuration.pending()
        except ValueError as error:
            return {"refused": str(error), "lines": []}
        if loaded is None or loaded == config:
            return {"refused": "", "lines": []}
        # Beside the loop, too: thousands of endpoints take seconds.
        return {"refused": "", "lines": await asyncio.to_thread(_differing, config, loaded)}


def _differing(config: pb.Gateway, loaded: pb.Gateway) -> list[str]:
    """Return the lines in which two differ, and some around them."""
    before, after = _lines(config), _lines(loaded)
    alike, end = _alike(before, after)
    # Most are alike at both ends, and need not be compared with all others.
    alike, end = max(alike - 3, 0), max(end - 3, 0)
    before, after = before[alike : len(before) - end], after[alike : len(after) - end]
    found = difflib.unified_diff(before, after, "served", "written", lineterm="")
    lines = ["@@" if line.startswith("@@") else line for line in found]
    left = len(lines) - _SHOWN
    return [*lines[:_SHOWN], f"... and {left} more lines"] if left > 0 else lines


def _alike(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Return how many lines are the same at the beginning of two texts, and at their end."""
    most = min(len(before), len(after))
    first = next((at for at in range(most) if before[at] != after[at]), most)
    rest = range(1, most - first + 1)
    last = next((at - 1 for at in rest if before[-at] != after[-at]), most - first)
    return first, last


def _lines(config: pb.Gateway) -> list[str]:
    return json.dumps(shown(config), indent=2, ensure_ascii=False).splitlines()


def _endpoints(
    config: pb.Gateway, told: Sequence[Mapping[str, Any]], rates: Sequence[float], now: float
) -> list[dict[str, Any]]:
    return [
        _endpoint(endpoint, told[at] if at < len(told) else {}, rates[at : at + 1], now)
        for at, endpoint in enumerate(config.endpoints)
    ]


def _endpoint(
    endpoint: pb.Endpoint, told: Mapping[str, Any], rate: Sequence[float], now: float
) -> dict[str, Any]:
    requests = told.get("requests", 0)
    return {
        "method": endpoint.method.upper() or "*",
        "host": endpoint.host,
        "path": endpoint.path,
        "conditions": in_words(endpoint),
        "protocol": pb.Protocol.Name(endpoint.protocol),
        "backends": [each.target for each in endpoint.backends],
        "middlewares": [each.name for each in endpoint.middlewares],
        "requests": requests,
        "failures": told.get("failures", 0),
        "perSecond": round(rate[0], 1) if rate else None,
        "meanSeconds": told["seconds"] / requests if requests else None,
        "nodes": [_node(each, now) for each in told.get("nodes", ())],
    }


def _node(told: Mapping[str, Any], now: float) -> dict[str, Any]:
    failing = bool(told["failure"]) and now - told["failed"] < _FAILED
    state = "failing" if failing else "good" if told["attempts"] else "unused"
    return {**told, "state": state if told["well"] else "ill"}
