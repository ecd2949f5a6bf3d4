"""From what a user names to the objects that a client is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos import plugins
from kratos.client.target import Target
from kratos.errors import ConfigError, TargetError
from kratos.registry import Discovery
from kratos.selector import Selector
from kratos.transport import Connector

__all__ = ["check_target", "connector_factory", "selector_of", "wants_tls"]

_DEFAULT_TRANSPORT: Final = "http"
_SCHEMES: Final = {"connect": "http"}
"""Schemes of transports that are reached at endpoints of another one."""


def check_target(target: Target, *, discovery: Discovery | str | None, tls: object | None) -> None:
    """Refuse a target that contradicts other arguments.

    Raises:
        TargetError: It does.
        ConfigError: ``discovery`` cannot look anything up.
    """
    if not (discovery is None or isinstance(discovery, str)) and not callable(
        getattr(discovery, "watch", None)
    ):
        raise ConfigError(f"discovery {discovery!r} is neither a registry nor the URL of one")
    if target.service and discovery is None:
        raise TargetError(
            f"target {target.text!r} names a service to look up: pass discovery=, a registry "
            "or its URL"
        )
    if target.secure is False and wants_tls(tls):
        raise TargetError(
            f"target {target.text!r} says plain text and tls= says TLS: write "
            f"{target.scheme}s:// or leave tls out"
        )


def connector_factory(
    transport: str | Connector | None, target: Target, tls: object | None
) -> Callable[[], Connector]:
    """Return what makes the connector, in the event loop.

    Raises:
        TargetError: The target asks for another transport.
        ConfigError: The transport is none.
        PluginNotFound: The transport is not installed.
    """
    if transport is None:
        transport = target.scheme or _DEFAULT_TRANSPORT
    if not isinstance(transport, str) and not callable(getattr(transport, "connect", None)):
        raise ConfigError(f"transport {transport!r} is neither a name nor a connector")
    name = transport if isinstance(transport, str) else transport.scheme
    if target.scheme is not None and target.scheme != _SCHEMES.get(name, name):
        raise TargetError(
            f"target {target.text!r} is one of {target.scheme}, and transport= says {name}"
        )
    if not isinstance(transport, str):
        connector = transport
        return lambda: connector
    factory = plugins.load("kratos.transport", transport)
    configuration = None if isinstance(tls, bool) else tls
    return lambda: factory(tls=configuration)


def selector_of(selector: str | Selector) -> Selector:
    """Return the selector of that name, or the object.

    Raises:
        ConfigError: It is neither.
        PluginNotFound: No selector of that name is installed.
    """
    if isinstance(selector, str):
        return plugins.load("kratos.selector", selector)()
    if not callable(getattr(selector, "select", None)):
        raise ConfigError(
            f"selector {selector!r} is neither a name nor an object with apply and select"
        )
    return selector


def wants_tls(tls: object | None) -> bool:
    """Whether an argument ``tls`` asks for TLS."""
    return tls is not None and tls is not False
