"""The listener for operators (Go: what net/http/pprof and a health handler are mounted for)."""

from __future__ import annotations

import asyncio
import html
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kratos.address import Address
from kratos.app import App, current_app
from kratos.errors import ConfigError
from kratos.health import Health
from kratos.process import worker_slot
from kratos.tls import ServerTls
from kratos.transport import Mount
from kratos.transport.http import Head, Reply
from kratos_http.debug._app import about, health_of, routes_of
from kratos_http.debug._config import shown
from kratos_http.debug._memory import memory
from kratos_http.debug._metrics import Metrics, Rendering, metrics_endpoint
from kratos_http.debug._pages import Page, endpoint_of, json_page, parameters, text_page
from kratos_http.debug._profile import Profiler
from kratos_http.debug._tasks import stacks, tasks
from kratos_http.health import HealthPaths
from kratos_http.limits import Limits
from kratos_http.server import HttpServer

__all__ = ["DebugServer", "own_address"]

_LIMITS: Final = Limits(max_head=16 * 1024, max_body=1, max_connections=64, idle_timeout=30.0)
_ROOT: Final = "/debug"
_PROFILE_SECONDS: Final = 5.0
_PROFILE_RATE: Final = 100.0
_LAST_PORT: Final = 65535
_HTML: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"cache-control", b"no-store"),
)


