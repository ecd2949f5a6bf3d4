"""SIGHUP, by which operators of other proxies ask for a look at the configuration."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

__all__ = ["hangups"]

_log = logging.getLogger("kratos.gateway")


@asynccontextmanager
async def hangups(look: Callable[[], None]) -> AsyncGenerator[None]:
    """Call ``look`` for each SIGHUP, which would else end the process.

    Does nothing where there is no such signal, and in other threads than the first, to which
    Python delivers none. What handled it before does so again afterwards.

    Args:
        look: Called on the event loop.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def told() -> None:
        _log.info("SIGHUP: the configuration is looked at now")
        look()

    loop = asyncio.get_running_loop()
    before = signal.getsignal(number)
    loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
        if before is not None:  # else nobody can put it back
            signal.signal(number, before)
