"""One session with ZooKeeper: the bridge between kazoo's threads and the event loop.

What kazoo calls in its threads does nothing but ``call_soon_threadsafe``. What would block, which
is ending a session, has a thread of its own. A session that is over, because ZooKeeper let it
expire or because it was closed, is never used again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from kratos_zookeeper.clients import kazoo

__all__ = ["Session", "SessionOver"]

_Listener: TypeAlias = Callable[[str | None], None]

_log = logging.getLogger("kratos.zookeeper")


class SessionOver(Exception):
    """The session has ended: what it had published is gone, or will be when it expires."""


class Session:
    """The present session of a client of kazoo, on the running event loop.

    Args:
        client: The client.
        timeout: Seconds of silence after which ZooKeeper ends the session.
        owned: Whether the client is started and stopped here. If not, it is its owner's, who does
            that, and it has another session when this one is over.
    """

    def __init__(self, client: Any, *, timeout: float, owned: bool) -> None:
        self._client = client
        self._timeout = timeout
        self._owned = owned
        self._ending: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._live = asyncio.Event()
        self._over = asyncio.Event()
        self._closed = asyncio.Event()
        self._closing: threading.Thread | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._listeners: dict[str, set[_Listener]] = {}
        self._hear_client = partial(self._post, self._turn)
        client.add_listener(self._hear_client)
        if owned:
            client.start_async()
        elif client.connected:
            self._live.set()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    @property
    def closed(self) -> bool:
        """Whether nothing of it is left."""
        return self._closed.is_set()

    @property
    def number(self) -> int:
        """What nodes have as their owner; 0 before the first connection."""
        return self._client.client_id[0] if self._client.client_id else 0

    async def live(self) -> None:
        """Return when it is connected.

        Raises:
            SessionOver: It has ended.
        """
        await self._live.wait()
        if self.over:
            raise SessionOver

    def transaction(self) -> Any:
        """Return a transaction of kazoo, to be given to ``commit``."""
        return self._client.transaction()

    async def commit(self, transaction: Any) -> list[Any]:
        """Carry out all of a transaction or nothing; return the results, or raise the error."""
        results: list[Any] = await self._settled(transaction.commit_async())
        errors = kazoo("exceptions")
        for result in results:
            if isinstance(result, Exception) and not isinstance(
                result, errors.RolledBackError | errors.RuntimeInconsistency
            ):
                raise result
        return results

    def send(self, method: str, /, *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Send a request, a method of ``KazooClient`` whose name ends in ``_async``.

        Raises:
            SessionOver: It has ended.
        """
        if self.over:
            raise SessionOver
        return self._settled(getattr(self._client, method)(*args, **options))

    def hear(self, folder: str, listener: _Listener) -> Callable[[], None]:
        """Call a listener when a watch fires on a node or a child of it.

        It is called with the path; with ``None`` when the connection is lost, as watches are
        lost with it.

        Returns:
            The way to hear no more.
        """
        listeners = self._listeners.setdefault(folder, set())
        listeners.add(listener)

        def stop() -> None:
            listeners.discard(listener)
            if not listeners and self._listeners.get(folder) is listeners:
                del self._listeners[folder]

        return stop

    def watch(self, event: Any) -> None:
        """Take an event; the one callback for all watches, so that kazoo keeps each once."""
        self._post(self._tell, event.path)

    def close(self) -> None:
        """End it, in the background; idempotent. What it published goes at once if it can.

        A client that is another's goes on, and with it what was published.
        """
        if self.over:
            return
        if self._ending is not None:
            self._ending.cancel()
        self._over.set()
        self._live.set()
        for future in list(self._pending):
            if not future.done():
                future.set_exception(SessionOver())
        self._tell(None)
        if self._owned:
            self._closing = threading.Thread(
                target=self._stop, name="kratos-zookeeper", daemon=True
            )
            self._closing.start()
        else:
            self._client.remove_listener(self._hear_client)
            self._closed.set()

    async def aclose(self, *, timeout: float) -> None:
        """End it, and wait for that; a thread that takes longer is left behind, and ends itself."""
        self.close()
        try:
            async with asyncio.timeout(timeout):
                await self._closed.wait()
        except TimeoutError:
            return
        if self._closing is not None:
            self._closing.join()  # it has nothing left to do

    def _stop(self) -> None:
        try:
            self._client.stop()
            self._client.close()
        except Exception:
            _log.exception("kazoo did not end a session")
        finally:
            self._post(self._closed.set)

    def _post(self, function: Callable[..., None], /, *args: Any) -> None:
        """Call a function on the event loop, from any thread."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            _log.debug("an event came after its loop was closed")

    def _settled(self, result: Any) -> asyncio.Future[Any]:
        """Return a future of a result of kazoo."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        future.add_done_callback(_take_note)
        result.rawlink(partial(self._post, _settle, future))
        return future

    def _turn(self, state: str) -> None:
        """Follow the connection."""
        if self.over:
            return
        if self._ending is not None:
            self._ending.cancel()
        if state == "CONNECTED":
            self._live.set()
        elif state == "SUSPENDED":
            self._live.clear()
            self._tell(None)
            if self._owned:
                # kazoo would try it for ever. A server that lost its data refuses all sessions that
                # have seen more than it has, and does not say that they are over.
                self._ending = self._loop.call_later(self._timeout, self.close)
        else:
            self.close()

    def _tell(self, path: str | None) -> None:
        if path is None:
            concerned = list(self._listeners.values())
        else:
            folders = {path, path.rpartition("/")[0]}
            concerned = [self._listeners[one] for one in folders if one in self._listeners]
        for listeners in concerned:
            for listener in list(listeners):
                listener(path)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if result.exception is None:
        future.set_result(result.value)
    else:
        future.set_exception(result.exception)


def _take_note(future: asyncio.Future[Any]) -> None:
    """Look at an outcome that nobody may be waiting for any more."""
    if not future.cancelled():
        future.exception()
