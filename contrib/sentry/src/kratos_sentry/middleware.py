"""The middleware that reports what fails (Go: contrib/errortracker/sentry)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scope import add_global_event_processor
from sentry_sdk.utils import event_from_exception

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import Error
from kratos.log import Level, Logger, StdLogger
from kratos.middleware import Middleware, Outcome, outcome
from kratos.options import require_callable, require_methods, require_number
from kratos.transport import Call, EnoughSent, Handler, Side, server_call
from kratos_sentry._budget import Budget
from kratos_sentry._description import Shown, describe
from kratos_sentry.redaction import redacted

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

__all__ = ["server"]

# It logs each call that was refused as an error, of which sentry_sdk would make events.
_LOG_OF_CALLS: Final = "kratos.calls"
_JUDGED: Final = "__kratos_sentry_judged__"


def server(
    *,
    min_code: int = 500,
    report: Callable[[Call, BaseException], bool] | None = None,
    tags: Mapping[str, str] | None = None,
    context_tags: Callable[[Call], Mapping[str, str]] | None = None,
    headers: bool = True,
    user: bool = True,
    addresses: bool = False,
    local_variables: bool = False,
    wait_for_delivery: bool = False,
    timeout: float = 2.0,
    rate: float = 20.0,
    log: Logger | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Middleware:
    """Report calls that fail to Sentry, on servers, for all arities; their errors go on as before.

    An exception that is no ``Error`` is reported, and an ``Error`` whose code says that the fault
    is here; so is a passed deadline, with the place where the call waited. What a caller has done
    wrong is not, nor is a call that its caller left or that was cut off by the server's end.

    Each call, a stream to its end, has a scope of its own: what a handler says by
    ``sentry_sdk.set_tag`` and the like goes with events of that call and with no others. Every
    event that is captured within a call, by whomever, has its operation, the caller, the ids of
    request and trace, and no secrets; see ``redacted``.

    Stands inside ``recovery``, ``request_id``, ``tracing`` and what authenticates. Does nothing
    while sentry_sdk is not initialised. To send, sentry_sdk has a thread; at most 100 events wait.

    Args:
        min_code: Errors from this code on are reported.
        report: Decides instead, from the call and what it ended with.
        tags: Further tags, the same for each event.
        context_tags: Finds further tags of a call; called when an event is made.
        headers: Whether headers of the request are told, secrets among them hidden.
        user: Whether the caller that ``kratos.principal`` has is told.
        addresses: Whether the address of the caller is, and headers that hold it.
        local_variables: Whether local variables in traces are told, as sentry_sdk does. Requests
            are among them, with all of their fields.
        wait_for_delivery: Whether a call that is reported ends only when its event was sent.
        timeout: Seconds for that, above 0.
        rate: Calls reported a second, above 0, and at once at the beginning. To make an event
            takes the event loop milliseconds, which a service that fails as a whole does not
            have. Those left out are counted in the next event.
        log: Where failures of ``report`` and ``context_tags`` go; ``kratos.sentry`` of the
            standard library by default.
        clock: Tells the time for ``rate``.

    Raises:
        ConfigError: A function is none, or a number is out of its range.
    """
    require_callable("report", report)
    require_callable("context_tags", context_tags)
    require_number("min_code", min_code)
    require_number("timeout", timeout, above=0, finite=True)
    require_number("rate", rate, above=0)
    require_methods("log", log, "a logger", "log")
    ignore_logger(_LOG_OF_CALLS)
    return _Reporting(
        min_code=min_code,
        report=report,
        tags={} if tags is None else dict(tags),
        context_tags=context_tags,
        shown=Shown(headers=headers, user=user, addresses=addresses),
        local_variables=local_variables,
        wait=timeout if wait_for_delivery else None,
        budget=Budget(rate, clock),
        log=StdLogger(logging.getLogger("kratos.sentry")) if log is None else log,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reporting:
    """The middleware; its options are those of ``server``."""

    min_code: int
    report: Callable[[Call, BaseException], bool] | None
    tags: Mapping[str, str]
    context_tags: Callable[[Call], Mapping[str, str]] | None
    shown: Shown
    local_variables: bool
    wait: float | None
    budget: Budget
    log: Logger

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Run a call in a scope of its own, and report it if it fails."""
        if call.side is not Side.SERVER or not sentry_sdk.get_client().is_active():
            return await next(call, request)
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()  # those of calls before have no place here

            def process(event: Event, _hint: Hint) -> Event:
                describe(event, call, {**self.tags, **self._tags_of(call)}, self.shown)
                return redacted(event, local_variables=self.local_variables)

            scope.add_event_processor(process)
            try:
                return await next(call, request)
            except EnoughSent:
                raise
            except BaseException as error:
                await self._failed(call, error)
                raise

    async def _failed(self, call: Call, error: BaseException) -> None:
        end = outcome(call, error)
        wanted = _judged_in(error) is not call and self._is_reported(call, end, error)
        if wanted and self.budget.allows():
            # sentry_sdk notes in the context what it has seen, which is not our caller's.
            copy_context().run(_capture, end, error, self.budget.missed())
            if self.wait is not None and isinstance(error, Exception):
                await asyncio.to_thread(sentry_sdk.flush, self.wait)
        setattr(error, _JUDGED, ref(call))

    def _is_reported(self, call: Call, end: Outcome, error: BaseException) -> bool:
        if self.report is None:
            return not end.cancelled and end.code >= self.min_code
        try:
            return self.report(call, error)
        except Exception as failure:  # rather one event too many than another error for the caller
            self.log.log(Level.ERROR, "report of Sentry's middleware failed", {"error": failure})
            return True

    def _tags_of(self, call: Call) -> Mapping[str, str]:
        if self.context_tags is None:
            return {}
        try:
            return self.context_tags(call)
        except Exception as failure:
            self.log.log(Level.ERROR, "tags for Sentry cannot be found", {"error": failure})
            return {}


def _judged_in(error: BaseException) -> Call | None:
    """Return the call, while it lasts, in which it was last decided whether to report this."""
    judged: ref[Call] | None = getattr(error, _JUDGED, None)
    return None if judged is None else judged()


def _without_judged(event: Event, hint: Hint) -> Event | None:
    """Drop what is logged further out of an exception that was reported here, or was not to be."""
    raised = hint.get("exc_info")
    error = None if raised is None else raised[1]
    if error is None:
        return event
    call = _judged_in(error)
    return event if call is None or server_call() not in (None, call) else None


def _capture(end: Outcome, error: BaseException, missed: int) -> None:
    """Make an event of how a call ended; never raises, as sentry_sdk does not."""
    # Of a cancellation, what the caller gets is told, with the place where it struck.
    cut = isinstance(error, asyncio.CancelledError) and end.error is not None
    shown = end.error.with_cause(error) if cut and end.error is not None else error
    event, hint = event_from_exception(
        shown,
        client_options=sentry_sdk.get_client().options,
        mechanism={"type": "kratos", "handled": isinstance(shown, Error)},
    )
    event["tags"] = {"code": str(end.code), "reason": end.reason}
    if missed:
        event["extra"] = {"not_reported_before": missed}
    sentry_sdk.capture_event(event, hint)


# For good, like the integrations of sentry_sdk; it has no way back.
add_global_event_processor(_without_judged)
