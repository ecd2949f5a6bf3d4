"""Messages between the processes of one application: a supervisor and its workers.

What one process finds out, all of them may need: that a cache is out of date, or what the
configuration says now. Without workers the messages stay in the process, so the same code serves
for both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final, cast

from kratos.log import Level, Logger, StdLogger

__all__ = ["MAX_MESSAGE", "Bus", "Published"]

MAX_MESSAGE: Final = 1024 * 1024  # bytes of a value as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One message.

    Attributes:
        topic: What it is about.
        value: What JSON can carry.
        keep: Whether those get it, too, that come later.
        number: By which a worker knows its own message again when the supervisor has given it its
            place among the others; 0 for messages of others.
    """

    topic: str
    value: Any = None
    keep: bool = False
    number: int = 0


class Bus:
    """Carries messages to every process of an application, the sender's own included.

    Messages of one process come in their order, to each worker that runs when they are sent;
    a worker that starts later gets those that are kept, one for each topic: the newest that the
    supervisor knows. Where two processes publish under one topic at once, each hears its own first.
    What is kept is the same everywhere in the end: the supervisor puts it in one order, and who
    has heard another message after its own, which comes before it in that order, hears its own
    once more.

    Args:
        log: Where failures of listeners go.
    """

    def __init__(self, *, log: Logger | None = None) -> None:
        self._log = StdLogger() if log is None else log
        self._listeners: dict[str, dict[object, tuple[Callable[[Any], None], Context]]] = {}
        self._kept: dict[str, Published] = {}
        self._pending: dict[str, int] = {}  # number of the own message that has no place yet
        self._number = 0
        self._send: Callable[[Published], None] | None = None
        self._confirmed = False

    def publish(self, topic: str, value: Any = None, /, *, keep: bool = False) -> None:
        """Give a value to all who listen to a topic, here and in the other processes.

        Listeners of this process have been called when it returns.

        Args:
            topic: What it is about.
            value: What JSON can carry, of at most 1 MiB; everybody gets a copy.
            keep: Whether to give it, too, to whoever listens or starts later, until there is a
                newer one. Topics that are kept should be few, as they are not forgotten.

        Raises:
            TypeError: JSON cannot carry the value.
            ValueError: It cannot carry the number, or the value is too large.
            KratosError: The supervisor takes no messages any more.
        """
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"a message for {topic!r} cannot be sent: {error}") from error
        if len(text) > MAX_MESSAGE:
            raise ValueError(
                f"a message of {len(text)} bytes for {topic!r} exceeds {MAX_MESSAGE}: "
                "publish where it is to be found instead"
            )
        self._number += 1
        number = self._number if keep else 0
        published = Published(topic=topic, value=json.loads(text), keep=keep, number=number)
        if self._send is not None:
            self._send(published)
            if self._confirmed and keep:
                self._pending[topic] = number
        self._hear(published)

    def subscribe(self, topic: str, listener: Callable[[Any], None], /) -> Callable[[], None]:
        """Call ``listener`` with each value from now on, and at once with one that is kept.

        It is called on the event loop and must not block; ``App.spawn`` takes what has to wait.
        What it raises is logged. It sees the context variables of the subscriber.

        Returns:
            What ends it; idempotent.

        Raises:
            TypeError: It is no function, or one that would have to be awaited.
        """
        given = cast("object", listener)
        if not callable(given) or iscoroutinefunction(given):
            raise TypeError(
                f"{listener!r} cannot listen to {topic!r}: pass a function that is no async def, "
                "and let App.spawn do what has to wait"
            )
        key = object()
        self._listeners.setdefault(topic, {})[key] = (listener, copy_context())
        kept = self._kept.get(topic)
        if kept is not None:
            self._call(kept, listener, copy_context())

        def end() -> None:
            listeners = self._listeners.get(topic, {})
            if listeners.pop(key, None) is not None and not listeners:
                del self._listeners[topic]

        return end

    def connect(self, send: Callable[[Published], None], /, *, confirmed: bool = False) -> None:
        """Pass on what is published here: for what ties processes together.

        Args:
            send: Takes each message.
            confirmed: Whether those that are kept come back by ``deliver``, when they have their
                place among those of others.
        """
        self._send = send
        self._confirmed = confirmed

    def deliver(self, published: Published, /) -> None:
        """Take a message from another process: for what ties processes together."""
        if not published.number:
            self._hear(published)
        elif self._pending.get(published.topic) == published.number:
            del self._pending[published.topic]
            if self._kept.get(published.topic) != published:
                self._hear(published)  # another one came in between, which is older

    def _hear(self, published: Published) -> None:
        if published.keep:
            self._kept[published.topic] = published
        for listener, context in tuple(self._listeners.get(published.topic, {}).values()):
            self._call(published, listener, context.copy())

    def kept(self) -> Iterator[Published]:
        """Iterate over the messages that are kept."""
        yield from self._kept.values()

    def _call(
        self, published: Published, listener: Callable[[Any], None], context: Context
    ) -> None:
        try:
            # A copy of its own: what one listener does with it is no other's business.
            context.run(listener, json.loads(json.dumps(published.value)))
        except (Exception, asyncio.CancelledError) as error:  # no cancellation of ours: no await
            self._log.log(
                Level.ERROR, "a listener failed", {"topic": published.topic, "error": error}
            )
