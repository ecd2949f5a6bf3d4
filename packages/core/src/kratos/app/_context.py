"""Which application the running code belongs to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kratos.app._app import App
    from kratos.transport.server import AppInfo

__all__ = ["CURRENT", "app_info", "app_of_process", "current_app", "of_process"]

CURRENT: Final[ContextVar[App | None]] = ContextVar("kratos.app", default=None)
_LIVING: Final[list[App]] = []


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


@contextmanager
def of_process(app: App, /) -> Generator[None]:
    """Let this process be the application's for as long as this is entered."""
    _LIVING.append(app)
    try:
        yield
    finally:
        _LIVING.remove(app)


def app_of_process() -> App | None:
    """Return the application that this code runs in, else the only one that this process has.

    For what says who writes: signals, threads and the end of a process are no application's
    context, but belong to it none the less.
    """
    app = CURRENT.get()
    if app is None and len(set(_LIVING)) == 1:
        app = _LIVING[0]
    return app
