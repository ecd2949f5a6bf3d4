"""A page about a gateway for people: routes, back ends, traffic, and what a change would bring.

It shows and changes nothing. It is one of the pages of the listener for debugging, so for people on
this machine, or who come through it; with a token, they have to know that, too.
"""

from __future__ import annotations

import difflib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any, Final, Protocol, runtime_checkable

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.transport.http import Head, Reply
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.hiding import shown
from kratos_gateway.server import Gateway
from kratos_gateway.wording import in_words
from kratos_http.debug import Page, json_page

__all__ = ["Showing", "console"]

_EVERY: Final = 2  # seconds after which the page asks again
_FAILED: Final = 30.0  # seconds for which a failure of a node is news
_COMPARED: Final = 10.0  # seconds for which a comparison is good: long texts take long
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --dim: #888; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; font-size: .85rem; color: var(--dim); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: .8rem; overflow-x: auto; }
.bad { color: var(--bad); } .good { color: var(--good); } .dim { color: var(--dim); }
"""
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HTML: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'".encode(),
    ),
    (b"cache-control", b"no-store"),
    (b"refresh", b"%d" % _EVERY),
)
_WHO: Final = Reply(401, ((b"www-authenticate", b'Basic realm="kratos-gateway"'),))


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
        Page(path="/debug/console", title=title, make=made.page),
        Page(path="/debug/console.json", title="the same for programs", make=made.data),
    ]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen at a time."""

    serving: object
    time: float
    requests: Sequence[int]


class _Console:
    def __init__(self, gateway: Gateway, token: str, clock: Clock) -> None:
        self._gateway = gateway
        self._token = token.encode()
        self._clock = clock
        self._last: _Look | None = None
        self._compared: tuple[pb.Gateway, float, dict[str, Any]] | None = None

    async def page(self, head: Head) -> Reply:
        if not self._is_let_in(head):
            return _WHO
        return Reply(200, _HTML, _document(await self._found()).encode("utf-8", "replace"))

    async def data(self, head: Head) -> Reply:
        return json_page(await self._found()) if self._is_let_in(head) else _WHO

    def _is_let_in(self, head: Head) -> bool:
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
            "endpoints": [
                _endpoint(endpoint, told[at] if at < len(told) else {}, rates[at : at + 1], now)
                for at, endpoint in enumerate(config.endpoints)
            ],
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
            loaded = await self._gateway.configuration.load()
        except ValueError as error:
            return {"refused": str(error), "lines": []}
        before, after = (_lines(each) for each in (config, loaded))
        lines = difflib.unified_diff(before, after, "served", "written", lineterm="")
        return {"refused": "", "lines": list(lines)}


def _lines(config: pb.Gateway) -> list[str]:
    return json.dumps(shown(config), indent=2, ensure_ascii=False).splitlines()


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


def _document(found: Mapping[str, Any]) -> str:
    name = escape(found["name"] or "gateway")
    version = f" {escape(found['version'])}" if found["version"] else ""
    around = f", within {escape(', '.join(found['middlewares']))}" if found["middlewares"] else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style><h1>{name}{version}</h1>"
        f"<p>{escape(found['configuration'])}, {found['inFlight']} requests under way{around}</p>"
        f"{_routes(found['endpoints'])}{_nodes(found['endpoints'])}{_diff(found['change'])}"
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    cells = "".join(
        f'<th class="n">{each[1:]}</th>' if each.startswith("#") else f"<th>{each}</th>"
        for each in heads
    )
    body = "".join(rows) or f'<tr><td class="dim" colspan="{len(heads)}">none</td></tr>'
    return f"<h2>{title}</h2><table><tr>{cells}</tr>{body}</table>"


def _routes(endpoints: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Method", "Host and path", "Protocol", "Middleware", "#Requests", "#per s", "#Mean",
             "#Failed")  # fmt: skip
    return _table("Routes", heads, [_route(each) for each in endpoints])


def _route(each: Mapping[str, Any]) -> str:
    mean = "" if each["meanSeconds"] is None else f"{each['meanSeconds'] * 1000:.1f} ms"
    rate = "" if each["perSecond"] is None else f"{each['perSecond']:g}"
    return (
        f"<tr><td>{escape(each['method'])}</td>"
        f"<td><code>{escape(each['host'] + each['path'])}</code>{_small(each['conditions'])}</td>"
        f"<td>{each['protocol']}</td><td>{escape(', '.join(each['middlewares']))}</td>"
        f'<td class="n">{each["requests"]}</td><td class="n">{rate}</td><td class="n">{mean}</td>'
        f'<td class="n{" bad" if each["failures"] else ""}">{each["failures"]}</td></tr>'
    )


def _small(texts: Sequence[str]) -> str:
    return f'<br><span class="dim">{escape(", ".join(texts))}</span>' if texts else ""


def _nodes(endpoints: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Back end", "Node", "State", "#Under way", "#Connections", "#Attempts", "#Failed",
             "Newest failure")  # fmt: skip
    rows = [_row(each, node) for each in endpoints for node in each["nodes"]]
    rows += [_without_nodes(each) for each in endpoints if each["backends"] and not each["nodes"]]
    return _table("Back ends", heads, rows)


def _row(endpoint: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    kind = {"failing": "bad", "ill": "bad", "good": "good"}.get(node["state"], "dim")
    return (
        f"<tr><td><code>{escape(', '.join(endpoint['backends']))}</code></td>"
        f"<td><code>{escape(node['address'])}</code></td>"
        f'<td class="{kind}">{node["state"]}</td><td class="n">{node["busy"]}</td>'
        f'<td class="n">{node["connections"]}</td><td class="n">{node["attempts"]}</td>'
        f'<td class="n">{node["failures"]}</td><td>{escape(node["failure"])}</td></tr>'
    )


def _without_nodes(endpoint: Mapping[str, Any]) -> str:
    targets = escape(", ".join(endpoint["backends"]))
    return f'<tr><td><code>{targets}</code></td><td class="bad" colspan="7">no node</td></tr>'


def _diff(change: Mapping[str, Any]) -> str:
    title = "<h2>Configuration</h2>"
    if change["refused"]:
        return f'{title}<p class="bad">What is written is refused: {escape(change["refused"])}</p>'
    if not change["lines"]:
        return f"{title}<p>What is written is what is served.</p>"
    return f"{title}<pre>{escape(chr(10).join(change['lines']))}</pre>"
