"""How much of bodies a connection of HTTP/2 may have in memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos_http._http2_exchange import BufferedExchange

__all__ = ["Uploads"]


class Uploads:
    """Bodies that are read whole, of all requests of a connection.

    Beyond the limit, peers get no more window for what they send, but for the oldest body: that
    one comes to its end, and makes room. So nothing stands still for good.

    Args:
        limit: Bytes.

    Attributes:
        size: Bytes that are there now.
    """

    __slots__ = ("_held", "_limit", "_unfinished", "size")

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._unfinished: dict[BufferedExchange, None] = {}  # bodies of several pieces, in order
        self._held: dict[BufferedExchange, None] = {}  # those of them whose peer waits, in order

    def add(self, exchange: BufferedExchange, size: int) -> bool:
        """Note a piece of a body that goes on, and tell whether its peer may send more."""
        self.size += size
        unfinished = self._unfinished
        unfinished[exchange] = None
        if self.size <= self._limit or next(iter(unfinished)) is exchange:
            return True
        self._held[exchange] = None
        return False

    def finish(self, exchange: BufferedExchange) -> None:
        """Note that a body is whole."""
        if self._unfinished.pop(exchange, exchange) is None:
            self._held.pop(exchange, None)
            self._release()

    def remove(self, exchange: BufferedExchange, size: int) -> None:
        """Note that a body is not needed any more."""
        self.size -= size
        self._unfinished.pop(exchange, None)
        self._held.pop(exchange, None)
        self._release()

    def _release(self) -> None:
        """Let those go on for whom there is room, and the oldest in any case.

        Only those that were held are looked at: a peer may have thousands of others.
        """
        if not self._held:
            return
        if self.size <= self._limit:
            held, self._held = self._held, {}
            for exchange in held:
                exchange.release()
            return
        oldest = next(iter(self._unfinished))
        if self._held.pop(oldest, oldest) is None:
            oldest.release()
