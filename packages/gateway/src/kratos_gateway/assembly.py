"""A gateway put together of its parts, as its settings say."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from kratos import App
from kratos.address import Address
from kratos.config import from_url as source_of
from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter, Meter, NopMeter, default_meter
from kratos.process import worker_slot
from kratos.registry import Discovery, Registry
from kratos.registry import from_url as registry_of
from kratos.transport import Server
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.collecting import lasting, uncollected
from kratos_gateway.config import Configuration, FileReader, Reader, SourceReader, title_of
from kratos_gateway.console import console, signpost
from kratos_gateway.control import ControlService, Identity
from kratos_gateway.controlled import ControlledReader
from kratos_gateway.debug import pages
from kratos_gateway.gates import RETRY, Gates
from kratos_gateway.hangup import hangups
from kratos_gateway.identity import advertised
from kratos_gateway.metrics import Metrics
from kratos_gateway.release import ConfigFiles
from kratos_gateway.server import Build, Gateway
from kratos_gateway.settings import Settings
from kratos_gateway.switch import Replaceable
from kratos_gateway.unreadable import unreadable_names
from kratos_http.debug import DebugServer, Rendering
from kratos_http.proxies import Proxies

__all__ = ["Parts", "application", "application_of", "assemble", "builder"]

_LATER: Final = 10.0  # seconds
_MIB: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a gateway is made of.

    Attributes:
        gateway: The server.
        gates: Its feature gates.
        meter: Where it counts.
        control: The control service that it obeys; ``None`` for none.
        resources: What is opened before it starts, and closed after it has stopped.
    """

    gateway: Gateway
    gates: Gates
    meter: Meter
    control: ControlService | None = None
    resources: list[AbstractAsyncContextManager[Any]] = field(
        default_factory=list[AbstractAsyncContextManager[Any]]
    )


def application(settings: Settings, *, environ: Mapping[str, str] | None = None) -> App:
    """Return the application that serves a gateway; nothing is connected yet.

    Args:
        settings: How it was called.
        environ: Variables; ``None`` for those of the process.

    Raises:
        ConfigError: A setting cannot be used.
        PluginNotFound: The registry or source is none that is installed.
    """
    environ = os.environ if environ is None else environ
    return application_of(assemble(settings, environ=environ), settings, environ=environ)


def application_of(parts: Parts, settings: Settings, *, environ: Mapping[str, str]) -> App:
    """Return the application of parts that were put together; errors as of ``application``."""
    name, version = _title(settings, environ)
    servers: list[Server] = [parts.gateway]
    host_servers: list[Server] = []
    if settings.debug:
        shown = [
            *console(parts.gateway, token=settings.console_token),
            *pages(parts.gateway, parts.control),
        ]
        address = settings.debug_address
        if settings.workers:
            # Of all workers together, each of which counts for itself, at the ports that follow.
            place, shared = Address.parse(address), address
            address = str(replace(place, port=place.port + 1) if place.port else place)
            signs = signpost(address, workers=settings.workers, token=settings.console_token)
            host_servers.append(DebugServer(shared, public=True, pages=signs))
        # Whoever gives an address that others reach wants it; pages are for this machine anyway.
        metrics = _rendering(parts.meter)
        servers.append(DebugServer(address, public=True, metrics=metrics, pages=shown))
    return App(
        name=name or settings.control_name or "gateway",
        version=version,
        servers=servers,
        host_servers=host_servers,
        resources=parts.resources,
        metrics=parts.meter,
        workers=settings.workers,
        # Whatever may take long has a limit of its own, and says what it waits for.
        startup_timeout=None,
        stop_timeout=settings.stop_timeout,
    )


def assemble(settings: Settings, *, environ: Mapping[str, str]) -> Parts:
    """Return the parts of a gateway; errors as of ``application``."""
    gates = Gates.parse(settings.gates)
    meter = _meter(settings)
    metrics = Metrics(meter)
    registry = registry_of(settings.discovery) if settings.discovery else None
    reader = _reader(settings)
    control = _control(settings, gates, environ)
    if control is not None:
        reader = ControlledReader(reader, control)
    build = builder(
        settings, gates=gates, meter=meter, metrics=metrics, discovery=registry, environ=environ
    )
    gateway = Gateway(
        Configuration(reader, environ=environ),
        build,
        addresses=settings.addresses,
        tls=settings.tls,
        limits=settings.limits,
        metrics=metrics,
        # One worker would show what it alone has counted.
        shown=_rendering(meter) if settings.public_metrics and not settings.workers else None,
    )
    parts = Parts(gateway=gateway, gates=gates, meter=meter, control=control)
    if settings.own_process and not settings.workers:  # else it has the workers replaced
        parts.resources.append(hangups(gateway.configuration.poke))
    if settings.own_process and settings.tls is not None and settings.tls.others:
        parts.resources.append(unreadable_names())
    if registry is not None:
        parts.resources.append(_closing(registry))
    return parts


