"""What may be wrong with each part of a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kratos.errors import ConfigError
from kratos.selector import RandomChoice
from kratos_gateway.api.gateway_pb2 import GRPC, TLS, Backend, Endpoint, Protocol
from kratos_gateway.config.conditions import answers_itself
from kratos_gateway.config.node_checks import node_troubles
from kratos_gateway.config.retry_checks import DEFAULT_TIMEOUT
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.routing import HostPattern, PathPattern
from kratos_gateway.targets import read_target
from kratos_gateway.times import in_seconds

__all__ = [
    "backend_troubles",
    "balancer_troubles",
    "path_troubles",
    "time_troubles",
    "tls_troubles",
]

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of HTTP
_PEM: Final = "-----BEGIN "


def path_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with the path, host, protocol and method of an endpoint."""
    parsers: tuple[tuple[str, Callable[[str], object], str], ...] = (
        ("path", PathPattern.parse, endpoint.path),
        ("host", HostPattern.parse, endpoint.host),
    )
    for field, parse, pattern in parsers:
        try:
            parse(pattern)
        except ConfigError as error:
            yield Trouble(field, str(error).removeprefix(f"{field} "))
    if endpoint.protocol not in Protocol.values():
        yield Trouble("protocol", f"{endpoint.protocol} is none: write HTTP or GRPC")
    if endpoint.method and not _METHOD.fullmatch(endpoint.method):
        text = f"{endpoint.method!r} is no method: name one, or write * for all"
        yield Trouble("method", text)


def time_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with the times of an endpoint."""
    whole = in_seconds(endpoint.timeout) if endpoint.HasField("timeout") else 0.0
    if whole < 0:
        yield Trouble("timeout", "it is negative, so it counts as 1s", fatal=False)
    each = in_seconds(endpoint.retry.per_try_timeout)
    if each < 0:
        yield Trouble("retry.per_try_timeout", "it is negative, so timeout counts", fatal=False)
    elif each > (whole if whole > 0 else DEFAULT_TIMEOUT):
        text = "it is longer than timeout, which is for all attempts together and ends this one"
        yield Trouble("retry.per_try_timeout", text, fatal=False)


def balancer_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with the balancer of an endpoint."""
    # Imported on use: most endpoints have none.
    from kratos_gateway.backend.balancing import balance_of

    if endpoint.HasField("balancer"):
        try:
            balance_of(endpoint, default=RandomChoice)
        except ConfigError as error:
            yield Trouble("balancer", str(error).removeprefix("balancer: "))


def backend_troubles(
    endpoint: Endpoint, store: Mapping[str, TLS], *, discovery: bool | None
) -> Iterator[Trouble]:
    """Tell what is wrong with the back ends of an endpoint.

    Args:
        endpoint: The endpoint.
        store: TLS by name.
        discovery: Whether there will be a registry; ``None`` if that is not known.
    """
    if not endpoint.backends and not answers_itself(endpoint):
        yield Trouble("backends", "there is none: name one")
    for at, backend in enumerate(endpoint.backends):
        place = f"backends[{at}]"
        try:
            if read_target(backend.target, secure=backend.tls).service:
                if discovery is False:
                    text = "there is no registry to ask: give --discovery.dsn"
                    yield Trouble(f"{place}.target", text)
            else:
                yield from _direct_troubles(place, backend)
        except ConfigError as error:
            yield Trouble(f"{place}.target", str(error))
        yield from _probe_troubles(place, backend)
        if backend.HasField("weight") and backend.weight < 0:
            yield Trouble(f"{place}.weight", f"{backend.weight} is negative")
        if backend.http2 and endpoint.protocol == GRPC:
            text = "nothing reads it where protocol is GRPC, which is HTTP/2 anyway: leave it out"
            yield Trouble(f"{place}.http2", text, fatal=False)
        yield from _tls_name_troubles(place, backend, store)
    yield from node_troubles(endpoint)


def _direct_troubles(place: str, backend: Backend) -> Iterator[Trouble]:
    for field, given in (("labels", backend.labels), ("subset_size", backend.subset_size)):
        if given:
            text = "it chooses among what a registry tells: write discovery:///service as target"
            yield Trouble(f"{place}.{field}", text, fatal=False)


def _tls_name_troubles(place: str, backend: Backend, store: Mapping[str, TLS]) -> Iterator[Trouble]:
    name = backend.tls_config_name
    if name and name not in store:
        text = f"tls_store has no {name!r}, so the system's roots count"
        yield Trouble(f"{place}.tls_config_name", text, fatal=False)
    if name and not backend.tls:
        text = "nothing reads it without tls: true"
        yield Trouble(f"{place}.tls_config_name", text, fatal=False)


def _probe_troubles(place: str, backend: Backend) -> Iterator[Trouble]:
    if not backend.HasField("health_check"):
        return
    from kratos_gateway.backend.probing import plan_of  # imported on use, as above

    try:
        plan = plan_of(backend, grpc=False)
    except ConfigError as error:
        yield Trouble(f"{place}.health_check", str(error).removeprefix("health_check: "))
        return
    if plan is None and backend.health_check.ListFields():  # an empty one may be from Go
        text = "nothing reads it: nobody is asked without interval; write one, such as 5s"
        yield Trouble(f"{place}.health_check", text, fatal=False)


def _pem_troubles(tls: TLS) -> Iterator[Trouble]:
    for field in ("cacert", "cert", "key"):
        text: str = getattr(tls, field)
        if text and _PEM not in text:
            yield Trouble(field, "it is no PEM: put the text of the file here, not its path")
    if bool(tls.cert) != bool(tls.key):
        lacking = "key" if tls.cert else "cert"
        yield Trouble(lacking, "a certificate and its key go together, and this one is missing")


def _material_troubles(tls: TLS) -> Iterator[Trouble]:
    """Tell what the connections to back ends would refuse."""
    from kratos_gateway.backend.connections import require_tls  # imported on use, as above

    parts = (("cacert", TLS(cacert=tls.cacert)), ("cert", TLS(cert=tls.cert, key=tls.key)))
    for field, part in parts:
        try:
            require_tls(part)
        except ConfigError as error:
            yield Trouble(field, str(error))


def tls_troubles(tls: TLS) -> Iterator[Trouble]:
    """Tell what is wrong with an entry of the TLS store."""
    wrong = list(_pem_troubles(tls))
    yield from wrong or _material_troubles(tls)
    if tls.insecure:
        text = "whoever is in the way can be the server; give cacert instead"
        yield Trouble("insecure", text, fatal=False)
