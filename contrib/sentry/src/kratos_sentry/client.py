"""The way to Sentry, open for as long as an application runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sentry_sdk.utils import BadDsn

from kratos.app import app_info
from kratos.errors import ConfigError
from kratos.log import Level, Logger, StdLogger
from kratos.options import require_methods, require_number
from kratos_sentry.redaction import redacted, redacted_log

if TYPE_CHECKING:
    from types import TracebackType

    from sentry_sdk.types import Event, Hint, Log

__all__ = ["Sentry"]

_NOWHERE: Final = "https://key@127.0.0.1/1"
_TELL_AGAIN: Final = 300.0  # seconds


class Sentry:
    """Initialises sentry_sdk on entry, and sends what waits on exit, for ``App(resources=[...])``.

    A supervisor's workers each have their own. Without a DSN, here and in ``SENTRY_DSN``, nothing
    is sent, and the middleware costs next to nothing. Events of the whole process have no secrets,
    nor do spans and logs; see ``redacted``. The release is the application's ``name@version``
    unless ``options`` say so.

    Args:
        dsn: Where to; by default what the environment variable ``SENTRY_DSN`` says.
        flush_timeout: Seconds for what waits on exit, above 0. What is not sent by then is lost,
            which is logged; so is what Sentry does not take, at most every five minutes.
        local_variables: Whether local variables in traces are told; see ``server``.
        log: Where to log; ``kratos`` of the standard library by default.
        options: Of ``sentry_sdk.init``.

    Cancellation: of the entry, nothing is left; of the exit, what waits is sent in the time that
    there is all the same.

    Raises:
        ConfigError: ``flush_timeout`` is not positive; on entry: the DSN is none.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        flush_timeout: float = 2.0,
        local_variables: bool = False,
        log: Logger | None = None,
        **options: Any,
    ) -> None:
        require_number("flush_timeout", flush_timeout, above=0, finite=True)
        require_methods("log", log, "a logger", "log")
        self._dsn: Final = dsn
        self._timeout: Final = flush_timeout
        self._local_variables: Final = local_variables
        self._log: Final[Logger] = StdLogger() if log is None else log
        self._options: Final = options
        self._lost = 0
        self._told_at = -_TELL_AGAIN

    async def __aenter__(self) -> Self:
        options = dict(self._options)
        options.setdefault("include_local_variables", self._local_variables)
        options.setdefault("release", _release())
        for name in ("before_send", "before_send_transaction"):
            options[name] = self._redacting(options.get(name))
        _redact_logs(options)
        try:
            sentry_sdk.init(dsn=self._dsn, **options)
        except BadDsn as error:  # its text may hold the DSN's key
            raise ConfigError(
                "what Sentry was given as its DSN is not one: that looks like "
                f"https://<key>@<host>/<project> ({type(error).__name__})"
            ) from None
        transport = sentry_sdk.get_client().transport
        if hasattr(transport, "on_dropped_event"):  # which sentry_sdk calls, and leaves empty
            setattr(transport, "on_dropped_event", self._dropped)  # noqa: B010 - of whatever kind
        if sentry_sdk.get_client().is_active():
            try:
                await asyncio.to_thread(_warm_up)
            except BaseException:  # what is not entered is not exited
                sentry_sdk.get_client().close(timeout=0)
                sentry_sdk.get_global_scope().set_client(None)
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client = sentry_sdk.get_client()
        began = time.monotonic()
        try:
            await asyncio.to_thread(partial(client.close, timeout=self._timeout))
        finally:
            sentry_sdk.get_global_scope().set_client(None)
        if time.monotonic() - began >= self._timeout:
            self._log.log(
                Level.WARN,
                "Sentry did not take all events in time",
                {"timeout": self._timeout},
            )

    def _dropped(self, reason: str) -> None:
        """Tell that events are lost, now and then; called in the thread that sends."""
        self._lost += 1
        now = time.monotonic()
        if now - self._told_at >= _TELL_AGAIN:
            self._told_at = now
            fields = {"events": self._lost, "reason": reason}
            self._log.log(Level.WARN, "Sentry does not take events, they are lost", fields)
            self._lost = 0

    def _redacting(
        self, before: Callable[[Event, Hint], Event | None] | None
    ) -> Callable[[Event, Hint], Event | None]:
        def send(event: Event, hint: Hint) -> Event | None:
            event = redacted(event, local_variables=self._local_variables)
            return event if before is None else before(event, hint)

        return send


def _redact_logs(options: dict[str, Any]) -> None:
    """Let logs of Sentry, which are no events, have no secrets either."""
    # sentry_sdk has known the option by itself for some time only.
    experiments = dict(options.get("_experiments") or {})
    holder = options if "before_send_log" in options else experiments
    before: Callable[[Log, Hint], Log | None] | None = holder.get("before_send_log")

    def send(log: Log, hint: Hint) -> Log | None:
        log = redacted_log(log)
        return log if before is None else before(log, hint)

    holder["before_send_log"] = send
    options["_experiments"] = experiments


def _release() -> str | None:
    info = app_info()
    if info is None or not (info.name and info.version):
        return None
    return f"{info.name}@{info.version}"


def _warm_up() -> None:
    """Make an event that goes nowhere.

    With the first one, sentry_sdk looks for all that is installed, which takes a tenth of a second:
    better here, in a thread, than in a call and in the event loop.
    """
    client = sentry_sdk.Client(dsn=_NOWHERE, transport=_Nowhere())
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        try:
            raise RuntimeError("to begin with")
        except RuntimeError as error:
            scope.capture_exception(error)
    client.close(timeout=0)


class _Nowhere(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        """Drop it."""
