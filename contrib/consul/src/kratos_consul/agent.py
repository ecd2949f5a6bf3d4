"""What is asked of an agent of Consul, whoever carries it there, and what the answer means."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from kratos.errors import RegistryUnavailable

__all__ = ["Agent", "Answer", "ConsulUnavailable", "Question"]

_INDEX: Final = "x-consul-index"
_FILTERED: Final = "x-consul-results-filtered-by-acls"
_DEFAULT: Final = "x-consul-default-acl-policy"
_DIGITS: Final = 20  # of an unsigned integer of 64 bits
_LONGEST: Final = 300  # characters of an answer that an error shows

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429

_log = logging.getLogger("kratos.consul")


class ConsulUnavailable(RegistryUnavailable):
    """Consul did not answer, or refused what it was asked for; the text says which, and what to do.

    Attributes:
        status: The status of HTTP; ``None`` if there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to the API of an agent.

    Attributes:
        verb: ``GET`` or ``PUT``.
        path: Path of the API, as ``/v1/health/service/``.
        name: What follows it, as it is: it is escaped on its way.
        query: Fields of the query; what is empty is left out.
        body: What is sent as JSON; ``None`` for nothing.
        wait: Seconds for which the agent may hold its answer back.
    """

    verb: str
    path: str
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: object = None
    wait: float = 0.0

    def __str__(self) -> str:
        return f"{self.verb} {self.path}{self.name}"

    def data(self) -> bytes:
        """Return the body as it is sent."""
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whatever its status.

    Attributes:
        agent: Whose answer it is, for errors.
        has_token: Whether the question had a token.
        question: What was asked.
        status: Status of HTTP.
        headers: Headers, by names in lower case.
        body: The body.
    """

    agent: str
    has_token: bool
    question: Question
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, as far as an error may show it."""
        text = " ".join(self.body.decode("utf-8", "replace").split())
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

    @property
    def index(self) -> int:
        """The index that a blocking question goes on from, at least 1.

        Raises:
            ConsulUnavailable: There is none.
        """
        value = self.headers.get(_INDEX, "")
        if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
            raise self.failed(f"it has no {_INDEX}, so it is no answer of Consul: is it an agent?")
        return max(1, int(value))

    def check_sight(self) -> None:
        """Refuse an empty list that is empty for want of permission; warn where it may be so.

        Raises:
            ConsulUnavailable: There is something, and the token is not shown it.
        """
        if self.headers.get(_FILTERED) == "true":
            raise self.failed("the token is shown nothing: give it a policy to read this")
        if not self.has_token and self.headers.get(_DEFAULT) == "deny":
            _warn_once(
                f"{self.agent} shows nothing to {self.question} without a token, "
                "and denies what no policy allows: if there should be something, give a token"
            )

    def json(self) -> Any:
        """Return the body of a success.

        Raises:
            ConsulUnavailable: It is no success, or no JSON.
        """
        self.check()
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            what = f"it is no JSON, so it is no answer of Consul: is it an agent? {self.text}"
            raise self.failed(what) from error

    def items(self) -> list[Any]:
        """Return the list that a success has as its body.

        Raises:
            ConsulUnavailable: It is no success, or no list.
        """
        found = self.json()
        if not isinstance(found, list):
            raise self.failed(f"it is no list, so it is no answer of Consul: {self.text}")
        return cast("list[object]", found)

    def check(self) -> None:
        """Refuse what is no success.

        Raises:
            ConsulUnavailable: It is none; the text says what to do.
        """
        if 200 <= self.status < 300:
            return
        if self.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise self.failed(f"{self.text}: give a token whose policy permits it")
        if self.status == _NOT_FOUND:
            raise self.failed(f"{self.text}: is it an agent of Consul?")
        if self.status == _TOO_MANY:
            raise self.failed(f"{self.text}: see its limits.http_max_conns_per_client")
        raise self.failed(self.text)

    def failed(self, why: str) -> ConsulUnavailable:
        """Return the error that this answer is."""
        who = "" if self.has_token else " without a token"
        text = f"{self.agent} answered {self.status} to {self.question}{who}: {why}"
        return ConsulUnavailable(text, status=self.status)


@lru_cache(maxsize=1024)
def _warn_once(text: str) -> None:
    _log.warning(text)


class Agent(Protocol):
    """A way to an agent; ``str()`` of it names it, without secrets."""

    @property
    def longest_wait(self) -> float:
        """Seconds for which a question may be held back, at most."""
        ...

    async def ask(self, question: Question, /) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            ConsulUnavailable: There was none in time.

        Cancellation: safe; what was asked may have been done.
        """
        ...

    async def aclose(self) -> None:
        """Release connections or threads; idempotent."""
        ...
