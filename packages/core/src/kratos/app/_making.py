"""From a factory to an application, and what is told of one that fails."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from kratos.errors import ConfigError, KratosError
from kratos.limit import describe

if TYPE_CHECKING:
    from kratos.app._app import App

__all__ = ["made", "told"]

_INSIDE: Final = (
    str(Path(__file__).parents[1]),
    *(str(Path(str(module.__file__)).parent) for module in (asyncio, importlib)),
    "<frozen importlib",
    "uvloop/",
)


def made(build: Callable[[], Any], name: str, /) -> App:
    """Call a factory.

    Args:
        build: The factory.
        name: What to call it in errors.

    Raises:
        ConfigError: It takes arguments, or returns something else.
        Exception: What it raises.
    """
    from kratos.app._app import App

    try:
        inspect.signature(build).bind()
    except TypeError as error:
        raise ConfigError(
            f"{name} takes arguments ({error}): a factory takes none; what it needs to know it "
            "reads from the environment, from files or from sys.argv"
        ) from None
    except ValueError:
        pass  # one that is not written in Python tells nothing of its parameters
    app: object = build()
    if isinstance(app, App):
        return app
    if inspect.iscoroutine(app):
        app.close()
        raise ConfigError(
            f"{name} is async: define it with def, and what has to wait as a resource or a "
            "before_start hook"
        )
    raise ConfigError(f"{name} returns {app!r}; it must return an App")


def told(error: BaseException, /) -> object:
    """Return what a log is to have of an error that ends a program.

    Errors of our own say what to do; a traceback would only bury that. That of others begins
    in the program, if it leads there.
    """
    if isinstance(error, KratosError):
        return describe(error)
    trace = error.__traceback__
    while trace is not None and _is_inside(trace):
        trace = trace.tb_next
    if trace is None and not isinstance(error, SyntaxError):
        return error  # a fault of ours
    return error.with_traceback(trace)


def _is_inside(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file.startswith(_INSIDE)
