"""The way to an agent through a client of the user's own, such as one of python-consul."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from kratos.errors import ConfigError
from kratos.limit import describe
from kratos.offload import Offload
from kratos_consul.agent import Agent, Answer, ConsulUnavailable, Question
from kratos_consul.client import ConsulClient

__all__ = ["ThreadedAgent", "agent_of"]

# Blocking questions have threads of their own, so that they never keep a heartbeat waiting.
_THREADS: Final = 4
_WAITING_THREADS: Final = 16
_LONGEST_WAIT: Final = 4.0  # seconds: a thread cannot be interrupted, and closing waits for it
_LONGEST_QUEUE: Final = 1024
_TIMEOUT: Final = 5.0  # seconds
_HIDDEN: Final = "***"


class ThreadedAgent:
    """Asks through the HTTP layer of a ``consul.Consul``, in threads that are bounded.

    It serves python-consul, python-consul2 and py-consul alike, none of which is imported here.

    Args:
        client: The client; it stays the caller's.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, client: Any) -> None:
        http: Any = getattr(client, "http", None)
        if not callable(getattr(http, "get", None)) or not callable(getattr(http, "put", None)):
            raise ConfigError(
                f"client must be a ConsulClient or a consul.Consul, not {type(client).__name__}"
            )
        if inspect.iscoroutinefunction(http.get):
            raise ConfigError("give a ConsulClient in place of a client of consul.aio: both wait")
        self._http: Any = http
        token = getattr(client, "token", None)
        # Newer libraries send it as a header, older ones in the query.
        in_header = "headers" in inspect.signature(http.get).parameters
        self._fields = [("token", str(token))] if token and not in_header else []
        self._options = {"headers": {"X-Consul-Token": str(token)}} if token and in_header else {}
        self._name = str(getattr(http, "base_uri", "a consul.Consul"))
        self._has_token = bool(token)
        self._quick = _threads(_THREADS, "kratos-consul")
        self._slow = _threads(_WAITING_THREADS, "kratos-consul-wait")

    def __str__(self) -> str:
        return self._name

    @property
    def longest_wait(self) -> float:
        """Seconds for which a question may be held back, at most."""
        return _LONGEST_WAIT

    async def ask(self, question: Question, /) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            ConsulUnavailable: There was none in time, or this is closed.

        Cancellation: ends the wait at once; the thread is free again when the library returns.
        """
        threads = self._slow if question.wait else self._quick
        rounds = 1 + (threads.running + threads.waiting) // _WAITING_THREADS  # until its turn
        try:
            async with asyncio.timeout(_TIMEOUT + rounds * question.wait):
                response = await threads.run(self._call(question))
        except Exception as error:
            failure = ConsulUnavailable(f"{self} does not answer ({question}): {self._told(error)}")
            # Without the error itself, which would be told with it, where it holds the token.
            raise failure from (None if self._fields else error)
        return Answer(
            agent=str(self),
            has_token=self._has_token,
            question=question,
            status=int(response.code),
            headers={str(name).lower(): str(value) for name, value in response.headers.items()},
            body=response.body.encode() if isinstance(response.body, str) else response.body,
        )

    async def aclose(self) -> None:
        """End the threads; idempotent."""
        await asyncio.gather(self._quick.aclose(), self._slow.aclose())

    def _told(self, error: Exception) -> str:
        """Return what failed; its text may hold the address that was asked, with the token."""
        told = describe(error)
        for _, token in self._fields:
            told = told.replace(quote_plus(token), _HIDDEN).replace(token, _HIDDEN)
        return told

    def _call(self, question: Question) -> Callable[[], Any]:
        fields = [(name, value) for name, value in question.query.items() if value]
        options: dict[str, Any] = dict(self._options, params=fields + self._fields)
        if question.verb == "PUT":
            options["data"] = question.data().decode()
        send = self._http.put if question.verb == "PUT" else self._http.get
        return partial(send, _as_it_is, question.path + question.name, **options)


def agent_of(client: Any) -> ConsulClient | ThreadedAgent:
    """Return the way to an agent through either kind of client.

    Raises:
        ConfigError: ``client`` is neither.
    """
    return client if isinstance(client, ConsulClient) else ThreadedAgent(client)


def _as_it_is(response: Any) -> Any:
    return response


def _threads(count: int, name: str) -> Offload:
    return Offload(threads=count, queue=_LONGEST_QUEUE, name=name)


if TYPE_CHECKING:
    _agent: type[Agent] = ThreadedAgent
