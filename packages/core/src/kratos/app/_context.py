"""Which application the running code belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kratos.app._app import App
    from kratos.transport.server import AppInfo

__all__ = ["CURRENT", "app_info", "current_app"]

CURRENT: Final[ContextVar[App | None]] = ContextVar("kratos.app", default=None)


def current_app() -> App:
    """Return the application that this code runs in: a hook, a server, a call, a spawned task.

    Raises:
        RuntimeError: There is none.
    """
    app = CURRENT.get()
    if app is None:
        raise RuntimeError("this code does not run inside of App.run()")
    return app


def app_info() -> AppInfo | None:
    """Return who the running application is; ``None`` outside of one (Go: kratos.FromContext)."""
    app = CURRENT.get()
    return None if app is None else app.info
