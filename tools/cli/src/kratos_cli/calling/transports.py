"""Which transport a call goes over where nobody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kratos.client import Target
from kratos.registry import from_url, get_service
from kratos.registry.endpoint import find_endpoint
from kratos_cli.failure import CommandFailure

__all__ = ["choose"]

_BY_DEFAULT: Final = "grpc"
_IN_TURN: Final = ("grpc", "http")


async def choose(
    target: Target, *, given: str | None, registry: str | None, secure: bool, timeout: float
) -> str:
    """Return the transport that is given, or that a target says.

    Else it is gRPC, except of a name of which the registry knows HTTP alone.

    Args:
        target: What is called.
        given: A transport; ``None`` for none.
        registry: URL of the registry; ``None`` for none.
        secure: Whether TLS is wanted.
        timeout: Seconds for the registry to answer; 0 for no limit.

    Raises:
        CommandFailure: The registry did not answer in time, or what it knows is reached with TLS
            alone, or without it alone.
        RegistryUnavailable: It did not answer.
        ConfigError: The URL is wrong.
    """
    said = given or target.scheme
    if said or not target.service or registry is None:
        return said or _BY_DEFAULT
    endpoints = await _endpoints(registry, target.service, timeout)
    for transport in _IN_TURN:
        if find_endpoint(endpoints, transport, secure=secure):
            return transport
    if any(find_endpoint(endpoints, transport, secure=not secure) for transport in _IN_TURN):
        remedy = "leave --tls and its like out" if secure else "pass --tls, --ca or --insecure"
        raise CommandFailure(f"{target.service} is at {', '.join(endpoints)}; {remedy}", status=2)
    return _BY_DEFAULT


async def _endpoints(registry: str, service: str, timeout: float) -> Sequence[str]:
    opened = from_url(registry)
    try:
        async with asyncio.timeout(timeout or None):
            instances = await get_service(opened, service)
    except TimeoutError as error:
        raise CommandFailure(f"the registry did not answer within {timeout:g} s") from error
    finally:
        await opened.aclose()
    return [endpoint for instance in instances for endpoint in instance.endpoints]
