"""Pages for people on this machine, at the paths of Go's gateway."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import parse_qs

from kratos.errors import Error
from kratos.redact import redacted
from kratos.transport.http import Head, Reply
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.control import ControlService
from kratos_gateway.hiding import shown
from kratos_gateway.routing.order import in_order
from kratos_gateway.server import METRICS, Gateway
from kratos_http.debug import Page, json_page, text_page

__all__ = ["Watching", "pages"]

_VARIABLE: Final = re.compile(r"\{([^{}:]*)(?::((?:[^{}]|\{[^{}]*\})*))?\}")
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_BEYOND: Final = ("match", "percentage", "sticky", "priority", "redirect", "respond")
_ELSEWHERE: Final = """\
Profiles of this process, in the words of Python:

/debug/profile   where time goes, as profile
/debug/tasks     tasks, as goroutine
/debug/stacks    threads, as threadcreate
/debug/gc        objects, as heap and allocs
/debug/pprof/cmdline
"""


@runtime_checkable
class Watching(Protocol):
    """What knows instances of services; a proxy may be one."""

    def watched(self, service: str, /) -> Sequence[object] | None:
        """Return the instances that are known of a service; ``None`` if nobody asks for it."""
        ...

    def appliers(self, service: str, /) -> Sequence[str] | None:
        """Return the endpoints that take them; ``None`` if nobody asks for the service."""
        ...


def pages(gateway: Gateway, control: ControlService | None = None) -> Sequence[Page]:
    """Return the pages about a gateway, for ``DebugServer(pages=...)``.

    Args:
        gateway: The gateway.
        control: The control service that it obeys; ``None`` for none.
    """
    made = _Pages(gateway, control)
    listed = {
        "ping": ("whether somebody is there", made.ping),
        "pprof": ("where profiles are", made.profiles),
        "pprof/cmdline": ("how it was called", made.command),
        "proxy/router/inspect": ("routes in the order in which they are asked", made.routes),
        "config/inspect": ("where the configuration is, and its digests", made.place),
        "config/load": ("the configuration as its texts are now, without secrets", made.fresh),
        "config/version": ("version of the configuration in force", made.version),
        "watcher/nodes": ("instances of a service; ?service=name", made.nodes),
        "watcher/appliers": ("endpoints of a service; ?service=name", made.appliers),
    }
    found = [
        Page(path=f"/debug/{path}", title=title, make=make)
        for path, (title, make) in listed.items()
    ]
    if control is not None:
        title, load = "the control service", "ask the control service now; POST"
        found.append(Page(path="/debug/ctrl/inspect", title=title, make=made.control))
        found.append(Page(path="/debug/ctrl/load", title=load, make=made.ask, verb="POST"))
    return found


class _Pages:
    def __init__(self, gateway: Gateway, control: ControlService | None) -> None:
        self._gateway = gateway
        self._control = control

    async def ping(self, _head: Head) -> Reply:
        return Reply(200)

    async def profiles(self, _head: Head) -> Reply:
        return text_page(_ELSEWHERE)

    async def command(self, _head: Head) -> Reply:
        # Go separates by a zero byte, too; arguments may hold the token of a registry.
        return text_page("\0".join(str(redacted(each)) for each in sys.argv))

    async def routes(self, _head: Head) -> Reply:
        config = self._gateway.in_force
        first = [pb.Endpoint(path=METRICS)] if self._gateway.shows_metrics else []
        listed = () if config is None else in_order(config.endpoints)
        return json_page([_route(each) for each in (*first, *(each for _, each in listed))])

    async def place(self, _head: Head) -> Reply:
        return json_page(self._gateway.configuration.inspect())

    async def fresh(self, _head: Head) -> Reply:
        try:
            loaded = await self._gateway.configuration.load()
        except ValueError as error:
            raise Error(503, "CONFIG", str(error)) from error
        return json_page(shown(loaded))

    async def version(self, _head: Head) -> Reply:
        config = self._gateway.in_force
        return json_page({"version": "" if config is None else config.version})

    async def nodes(self, head: Head) -> Reply:
        return self._of_service(head, lambda watching, name: watching.watched(name))

    async def appliers(self, head: Head) -> Reply:
        return self._of_service(head, lambda watching, name: watching.appliers(name))

    async def control(self, _head: Head) -> Reply:
        assert self._control is not None, "there is no page without it"
        return json_page(self._control.inspect())

    async def ask(self, _head: Head) -> Reply:
        assert self._control is not None, "there is no page without it"
        if await self._control.ask():
            self._gateway.configuration.poke()
        return json_page({})

    def _of_service(
        self, head: Head, look: Callable[[Watching, str], Sequence[object] | None]
    ) -> Reply:
        (name,) = parse_qs(head.query.decode("latin-1")).get("service", [""])[:1]
        if not name:
            raise Error(400, "SERVICE", "write ?service=name")
        serving: object = self._gateway.serving
        return json_page(look(serving, name) if isinstance(serving, Watching) else None)


def _route(endpoint: pb.Endpoint) -> dict[str, Any]:
    method = endpoint.method.upper()
    prefix = endpoint.path.endswith("*")
    template = endpoint.path.rstrip("*") if prefix else endpoint.path
    told = shown(endpoint)
    beyond = {name: told[name] for name in _BEYOND if name in told}
    return {
        "path_template": template,
        "path_regexp": "".join(("^", *_expression(template), "" if prefix else "$")),
        "queries_templates": [],
        "queries_regexps": [],
        "methods": [method, "OPTIONS"] if method not in ("", "*") else None,
        **beyond,
    }


def _expression(template: str) -> Iterator[str]:
    """Yield a template as an expression: variables as they are, all else literally."""
    at, count = 0, 0
    for found in _VARIABLE.finditer(template):
        yield _quoted(template[at : found.start()])
        yield f"(?P<v{count}>{found[2] or '[^/]+'})"
        at, count = found.end(), count + 1
    yield _quoted(template[at:])


def _quoted(text: str) -> str:
    """Return an expression for a text, in the spelling of Go."""
    return _META.sub(r"\\\g<0>", text)
