"""One endpoint at work: from a request to its answer (Go: proxy.buildEndpoint)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from kratos.clock import Clock
from kratos.errors import Error
from kratos.transport.http import Head, Wire
from kratos.transport.wheel import Wheel
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Handler, Request, RequestOptions
from kratos_gateway.proxy.bodies import Incoming, whole_or_coming
from kratos_gateway.proxy.deadline import Deadline
from kratos_gateway.proxy.errors import error_answer, status_of
from kratos_gateway.proxy.flights import Flights
from kratos_gateway.proxy.forwarding import Forwarding
from kratos_gateway.proxy.hedging import Hedge
from kratos_gateway.proxy.observing import EndpointRecorder, MethodRecorder
from kratos_gateway.proxy.passing import Passing, is_stream
from kratos_gateway.proxy.replay import ReplayMemory
from kratos_gateway.proxy.retry import Retry, per_try_timeout_of, timeout_of
from kratos_gateway.proxy.tally import Tally
from kratos_http.carrier import TooLarge

__all__ = ["Forwarder", "Work", "report"]

_log = logging.getLogger("kratos.gateway")

_GONE: Final = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an endpoint works with.

    Attributes:
        endpoint: Its configuration.
        handler: The chain of its middleware around its client.
        retry: Makes the attempts.
        hedge: Makes those that may overlap; ``None`` where none may.
        forwarding: Makes the headers of requests to back ends.
        recorder: Its series.
        flights: Counts its requests.
        tally: What they come to.
        clock: Time for what is told of them.
        wheel: Where time limits wait.
        keep: Bytes of a body that are kept for another attempt.
        memory: Where there has to be room for them.
        follow: Whether redirects are followed, for which bodies are kept as well.
    """

    endpoint: Endpoint
    handler: Handler
    retry: Retry
    hedge: Hedge | None
    forwarding: Forwarding
    recorder: EndpointRecorder
    flights: Flights
    tally: Tally
    clock: Clock
    wheel: Wheel
    keep: int
    memory: ReplayMemory
    follow: bool = False

    def request(self, head: Head) -> Request:
        """Return a request as middleware gets it, without its body."""
        host = head.header(b"host")
        return Request(
            head.method,
            head.scheme,
            host.decode("latin-1"),
            head.params[0],
            head.query.decode("latin-1"),
            self.forwarding.headers(head, host),
            b"",
            head.peer,
            head.version,
            RequestOptions(self.endpoint),
        )