class DebugServer:
    """Answers probes and scrapers, and lets people on this machine look into the process.

    Give it to ``App(servers=...)``; it starts before everything else and stops last, is not
    registered, and knows no services and no middleware. With workers, each has one of its own,
    at the port plus the worker's number; in ``host_servers`` it is the supervisor's.

    What is below ``/debug`` is for peers on this machine only, also on a public address: of all
    that is secret, configuration is shown without, but stacks and routes tell much.

    Args:
        address: ``host:port`` or ``unix:/path``; port 0 lets the system choose.
        public: Whether the address may be one that other machines reach.
        health_paths: Where probes are answered; ``None`` for nowhere.
        metrics: What a scraper gets: an object with ``render()``, or a function; ``None`` for
            what the application's meter renders, if it does.
        metrics_path: Where.
        config: What ``/debug/config`` shows: a ``Config``, a source, a function, or an object.
            Secrets are hidden; see ``kratos.redact``.
        tls: Serve TLS with these certificates.
        socket_mode: Permissions of a Unix socket.
        limits: What peers may do.
        pages: Further pages below ``/debug``, for peers on this machine like the others.

    Raises:
        TargetError: The address is none of these.
        ConfigError: Other machines can reach the address, and ``public`` does not allow it; the
            metrics cannot be rendered; or a page is elsewhere, or where another one is.
    """

    attends = True

    def __init__(
        self,
        address: str = "127.0.0.1:0",
        *,
        public: bool = False,
        health_paths: HealthPaths | None = HealthPaths(),  # noqa: B008  it never changes
        metrics: Metrics | None = None,
        metrics_path: str = "/metrics",
        config: object = None,
        tls: ServerTls | None = None,
        socket_mode: int | None = None,
        limits: Limits = _LIMITS,
        pages: Sequence[Page] = (),
    ) -> None:
        place = Address.parse(address)
        if not public and not _is_private(place):
            raise ConfigError(
                f"other machines can reach {address}: listen on 127.0.0.1, or say public=True, "
                "which answers them probes and metrics, and nothing else"
            )
        self._server = HttpServer(
            str(own_address(place)),
            health_paths=health_paths,
            tls=tls,
            socket_mode=socket_mode,
            limits=limits,
        )
        self._config = config
        self._health: Health | None = None
        self._app: App | None = None
        self._profiler: Profiler | None = None
        self._since = 0.0
        self._url = ""
        self._pages = [*self._made(), *pages]
        _check_places(self._pages)
        for page in self._pages:
            self._server.handle(page.verb, page.path, endpoint_of(page))
        index = Page(path=_ROOT, title="all pages", make=self._index)
        self._server.handle("GET", _ROOT, endpoint_of(index))
        self._metrics_path = None if metrics is not None else metrics_path
        if metrics is not None:
            self._server.handle("GET", metrics_path, metrics_endpoint(metrics))

    def __str__(self) -> str:
        return "DebugServer"

    @property
    def url(self) -> str:
        """Where it listens; empty before it does, and on a Unix socket."""
        return self._url

    def mount(self, mount: Mount, /) -> None:
        """Take the application's health, and perhaps its metrics; see ``Mountable``."""
        self._health = mount.health
        meter: object = mount.metrics
        if self._metrics_path is not None and isinstance(meter, Rendering):
            self._server.handle("GET", self._metrics_path, metrics_endpoint(meter))
        self._server.mount(replace(mount, services=(), middleware=()))

    async def start(self) -> None:
        """Serve until ``stop``; see ``Server``.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
            ConfigError: A certificate cannot be used.
        """
        try:
            self._app = current_app()
        except RuntimeError:
            self._app = None  # it runs by itself, as in tests
        self._since = asyncio.get_running_loop().time()
        self._profiler = Profiler()
        self._url = "".join(await self._server.bind())
        await self._server.start()

    async def ready(self) -> None:
        """Return when it answers; see ``Readying``."""
        await self._server.ready()

    async def stop(self) -> None:
        """Stop answering; see ``Server``."""
        await self._server.stop()

    def _made(self) -> Sequence[Page]:
        found = {
            "app": ("who this application is, and where it stands in the registry", self._about),
            "health": ("every check, and why it fails", self._show_health),
            "routes": ("operations and routes", self._routes),
            "config": ("the configuration in force, without its secrets", self._show_config),
            "tasks": ("tasks of the event loop, and where they wait", self._tasks),
            "stacks": ("threads, and where they are", self._stacks),
            "gc": ("the garbage collector; ?top=20 counts objects by type", self._memory),
            "profile": (
                "where time goes, for flame graphs; ?seconds=5&rate=100",
                self._profile,
            ),
        }
        return [
            Page(path=f"{_ROOT}/{name}", title=title, make=make)
            for name, (title, make) in found.items()
        ]

    async def _index(self, _head: Head) -> Reply:
        rows = "".join(
            f'<dt><a href="{page.path}">{page.path}</a></dt><dd>{html.escape(page.title)}</dd>'
            for page in self._pages
        )
        name = html.escape(self._app.name if self._app is not None else "this process")
        text = f'<!doctype html><html lang="en"><title>{name}</title><h1>{name}</h1><dl>{rows}</dl>'
        return Reply(200, _HTML, text.encode())

    async def _about(self, _head: Head) -> Reply:
        return json_page(about(self._app, since=self._since))

    async def _show_health(self, _head: Head) -> Reply:
        return json_page({} if self._health is None else await health_of(self._health))

    async def _routes(self, _head: Head) -> Reply:
        return json_page(routes_of(self._app))

    async def _show_config(self, _head: Head) -> Reply:
        return json_page(await shown(self._config))

    async def _tasks(self, _head: Head) -> Reply:
        return text_page(tasks())

    async def _stacks(self, _head: Head) -> Reply:
        return text_page(stacks())

    async def _memory(self, head: Head) -> Reply:
        return json_page(memory(top=int(parameters(head, top=0.0)["top"])))

    async def _profile(self, head: Head) -> Reply:
        assert self._profiler is not None, "started before"
        wanted = parameters(head, seconds=_PROFILE_SECONDS, rate=_PROFILE_RATE)
        profile = await self._profiler.run(seconds=wanted["seconds"], rate=wanted["rate"])
        return text_page(profile)


def _check_places(pages: Sequence[Page]) -> None:
    taken = {("GET", _ROOT)}
    for page in pages:
        place = (page.verb, page.path)
        if not page.path.startswith(f"{_ROOT}/") or place in taken:
            raise ConfigError(
                f"a page is below {_ROOT}/, where no other one is: {page.verb} {page.path}"
            )
        taken.add(place)


def _is_private(place: Address) -> bool:
    """Tell whether only this machine reaches an address."""
    if place.path or place.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(place.host).is_loopback
    except ValueError:
        return False


def own_address(place: Address) -> Address:
    """Return the address for this process: each worker has a port, or a file, of its own."""
    slot = worker_slot()
    if slot is None:
        return place
    if place.path:
        return replace(place, path=f"{place.path}.{slot}")
    if not place.port:
        return place
    if place.port + slot > _LAST_PORT:
        raise ConfigError(f"{place} leaves no port for worker {slot}: choose a lower one, or 0")
    return replace(place, port=place.port + slot)
