"""From a factory to a process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kratos.errors import (
    ConfigError,
    MissingDependency,
    PluginConflict,
    PluginLoadError,
    PluginNotFound,
    StartupError,
)
from kratos.limit import describe
from kratos.log import Level, StdLogger
from kratos.log._console import shown

if TYPE_CHECKING:
    from kratos.app._app import App

__all__ = ["default_loop_factory", "run"]

EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2

_REFUSALS: Final = (
    ConfigError,
    MissingDependency,
    PluginConflict,
    PluginLoadError,
    PluginNotFound,
    StartupError,
)


def run(build: Callable[[], App], /) -> None:
    """Build an application and serve it: the last line of a program.

    Returns when the application has stopped as it was asked to, by a signal for instance.
    Unless the program has configured ``logging``, Kratos' records go to standard error.

    Args:
        build: Makes the application; without side effects, so that others may call it too.

    Raises:
        SystemExit: It failed; the reason is logged. Code 2: it could not start with what it
            was given (``StartupError``, ``ConfigError``, a missing plug-in), so starting it
            again will not help; code 1: anything else.
    """
    with shown():
        try:
            build().serve()
        except Exception as error:
            refused = isinstance(error, _REFUSALS)
            reason = describe(error) if refused else error
            StdLogger().log(Level.FATAL, "application failed", {"error": reason})
            sys.exit(EXIT_REFUSED if refused else EXIT_FAILED)


def default_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory if uvloop is installed; ``None`` means asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
