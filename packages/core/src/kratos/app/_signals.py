"""Signals of the operating system, delivered on the event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, TypeAlias

from kratos.log import flush_all

__all__ = ["Signals", "end_process"]

Handler: TypeAlias = "Callable[[signal.Signals], None]"

_LAST_LINES: Final = 0.5  # seconds for what is logged and not written yet

# Several applications may run in one loop, and each wants to know.
_receivers: Final[dict[tuple[asyncio.AbstractEventLoop, int], _Receiver]] = {}


class Signals:
    """While entered, calls ``handler`` on the event loop for each signal.

    At its end, what handled a signal before does so again. Python delivers signals to the main
    thread only, so in another thread this does nothing.

    Args:
        signals: Which ones.
        handler: Called with the signal.
    """

    def __init__(self, signals: Sequence[signal.Signals], handler: Handler) -> None:
        self._signals = tuple(dict.fromkeys(signals))
        self._handler = handler
        self._entered: list[_Receiver] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in self._signals:
            receiver = _receivers.get((loop, number))
            if receiver is None:
                receiver = _receivers[loop, number] = _Receiver(loop, number)
            receiver.handlers.append(self._handler)
            self._entered.append(receiver)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for receiver in self._entered:
            receiver.handlers.remove(self._handler)
            if not receiver.handlers:
                del _receivers[receiver.loop, receiver.number]
                receiver.close()
        self._entered.clear()


class _Receiver:
    """One signal of one loop and everybody who wants to know of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: signal.Signals) -> None:
        self.loop = loop
        self.number = number
        self.handlers: list[Handler] = []
        self._previous: Any = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, self._deliver)
        except NotImplementedError:  # the loops of Windows
            signal.signal(number, self._hop)

    def close(self) -> None:
        try:
            self.loop.remove_signal_handler(self.number)
        except NotImplementedError:
            pass
        # None: installed by something other than Python, which nobody can put back.
        if self._previous is not None:
            signal.signal(self.number, self._previous)

    def _deliver(self) -> None:
        for handler in tuple(self.handlers):
            handler(self.number)

    def _hop(self, _number: int, _frame: FrameType | None) -> None:
        self.loop.call_soon_threadsafe(self._deliver)


def end_process(number: signal.Signals) -> None:
    """End the process now, as the signal does by default; what was logged is written before."""
    flush_all(_LAST_LINES)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
