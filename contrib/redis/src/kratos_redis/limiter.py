"""What both limiters have in common: asking, and what to do when there is no answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Literal, TypeAlias

from aegis import Backoff, Clock, Decision
from aegis.stats import SUM
from kratos_redis.circuit import NO_ANSWER, Circuit, OnTurn
from kratos_redis.memory import Memory
from kratos_redis.questions import questions_of
from kratos_redis.script import Client, Script

__all__ = [
    "DEFAULT_BACKOFF",
    "DEFAULT_PREFIX",
    "DEFAULT_TIMEOUT",
    "Limiter",
    "OnError",
    "OnTurn",
    "RedisStats",
    "RedisUnavailable",
]

OnError: TypeAlias = Literal["local", "allow", "deny", "raise"]

DEFAULT_PREFIX: Final = "kratos:ratelimit:"
DEFAULT_TIMEOUT: Final = 0.05
DEFAULT_BACKOFF: Final = Backoff(base=0.1, cap=5.0, jitter="equal")


class RedisUnavailable(Exception):
    """Redis did not answer, and the limiter was told to raise then.

    The cause is the error of the client, or ``TimeoutError``.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStats:
    """What a limiter on Redis shows of itself. Counts are since it was made.

    Args:
        answered: Decisions that Redis made.
        remembered: Refusals without a question, as Redis had told how long they would last.
        failures: Questions that Redis did not answer in time, or with an error.
        unanswered: Decisions made as ``on_error`` says, for want of an answer.
        unanswered_allowed: Those of them that allowed the call.
        is_away: Whether the last question failed; then Redis is asked now and then only.
        last_error: What the last failure was; empty if Redis is not away.
    """

    answered: int = field(metadata=SUM)
    remembered: int = field(metadata=SUM)
    failures: int = field(metadata=SUM)
    unanswered: int = field(metadata=SUM)
    unanswered_allowed: int = field(metadata=SUM)
    is_away: bool
    last_error: str


class Limiter(ABC):
    """A rate limiter whose state is on Redis, one key for each key of the caller.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster. It stays the caller's: the limiter
            does not close it.
        script: Decides, on the server.
        limit: The most permits that a key can have at once.
        local: Decides for one process if ``on_error`` is ``local``.
        prefix: What the keys on Redis begin with. Limiters with different options need different
            ones.
        timeout: The most seconds that a call waits for Redis.
        on_error: What to do when Redis does not answer.
        backoff: How long Redis is left alone after failures in a row.
        clock: Gives nanoseconds.
        random: Gives numbers of [0, 1).
        on_turn: Told when Redis goes away, and when it is back.
    """

    def __init__(
        self,
        client: Client,
        *,
        script: Script,
        limit: int,
        local: Callable[[str, int], Decision],
        prefix: str,
        timeout: float,
        on_error: OnError,
        backoff: Backoff,
        clock: Clock,
        random: Callable[[], float],
        on_turn: OnTurn | None,
    ) -> None:
        if not 0 < timeout < inf:
            msg = f"timeout must be finite and more than 0 seconds, got {timeout!r}"
            raise ValueError(msg)
        ways: dict[str, Callable[[str, int], Decision]] = {
            "local": local,
            "allow": self._allow,
            "deny": self._deny,
            "raise": self._raise,
        }
        if on_error not in ways:
            msg = f"on_error must be local, allow, deny or raise, got {on_error!r}"
            raise ValueError(msg)
        self._client = client
        self._clock = clock
        self._script = script
        self._limit = limit
        self._prefix = prefix
        self._timeout = timeout
        self._alone = ways[on_error]
        self._circuit = Circuit(backoff, clock=clock, random=random, on_turn=on_turn)
        self._memory = Memory(clock)
        self._questions = questions_of(client)
        self._error: BaseException | None = None
        self._answered = self._failures = self._unanswered = self._unanswered_allowed = 0

    @property
    def limit(self) -> int:
        """The most permits that a key can have at once."""
        return self._limit

    async def allow(self, key: str, n: int = 1, /) -> bool:
        """Charge ``key`` for ``n`` permits and return true, or return false and charge nothing.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
            RedisUnavailable: Redis does not answer, and ``on_error`` is ``raise``.

        Cancellation: the key may have been charged.
        """
        return (await self.take(key, n)).allowed

    async def take(self, key: str, n: int = 1, /) -> Decision:
        """Charge ``key`` as ``allow`` does, and tell what is left and how long to wait.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
            RedisUnavailable: Redis does not answer, and ``on_error`` is ``raise``.

        Cancellation: the key may have been charged.
        """
        _check(n)
        known = self._memory.refusal(key, n)
        if known is not None:
            return known
        turn = self._circuit.ask()
        if turn is None:
            return self._decide_alone(key, n)
        asked = self._clock()
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._questions.ask(
                    self._script.run,
                    self._client,
                    (self._name(key),),
                    self._arguments(min(n, self._limit + 1)),
                )
        except NO_ANSWER as error:
            self._note(error, turn)
            return self._decide_alone(key, n)
        except BaseException:
            self._circuit.gave_up(turn)
            raise
        self._circuit.succeeded()
        self._answered += 1
        decision = self._decision(reply, n)
        if not decision.allowed:
            self._memory.keep(key, n, decision, asked)
        return decision

    def stats(self) -> RedisStats:
        """Return what there is to see at this moment."""
        error = self._circuit.error
        return RedisStats(
            answered=self._answered,
            remembered=self._memory.used,
            failures=self._failures,
            unanswered=self._unanswered,
            unanswered_allowed=self._unanswered_allowed,
            is_away=error is not None,
            last_error="" if error is None else f"{type(error).__name__}: {error}",
        )

    @abstractmethod
    def _arguments(self, n: int) -> Sequence[int]:
        """Return the arguments of the script for a charge of ``n`` permits."""

    @abstractmethod
    def _decision(self, reply: Any, n: int) -> Decision:
        """Return what the reply of the script means."""

    def _name(self, key: str) -> bytes:
        # Text of outside origin may hold lone surrogates, which clients refuse to encode.
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _note(self, error: BaseException, turn: int) -> None:
        self._failures += 1
        self._error = error
        self._circuit.heard(error, turn)

    def _decide_alone(self, key: str, n: int) -> Decision:
        self._unanswered += 1
        decision = self._alone(key, n)
        self._unanswered_allowed += decision.allowed
        return decision

    def _allow(self, key: str, n: int) -> Decision:
        if n > self._limit:
            return self._never()
        return Decision(True, self._limit, self._limit - n, 0.0, 0.0)

    def _deny(self, key: str, n: int) -> Decision:
        if n > self._limit:
            return self._never()
        after = self._circuit.rest()
        return Decision(False, self._limit, 0, after, after)

    def _raise(self, key: str, n: int) -> Decision:
        error = self._error
        msg = f"Redis does not answer: {type(error).__name__}: {error}"
        raise RedisUnavailable(msg) from error

    def _never(self) -> Decision:
        return Decision(False, self._limit, self._limit, inf, 0.0)


def _check(n: float) -> None:
    if not isinstance(n, int) or n < 1:
        msg = f"n must be a whole number and at least 1, got {n!r}"
        raise ValueError(msg)
