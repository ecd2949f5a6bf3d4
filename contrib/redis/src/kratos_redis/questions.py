"""Questions that wait for a connection when the client has no more of them."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError

__all__ = ["Questions", "is_used_up", "questions_of"]

T = TypeVar("T")


class Questions:
    """The questions to one client that are under way.

    A pool of connections that is used up raises, and redis-py has a hundred of them unless told
    otherwise. That says nothing of the server: the question waits until another one has ended.
    """

    __slots__ = ("_under_way", "_waiting")

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[Future[None]] = deque()

    async def ask(self, question: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Return the answer of ``question(*arguments)``, asked again when a connection is free.

        Raises:
            ConnectionError: Others have all connections, so it is not known when.
            BaseException: As the question.
        """
        while True:
            ended = True
            self._under_way += 1
            try:
                return await question(*arguments)
            except RedisConnectionError as error:
                if not is_used_up(error) or self._under_way == 1:
                    raise
                ended = False
            finally:
                self._under_way -= 1
                if ended:
                    self._wake()
            await self._turn()

    async def _turn(self) -> None:
        place: Future[None] = get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except BaseException:
            if not place.cancelled():
                self._wake()  # another has the turn that came too late
            raise

    def _wake(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # its owner may have given up
                place.set_result(None)
                return


def is_used_up(error: BaseException) -> bool:
    """Tell whether a client had no connection left; earlier versions of redis-py only say so."""
    return isinstance(error, MaxConnectionsError) or str(error) == "Too many connections"


_OF_CLIENTS: Final[WeakKeyDictionary[Any, Questions]] = WeakKeyDictionary()


def questions_of(client: object) -> Questions:
    """Return what the limiters of one client share, as they share its connections."""
    try:
        return _OF_CLIENTS.setdefault(client, Questions())
    except TypeError:  # it has no hash, or cannot be referred to weakly
        return Questions()
