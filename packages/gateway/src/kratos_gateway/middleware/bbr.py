"""Refuse what there is no capacity for (Go: middleware/bbr)."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage

from aegis import Bbr, Outcome
from kratos.errors import ConfigError
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["build", "limited"]


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make a limiter of concurrency with Go's numbers, one for each endpoint; it has no options.

    Too much is answered 429. What counts is the time until the head of an answer.

    Raises:
        ConfigError: There are options.
    """
    if options is not None and options.type_url:
        raise ConfigError("bbr has no options: leave them out")
    return Plain(lambda handler, _endpoint: limited(handler, Bbr()))


def limited(handler: Handler, limiter: Bbr, /) -> Handler:
    """Return a handler behind a limiter."""

    async def handle(request: Request, /) -> Answer:
        token = limiter.allow()
        if token is None:
            return refuse(request, 429, message="there is no capacity for more requests")
        outcome = Outcome.IGNORED
        try:
            answer = await handler(request)
            outcome = Outcome.SUCCESS
            return answer
        except Exception:
            outcome = Outcome.FAILURE
            raise
        finally:
            limiter.done(token, outcome)

    return handle
