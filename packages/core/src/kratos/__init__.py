"""Kratos: microservices on asyncio, one service definition over HTTP and gRPC.

What every program needs is at hand here and imported when it is first used; the rest is in
modules that carry the name of their concept, such as ``kratos.registry``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kratos.app import App, AppInfo, Hook, app_info, current_app, run
    from kratos.client import Client
    from kratos.errors import Error
    from kratos.transport import (
        Arity,
        Call,
        CallOptions,
        HttpRule,
        Method,
        Missing,
        Service,
        detached,
        duplex,
        server_call,
    )
    from kratos.transport.local import local

    __version__: str

__all__ = [
    "App",
    "AppInfo",
    "Arity",
    "Call",
    "CallOptions",
    "Client",
    "Error",
    "Hook",
    "HttpRule",
    "Method",
    "Missing",
    "Service",
    "app_info",
    "current_app",
    "detached",
    "duplex",
    "local",
    "run",
    "server_call",
]

_HOMES: Final = {
    **dict.fromkeys(("App", "AppInfo", "Hook", "app_info", "current_app", "run"), "kratos.app"),
    "Client": "kratos.client",
    "Error": "kratos.errors",
    **dict.fromkeys(
        (
            "Arity",
            "Call",
            "CallOptions",
            "HttpRule",
            "Method",
            "Missing",
            "Service",
            "detached",
            "duplex",
            "local",
            "server_call",
        ),
        "kratos.transport",
    ),
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kratos' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Return the version of the installed distribution; without one there is none to tell."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kratos-core")
    except PackageNotFoundError:
        return "unknown"