class Forwarder:
    """A ``Streamed`` endpoint of the engine: forwards requests, and passes answers on.

    The time limit of the endpoint is that of a request until its answer has ended. Where answers
    go on for as long as they like (gRPC, events, ``x-accel-buffering: no``, and all of an endpoint
    that says ``stream``), it is that until they begin; and the requests of gRPC, which may be as
    long, are not counted while they come.

    Args:
        work: What it works with.

    Attributes:
        tally: What its requests came to.
    """

    def __init__(self, work: Work) -> None:
        endpoint = work.endpoint
        self.tally = work.tally
        self.work = work
        self.grpc = endpoint.protocol == GRPC
        self.stream = endpoint.stream
        self.timeout = timeout_of(endpoint)
        self.per_try = per_try_timeout_of(endpoint)
        self._loop = asyncio.get_running_loop()

    def deadline(self, seconds: float | None) -> Deadline:
        """Return a time limit."""
        return Deadline(self.work.wheel, self._loop, seconds)

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Answer a request."""
        work = self.work
        work.flights.begin()
        began = work.clock.time()
        recorder = work.recorder.of(head.method)
        passage = _Passage(self, head, wire, recorder)
        code = _GONE
        try:
            code = await passage.run()
        finally:
            work.flights.end()
            took = work.clock.time() - began
            recorder.answered(code, took)
            self.tally.add(code, took)


class _Passage:
    """One request, over all its attempts."""

    __slots__ = (
        "_attempt_ends",
        "_body",
        "_ends",
        "_first",
        "_head",
        "_of",
        "_options",
        "_passing",
        "_recorder",
        "_several",
        "_stalled",
        "_wire",
    )

    def __init__(self, of: Forwarder, head: Head, wire: Wire, recorder: MethodRecorder) -> None:
        self._of = of
        self._head = head
        self._wire = wire
        self._recorder = recorder
        self._passing = Passing(head, wire, recorder.sent)
        self._body: bytes | Incoming = b""
        self._several = of.work.retry.may(head.method)
        self._stalled = False  # an attempt was late because the client was
        self._options: RequestOptions | None = None  # until there is a request
        self._ends: Deadline | None = None
        self._attempt_ends: Deadline | None = None

    async def run(self) -> int:
        """Answer, and return the status that the client got, or 499 if it has gone."""
        passing = self._passing
        code = _GONE
        try:
            of = self._of
            untimed = of.grpc or of.stream
            with of.deadline(None if untimed else self._limit()) as self._ends:
                answer = await self._answer()
                code = answer.status
                if untimed or (not isinstance(answer.body, bytes) and is_stream(answer)):
                    self._ends.limit(None)
                await passing.run(answer)
        except Exception as error:
            report(error, self._head, self._options)
            if passing.started:
                await passing.break_off(error)
                return code
            code = status_of(error)
            answer = error_answer(error, grpc=self._of.grpc, options=self._options)
            await passing.run(answer)
        finally:
            if isinstance(self._body, Incoming):
                self._body.forget()
                self._recorder.received.inc(self._body.received)
        return code

    async def _answer(self) -> Answer:
        of, head, wire = self._of, self._head, self._wire
        work, retry = of.work, of.work.retry
        several = self._several
        keep = work.keep if several or work.follow else 0
        body = self._body = await whole_or_coming(head, wire, keep=keep, memory=work.memory)
        request = work.request(head)
        self._options = request.options
        request.options.is_late = self._is_late
        if isinstance(body, bytes):
            request.body = body
            if body:
                self._recorder.received.inc(len(body))
            self._uploaded()
        else:
            request.body = body.start()
            request.options.is_uploading = lambda: body.awaited
            body.on_end = self._uploaded
        if not several:
            request.options.last_attempt = True
            return await self._single(request)
        self._first = request
        if isinstance(body, bytes):  # else it is never looked at again
            request = self._copy(body)
        tell, hedge = self._recorder.retried, work.hedge
        if hedge is not None and hedge.may(head.method):
            answer = await hedge.run(
                request, self._beside, self._again, tell, self._left, ready=self._is_uploaded
            )
        else:
            answer = await retry.run(request, self._attempt, self._again, tell, self._left)
        if isinstance(body, Incoming):
            body.forget()  # the answer may go on for hours
        return answer

    async def _attempt(self, request: Request) -> Answer:
        of = self._of
        untimed = (of.grpc or of.stream) and not self._is_uploaded()
        try:
            with of.deadline(None if untimed else of.per_try) as self._attempt_ends:
                return await self._single(request)
        except TimeoutError:
            self._stalled = isinstance(self._body, Incoming) and self._body.awaited
            raise
        finally:
            self._attempt_ends = None

    async def _beside(self, request: Request) -> Answer:
        """Make an attempt while others may be under way."""
        of = self._of
        untimed = (of.grpc or of.stream) and not self._is_uploaded()
        ends = of.deadline(None if untimed else of.per_try)

        def is_late() -> bool:
            return ends.expired or (self._ends is not None and self._ends.expired)

        request.options.is_late = is_late
        if untimed:  # others begin when all of the body is there only
            self._attempt_ends = ends
        with ends:
            try:
                return await self._single(request)
            finally:
                if self._attempt_ends is ends:
                    self._attempt_ends = None

    async def _single(self, request: Request) -> Answer:
        try:
            return await self._of.work.handler(request)
        except Exception:
            if isinstance(self._body, Incoming) and self._body.failure is not None:
                raise self._body.failure from None  # it is the client's, whatever came of it
            raise

    def _uploaded(self) -> None:
        """Count the time from now on, as the request has come as a whole."""
        of = self._of
        if not (of.grpc or of.stream):
            return
        if self._ends is not None and not self._passing.started:
            self._ends.limit(self._limit())
        if self._attempt_ends is not None:
            self._attempt_ends.limit(of.per_try)

    def _is_late(self) -> bool:
        """Tell whether the time of the attempt, or that of the whole request, is over."""
        ends = (self._attempt_ends, self._ends)
        return any(each is not None and each.expired for each in ends)

    def _limit(self) -> float:
        """Return the seconds of the whole request; of a single attempt, if there is only one."""
        of = self._of
        return of.timeout if self._several else min(of.timeout, of.per_try)

    def _left(self) -> float:
        """Return the seconds that are left to the request.

        What still comes has the whole limit before it, which counts from its end.
        """
        limit = self._limit()
        return limit if self._ends is None else min(limit, self._ends.left)

    def _is_uploaded(self) -> bool:
        return isinstance(self._body, bytes) or self._body.ended

    def _again(self) -> Request | None:
        """Return the next attempt of the request; ``None`` if there can be none."""
        if self._stalled:
            return None  # another node would wait for the client, too
        if isinstance(self._body, bytes):
            return self._copy(self._body)
        body = self._body.again()
        return None if body is None else self._copy(body)

    def _copy(self, body: object) -> Request:
        """Return the request as it came, for an attempt that middleware may change."""
        first = self._first
        return Request(
            first.method,
            first.scheme,
            first.host,
            first.path,
            first.query,
            first.headers.copy(),
            body,  # type: ignore[arg-type]
            first.peer,
            first.version,
            first.options,
        )


def report(error: Exception, head: Head, options: RequestOptions | None) -> None:
    """Tell the log of a failure, as loudly as it deserves.

    Args:
        error: What failed.
        head: Of the request.
        options: Of the request, which know whom it was sent to; ``None`` before there are any.
    """
    if isinstance(error, Error):
        _log.debug("%s: %s", head, error)
    elif isinstance(error, (OSError, TooLarge)):
        asked = ", ".join(dict.fromkeys(options.backends)) if options is not None else ""
        who = f"back end {asked}: " if asked else ""
        nothing = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        _log.warning("%s: %s%s", head, who, str(error) or nothing)
    else:
        _log.error("%s failed", head, exc_info=error)
