"""The page of the console: what there is, as HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from heapq import nlargest
from html import escape
from typing import Any, Final

__all__ = ["HTML", "document"]

_EVERY: Final = 2  # seconds after which the page asks again
_ROWS: Final = 200  # of a table; a browser that shows thousands every other second does little else
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --dim: #666; }
@media (prefers-color-scheme: dark) {
  :root { --bad: #ff8a80; --good: #81c784; --dim: #aaa; }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h1, p, code { overflow-wrap: anywhere; }
p { margin: .2rem 0; color: var(--dim); }
div { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; font-size: .85rem; color: var(--dim); white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.node { min-width: 9rem; }
td.long { min-width: 11rem; overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: .8rem; overflow-x: auto; }
.bad { color: var(--bad); } .good { color: var(--good); } .dim { color: var(--dim); }
"""
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

HTML: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'".encode(),
    ),
    (b"cache-control", b"no-store"),
    (b"refresh", b"%d" % _EVERY),
)
"""Headers of the page."""


def document(found: Mapping[str, Any]) -> bytes:
    """Return the page.

    Args:
        found: What there is, as the page for programs has it.
    """
    name = _text(found["name"] or "gateway")
    version = f" {_text(found['version'])}" if found["version"] else ""
    names = _text(", ".join(found["middlewares"]))
    around = f", middleware of all routes: {names}" if names else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{name}{version}</h1>"
        f"<p>{_text(found['configuration'])}, {found['inFlight']} requests under way{around}; "
        "a change of the configuration leaves the counts of routes that stay</p>"
        f"{_routes(found['endpoints'])}{_nodes(found['endpoints'])}{_diff(found['change'])}"
    )
    return page.encode("utf-8", "replace")


def _text(told: str) -> str:
    """Return a text that shows what it is: some characters hide others, or turn them round."""
    if not told.isprintable():
        told = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in told)
    return escape(told)


def _table(title: str, heads: Sequence[str], rows: Sequence[str], *, left: int) -> str:
    cells = "".join(
        f'<th class="n">{each[1:]}</th>' if each.startswith("#") else f"<th>{each}</th>"
        for each in heads
    )
    body = "".join(rows) or f'<tr><td class="dim" colspan="{len(heads)}">none</td></tr>'
    more = f"<p>{left} more, which have done less: see console.json</p>" if left else ""
    return f"<h2>{title}</h2><div><table><tr>{cells}</tr>{body}</table></div>{more}"


def _most(found: Sequence[Any], weight: Callable[[Any], tuple[int, ...]]) -> Sequence[Any]:
    """Return those that have most to tell, in the order in which they are."""
    if len(found) <= _ROWS:
        return found
    return [
        found[at] for at in sorted(nlargest(_ROWS, range(len(found)), lambda at: weight(found[at])))
    ]


def _routes(endpoints: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Method", "Host and path", "Protocol", "Middleware", "#Requests", "#per s", "#Mean",
             "#Failed")  # fmt: skip
    chosen = _most(endpoints, lambda each: (each["failures"], each["requests"]))
    rows = [_route(each) for each in chosen]
    return _table("Routes", heads, rows, left=len(endpoints) - len(rows))


def _route(each: Mapping[str, Any]) -> str:
    mean = "" if each["meanSeconds"] is None else f"{each['meanSeconds'] * 1000:.1f} ms"
    rate = "" if each["perSecond"] is None else f"{each['perSecond']:g}"
    protocol = "GRPC" if each["protocol"] == "GRPC" else "HTTP"
    return (
        f"<tr><td>{_text(each['method'])}</td>"
        f'<td class="long"><code>{_text(each["host"] + each["path"])}</code>'
        f"{_small(each['conditions'])}</td>"
        f"<td>{protocol}</td><td>{_text(', '.join(each['middlewares']))}</td>"
        f'<td class="n">{each["requests"]}</td><td class="n">{rate}</td><td class="n">{mean}</td>'
        f'<td class="n{" bad" if each["failures"] else ""}">{each["failures"]}</td></tr>'
    )


def _small(texts: Sequence[str]) -> str:
    return f'<br><span class="dim">{_text(", ".join(texts))}</span>' if texts else ""


def _nodes(endpoints: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Back end", "Node", "State", "#Under way", "#Connections", "#Attempts", "#Failed",
             "Newest failure")  # fmt: skip
    nodes = [(each, node) for each in endpoints for node in each["nodes"]]
    lacking = [each for each in endpoints if each["backends"] and not each["nodes"]]
    chosen = _most(nodes, lambda pair: (pair[1]["failures"], pair[1]["attempts"]))
    rows = [_row(each, node) for each, node in chosen]
    rows += [_without_nodes(each) for each in lacking[:_ROWS]]
    return _table("Back ends", heads, rows, left=len(nodes) + len(lacking) - len(rows))


def _row(endpoint: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    kind = {"failing": "bad", "ill": "bad", "good": "good"}.get(node["state"], "dim")
    return (
        f'<tr><td class="long"><code>{_targets(endpoint)}</code></td>'
        f'<td class="node"><code>{_text(node["address"])}</code></td>'
        f'<td class="{kind}">{node["state"]}</td><td class="n">{node["busy"]}</td>'
        f'<td class="n">{node["connections"]}</td><td class="n">{node["attempts"]}</td>'
        f'<td class="n">{node["failures"]}</td><td class="long">{_text(node["failure"])}</td></tr>'
    )


def _without_nodes(endpoint: Mapping[str, Any]) -> str:
    targets = _targets(endpoint)
    return f'<tr><td><code>{targets}</code></td><td class="bad" colspan="7">no node</td></tr>'


def _targets(endpoint: Mapping[str, Any]) -> str:
    """Return what an endpoint names, which is told in full by its nodes where it is much."""
    first, *others = endpoint["backends"] or ("",)
    if len(others) > 2:
        return f"{_text(first)} and {len(others)} more"
    return _text(", ".join((first, *others)))


def _diff(change: Mapping[str, Any]) -> str:
    title = "<h2>Configuration</h2>"
    if change["refused"]:
        return f'{title}<p class="bad">What is written is refused: {_text(change["refused"])}</p>'
    if not change["lines"]:
        return f"{title}<p>What is written is what is served.</p>"
    return f"{title}<pre>{chr(10).join(_text(each) for each in change['lines'])}</pre>"
