"""Middleware: one type for all arities and both sides, and the ready-made ones.

``await next(call, request)`` returns when the call has ended, streams included, so one
``try / finally`` sees the whole call.
"""

from kratos.middleware._budget import Budget, budget
from kratos.middleware._checks import every_request, on_type
from kratos.middleware._guarding import Guarding
from kratos.middleware._outcome import Outcome, outcome
from kratos.middleware.bulkhead import bulkhead
from kratos.middleware.circuitbreaker import circuitbreaker
from kratos.middleware.hedging import hedging
from kratos.middleware.keyed import keyed
from kratos.middleware.keys import by_caller, by_header, by_peer
from kratos.middleware.logging import logging
from kratos.middleware.metadata import metadata
from kratos.middleware.ratelimit import ratelimit
from kratos.middleware.recovery import recovery
from kratos.middleware.retry import retry
from kratos.middleware.selector import Matcher, selector
from kratos.middleware.shedding import PRIORITY_HEADER, priority_by_header, shedding
from kratos.middleware.timeout import timeout
from kratos.transport.call import Call, Handler, MessageHook, Side
from kratos.transport.chain import AnyMiddleware, Middleware, PerMethod, chain

__all__ = [
    "PRIORITY_HEADER",
    "AnyMiddleware",
    "Budget",
    "Call",
    "Guarding",
    "Handler",
    "Matcher",
    "MessageHook",
    "Middleware",
    "Outcome",
    "PerMethod",
    "Side",
    "budget",
    "bulkhead",
    "by_caller",
    "by_header",
    "by_peer",
    "chain",
    "circuitbreaker",
    "every_request",
    "hedging",
    "keyed",
    "logging",
    "metadata",
    "on_type",
    "outcome",
    "priority_by_header",
    "ratelimit",
    "recovery",
    "retry",
    "selector",
    "shedding",
    "timeout",
]
