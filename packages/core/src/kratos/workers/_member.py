"""The life of a worker: told who it is, it builds the application, serves, and leaves."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kratos.address import Address
from kratos.app import App
from kratos.app._context import of_process
from kratos.app._main import default_loop_factory, exit_code, refused
from kratos.app._making import made, told
from kratos.app._options import Options, name_of
from kratos.config._states import from_plain, handed
from kratos.errors import KratosError, StartupError
from kratos.health import Kind
from kratos.limit import Limit, cancel_and_wait, describe
from kratos.log import Level, StdLogger
from kratos.log._console import shown
from kratos.process import become_worker
from kratos.transport.server import Endpointer, Shareable
from kratos.workers._channel import Channel, receive_first
from kratos.workers._following import Following
from kratos.workers._guard import EXIT_ORPHANED, Guard, end_within
from kratos.workers._messages import (
    LARGEST,
    Configure,
    Failed,
    Finish,
    Leaving,
    Measure,
    Published,
    Ready,
    Report,
    Settle,
    Setup,
    Stop,
    encode,
)
from kratos.workers._pool import GRACE
from kratos.workers._target import load
from kratos.workers._telling import Telling

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["work"]

_ORPHAN: Final = 10.0  # seconds for what is in flight, where stop_timeout sets no limit
_LEFT_TO_SUPERVISOR: Final = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM")


def work(target: str, descriptor: int) -> int:
    """Serve as one of a supervisor's workers and return the exit code.

    Args:
        target: What to build.
        descriptor: Of our end of the channel.
    """
    _leave_signals_to_supervisor()
    end = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    try:
        setup = receive_first(end)
    except (KratosError, ConnectionError):
        return EXIT_ORPHANED
    assert isinstance(setup, Setup), "comes first"
    become_worker(setup.slot)
    guard = Guard(end)
    guard.start()
    sys.path[:] = setup.path
    sys.argv[:] = setup.argv
    # The end of the runner waits for threads, hence after the last words.
    runner = asyncio.Runner(loop_factory=default_loop_factory())
    with shown(f"worker {setup.slot}: "), ExitStack() as stack, runner, end.dup() as last_words:
        code = 0
        try:
            app = _build(target, setup)
            stack.enter_context(of_process(app))
            runner.run(_serve(app, setup, Channel(end), guard))
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            _tell_failure(error, last_words)
            code = exit_code(error)
        end_within(GRACE, code)
    return code


def _tell_failure(error: BaseException, last_words: socket.socket) -> None:
    reason = describe(error)
    StdLogger().log(Level.FATAL, "worker failed", {"error": told(error)})
    with suppress(OSError):  # nobody may be there to hear it
        last_words.sendall(encode(Failed(reason=reason, refused=refused(error))))


def _leave_signals_to_supervisor() -> None:
    """Ignore what ends a group of processes, such as Ctrl-C: the supervisor gives the orders."""

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Do nothing; unlike SIG_IGN, this is not passed on to programs that we start."""

    for name in _LEFT_TO_SUPERVISOR:
        signal.signal(signal.Signals[name], ignore)


def _build(target: str, setup: Setup) -> App:
    states = from_plain(setup.config)
    with handed(states):
        app = made(load(target), target)
    places = _places(app.options, setup)
    app.adapt(lambda options: _working(options, setup))
    for server, place in places:
        server.share(place)
    if app.options.config is not None and setup.config:
        app.options.config.follow(states, revision=setup.revision)
    return app


def _places(options: Options, setup: Setup) -> list[tuple[Shareable, socket.socket | Address]]:
    """Match what the supervisor handed down with the servers.

    Raises:
        StartupError: The servers are no longer those that the supervisor knows.
    """
    places: list[tuple[Shareable, socket.socket | Address]] = []
    for index, server in enumerate(options.servers):
        key = str(index)
        if not isinstance(server, Shareable) or setup.expected.get(key) != str(server.address):
            if isinstance(server, Endpointer) or key in setup.expected:
                raise StartupError(
                    f"{name_of(server)} listens elsewhere than when the supervisor started: "
                    "other addresses need a restart, not a reload"
                )
        elif key in setup.sockets:
            sock = socket.socket(fileno=setup.sockets[key])
            sock.set_inheritable(False)
            sock.setblocking(False)
            places.append((server, sock))
        else:
            places.append((server, Address.parse(setup.addresses[key])))
    return places


def _working(options: Options, setup: Setup) -> Options:
    alone = setup.registers
    return replace(
        options,
        id=setup.id,
        host_servers=(),
        registrar=options.registrar if alone else None,
        require_registration=options.require_registration and alone,
        # What is in the registry is the host: the supervisor waits, and says when that is over.
        drain_delay=options.drain_delay if alone else math.inf,
        signals=(),
    )


async def _serve(app: App, setup: Setup, channel: Channel, guard: Guard) -> None:
    await channel.open()
    app.adapt(lambda options: _announcing(options, channel))
    app.bus.connect(partial(_publish, channel), confirmed=True)
    options = app.options
    telling = Telling(options.metrics, channel, parts=setup.parts, log=options.log)
    following = Following(app.options.config, channel)
    async with (
        _task(telling.run()),
        _task(_obey(app, channel, telling, following)),
        _task(_tell(app, channel, guard, telling)),
    ):
        try:
            await app.run()
        finally:
            await following.aclose()
            telling.end()
            await channel.flush()


def _publish(channel: Channel, message: Published) -> None:
    if channel.unread > LARGEST:
        raise KratosError(f"the supervisor has left {channel.unread} bytes unread")
    channel.send(message)


def _announcing(options: Options, channel: Channel) -> Options:
    def leaving(_app: App) -> None:
        channel.send(Leaving())

    return replace(options, before_stop=(*options.before_stop, leaving))


async def _obey(app: App, channel: Channel, telling: Telling, following: Following) -> None:
    """Do as the supervisor says; leave when it is gone."""
    async for message in channel.messages():
        match message:
            case Stop():
                app.stop("the supervisor says so")
            case Finish():
                app.hurry()
            case Measure():
                telling.want(asked=True)
            case Published():
                app.bus.deliver(message)
            case Configure() | Settle():
                following.take(message)
            case _:
                continue
    app.stop("the supervisor is gone")
    app.hurry()


async def _tell(app: App, channel: Channel, guard: Guard, telling: Telling) -> None:
    """Tell when the start is complete, and how the application is from then on."""
    try:
        await app.ready()
    except StartupError:
        return  # what ``run`` raises tells more
    options = app.options
    stop = _ORPHAN if options.stop_timeout is None else options.stop_timeout
    guard.patience = stop + GRACE
    changed = asyncio.Event()
    told = False
    forget = app.health.subscribe("", lambda _status: changed.set())
    try:
        while True:
            changed.clear()
            report = await app.health.report(Kind.READY)
            failed = {result.name: result.message for result in report.failed}
            channel.send(Report(ready=report.ok, failed=failed))
            if not told:
                channel.send(Ready())
                told = True
            telling.want()  # so that little is lost with a worker that is killed
            with suppress(TimeoutError):
                async with Limit(options.clock, options.check_interval):
                    await changed.wait()
    finally:
        forget()


@asynccontextmanager
async def _task(beside: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run something beside the block, and no longer."""
    task = asyncio.create_task(beside)
    try:
        yield
    finally:
        await cancel_and_wait(task)