def builder(
    settings: Settings,
    *,
    gates: Gates,
    meter: Meter,
    metrics: Metrics,
    discovery: Discovery | None,
    environ: Mapping[str, str],
) -> Build:
    """Return what makes the proxy of a configuration.

    Args:
        settings: How the gateway was called.
        gates: Its feature gates.
        meter: Where middleware counts.
        metrics: Where the proxy counts.
        discovery: Where services are looked up; ``None`` for nowhere.
        environ: Variables, of which those of proxies are read.

    Raises:
        ConfigError: The proxies of the environment, those that are trusted, or the hosts of
            redirects cannot be used.
    """
    # Imported on use: who checks a configuration needs neither proxies nor middleware.
    from kratos_gateway.backend import Apart, ConnectOptions, Findings, Redirects
    from kratos_gateway.middleware.context import Context
    from kratos_gateway.middleware.registry import create
    from kratos_gateway.proxy import Forwarding, Proxy, ReplayMemory, Tallies

    connect = ConnectOptions(
        dial_timeout=settings.dial_timeout, proxies=Proxies.from_environment(environ)
    )
    forwarding = Forwarding(settings.trusted_proxies)
    memory = ReplayMemory(settings.retry_memory * _MIB)
    tallies = Tallies()
    findings = Findings()
    identity = f"{socket.gethostname()}/{worker_slot() or 0}"
    redirects = Redirects(settings.redirect_hosts) if settings.follow_redirects else None
    limit = settings.resolve_timeout

    async def build(config: pb.Gateway) -> Replaceable:
        nonlocal limit

        def upstream(endpoint: pb.Endpoint) -> Apart:
            return Apart(
                endpoint,
                connect,
                tls_store=config.tls_store,
                discovery=discovery,
                identity=identity,
            )

        made = await Proxy.opened(
            config,
            resolve_timeout=limit,
            making=lasting if settings.own_process else uncollected,
            middleware=partial(create, context=Context(meter=meter, upstream=upstream)),
            discovery=discovery,
            connect=connect,
            metrics=metrics,
            tallies=tallies,
            findings=findings,
            forwarding=forwarding,
            redirects=redirects,
            strict_slash=settings.strict_slash,
            retry_unsafe=settings.retry_unsafe,
            retry_memory=memory,
            identity=identity,
            retry_enabled=partial(gates.enabled, RETRY),
        )
        # The first one may wait, as Go's does; a later one must not keep others from coming.
        limit = _LATER if limit is None else limit
        return made

    return build


def _title(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return name and version of the application: what the file says at the start, as in Go.

    A file that cannot be read has none: whoever serves it says why.
    """
    if settings.source:
        return "", ""
    try:
        return title_of(Path(settings.conf).read_text(encoding="utf-8-sig"), environ=environ)
    except (OSError, ValueError):
        return "", ""


def _meter(settings: Settings) -> Meter:
    if not settings.installed_meter:
        return MemoryMeter()
    meter = default_meter()
    if isinstance(meter, NopMeter):
        advice = "pip install kratos-prometheus"
        raise ConfigError(f"--metrics.installed: no meter is installed: {advice}")
    return meter


def _rendering(meter: object) -> Rendering | None:
    return meter if isinstance(meter, Rendering) else None


def _reader(settings: Settings) -> Reader:
    if settings.source:
        return SourceReader(
            source_of(settings.source), key=settings.key, priorities=settings.priorities
        )
    return FileReader(settings.conf, priorities=settings.priorities or None)


def _control(settings: Settings, gates: Gates, environ: Mapping[str, str]) -> ControlService | None:
    if not settings.control_services:
        return None
    files = ConfigFiles(settings.conf, settings.priorities or None)
    return ControlService(
        settings.control_services,
        identity=Identity(settings.control_name, advertised(environ)),
        # Workers follow the same files, and one of them writes these.
        files=files if worker_slot() in (None, 0) else None,
        gates=gates,
    )


def _closing(registry: Registry) -> AbstractAsyncContextManager[Any]:
    return aclosing(registry)
