"""From a factory to a process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from kratos.app._context import of_process
from kratos.app._making import made, told
from kratos.app._options import name_of
from kratos.errors import (
    ConfigError,
    MissingDependency,
    PluginConflict,
    PluginLoadError,
    PluginNotFound,
    StartupError,
)
from kratos.log import Level, StdLogger
from kratos.log._console import shown
from kratos.process import worker_slot

if TYPE_CHECKING:
    from kratos.app._app import App
    from kratos.app._options import Options, Workers

__all__ = ["default_loop_factory", "exit_code", "load", "refused", "run"]

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


def run(
    build: Callable[[], App] | str,
    /,
    *,
    workers: Workers | None = None,
    adapt: Callable[[Options], Options] | None = None,
) -> None:
    """Build an application and serve it: the last line of a program.

    Returns when the application has stopped as it was asked to, by a signal for instance.
    Unless the program has configured ``logging``, Kratos' records go to standard error.

    With workers, this process becomes their supervisor: it starts them anew from the program's
    file, so what the program does besides defining things belongs under
    ``if __name__ == "__main__":``, as this call does. SIGHUP replaces them one after another.

    Args:
        build: Makes the application; without side effects, because the supervisor calls it as
            well as each worker. Or its name, ``module:build`` or ``path/service.py:build``. With
            workers it must be one, because they find it by its name.
        workers: How many processes, ``"auto"`` for one on each core, 0 for none but this;
            default: what the application says.
        adapt: Returns other options for the application in this process, before it serves or
            becomes a supervisor: for commands that run applications of others.

    Raises:
        StartupError: A worker came to this line when it imported the program.
        SystemExit: It failed; the reason is logged. Code 2: it could not start with what it
            was given (``StartupError``, ``ConfigError``, a missing plug-in), so starting it
            again will not help; code 1: anything else.
    """
    if worker_slot() is not None:
        raise StartupError(
            "run() was called while a worker imported the program: "
            "put the call under if __name__ == '__main__':"
        )
    with shown(), ExitStack() as stack:
        try:
            app = _application(build, workers, adapt)
            stack.enter_context(of_process(app))  # its last words are its own, too
            app.serve()
        except (Exception, asyncio.CancelledError) as error:
            StdLogger().log(Level.FATAL, "application failed", {"error": told(error)})
            sys.exit(exit_code(error))


def load(target: str, /) -> Callable[[], App]:
    """Return the factory of a name, as ``run`` finds it, without calling it.

    Args:
        target: ``module:build`` or ``path/service.py:build``; ``build`` may be left out.

    Raises:
        ConfigError: There is no such module, or nothing of that name in it.
        Exception: What the module raises.
    """
    from kratos.workers._target import load as found  # programs without workers do not pay for it

    return found(target)


def refused(error: BaseException) -> bool:
    """Tell whether an application could not start with what it was given."""
    return isinstance(error, _REFUSALS)


def exit_code(error: BaseException) -> int:
    """Return what a process ends with that failed."""
    return EXIT_REFUSED if refused(error) else EXIT_FAILED


def _application(
    build: Callable[[], App] | str,
    workers: Workers | None,
    adapt: Callable[[Options], Options] | None,
) -> App:
    # Programs without workers do not pay for them.
    from kratos.workers._target import load, name_of_factory

    app = made(load(build), build) if isinstance(build, str) else made(build, name_of(build))
    if adapt is not None:
        app.adapt(adapt)
    wanted = app.options.workers if workers is None else workers
    if wanted:
        from kratos.workers import supervise

        supervise(app, build if isinstance(build, str) else name_of_factory(build), workers=wanted)
    return app


def default_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory if uvloop is installed; ``None`` means asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
