"""Middleware: one type for all arities and both sides, and the ready-made ones.

``await next(call, request)`` returns when the call has ended, streams included, so one
``try / finally`` sees the whole call.
"""

from kratos.middleware._budget import Budget, budget
from kratos.middleware._checks import every_request, on_type
from kratos.middleware._guarding import Guarding
from kratos.middleware._outcome import Outcome, outcome
from kratos.middleware.api_key import api_key, hashed_api_key
from kratos.middleware.authorize import (
    Decide,
    Decision,
    Denied,
    all_of,
    any_of,
    authenticated,
    authorize,
    public,
    roles,
    scopes,
)
from kratos.middleware.bulkhead import bulkhead
from kratos.middleware.cache import cache
from kratos.middleware.certificate import certificate
from kratos.middleware.circuitbreaker import circuitbreaker
from kratos.middleware.hedging import hedging
from kratos.middleware.idempotency import (
    IDEMPOTENCY_KEY,
    idempotency,
    idempotency_key,
    is_final,
)
from kratos.middleware.keyed import keyed
from kratos.middleware.keys import by_caller, by_header, by_peer, by_principal
from kratos.middleware.localize import localize
from kratos.middleware.logging import logging
from kratos.middleware.metadata import metadata
from kratos.middleware.metrics import metrics
from kratos.middleware.ratelimit import ratelimit
from kratos.middleware.recovery import recovered_after, recovery
from kratos.middleware.request_id import REQUEST_ID, current_request_id, request_id
from kratos.middleware.retry import retry
from kratos.middleware.selector import Matcher, selector
from kratos.middleware.shedding import PRIORITY_HEADER, priority_by_header, shedding
from kratos.middleware.timeout import timeout
from kratos.middleware.tracing import tracing
from kratos.middleware.validate import (
    AnyCheck,
    Check,
    Checked,
    CheckPerType,
    ValidationError,
    validate,
    validator,
)
from kratos.transport.call import Call, Handler, MessageHook, Side
from kratos.transport.chain import AnyMiddleware, Middleware, PerMethod, chain

__all__ = [
    "IDEMPOTENCY_KEY",
    "PRIORITY_HEADER",
    "REQUEST_ID",
    "AnyCheck",
    "AnyMiddleware",
    "Budget",
    "Call",
    "Check",
    "CheckPerType",
    "Checked",
    "Decide",
    "Decision",
    "Denied",
    "Guarding",
    "Handler",
    "Matcher",
    "MessageHook",
    "Middleware",
    "Outcome",
    "PerMethod",
    "Side",
    "ValidationError",
    "all_of",
    "any_of",
    "api_key",
    "authenticated",
    "authorize",
    "budget",
    "bulkhead",
    "by_caller",
    "by_header",
    "by_peer",
    "by_principal",
    "cache",
    "certificate",
    "chain",
    "circuitbreaker",
    "current_request_id",
    "every_request",
    "hashed_api_key",
    "hedging",
    "idempotency",
    "idempotency_key",
    "is_final",
    "keyed",
    "localize",
    "logging",
    "metadata",
    "metrics",
    "on_type",
    "outcome",
    "priority_by_header",
    "public",
    "ratelimit",
    "recovered_after",
    "recovery",
    "request_id",
    "retry",
    "roles",
    "scopes",
    "selector",
    "shedding",
    "timeout",
    "tracing",
    "validate",
    "validator",
]
