"""How the calls of a topology's clients ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kratos.middleware import outcome
from kratos.transport import Arity, Call, Cause, Handler

__all__ = ["Calls", "Ended"]

_FAILED: Final = 400  # codes from here on


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one call ended, as its caller saw it.

    Attributes:
        operation: Which one it was.
        arity: Of the operation.
        code: 200, or that of the error.
        reason: Of the error; empty for none.
        received: How many replies of a stream came.
        cancelled: Whether the caller gave it up.
    """

    operation: str
    arity: Arity
    code: int
    reason: str
    received: int
    cancelled: bool

    @property
    def failed(self) -> bool:
        """Whether it failed, and not because its caller gave it up."""
        return self.code >= _FAILED and not self.cancelled

    @property
    def drained(self) -> bool:
        """Whether it ended with the status by which a stopping server cuts streams off."""
        draining = Cause.DRAINING.error()
        return (self.code, self.reason) == (draining.code, draining.reason)

    def __str__(self) -> str:
        return f"{self.operation} ended with {self.code} {self.reason}".rstrip()


class Calls:
    """A middleware of clients that keeps a book of how calls ended: outermost, after all retries.

    Attributes:
        ended: All of them, in the order of their ends.
    """

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Note the end of a call."""
        failure: BaseException | None = None
        try:
            return await next(call, request)
        except BaseException as error:
            failure = error
            raise
        finally:
            self.ended.append(_ended(call, failure))
            failure = None  # it holds this frame

    @property
    def failed(self) -> list[Ended]:
        """Those that failed."""
        return [each for each in self.ended if each.failed]

    def assert_none_failed(self) -> None:
        """Check that calls were made, and that all ended well.

        Raises:
            AssertionError: Some failed, which it names, or there was none.
        """
        self._assert_but(self.failed)

    def assert_drained(self) -> None:
        """Check that a stop failed no call: streams alone may be cut off, with 503 ``DRAINING``.

        Raises:
            AssertionError: Some failed otherwise, which it names, or there was none.
        """
        streams = (Arity.SERVER_STREAM, Arity.CLIENT_STREAM, Arity.BIDI_STREAM)
        self._assert_but(
            [each for each in self.failed if not (each.arity in streams and each.drained)]
        )

    def _assert_but(self, wrong: list[Ended]) -> None:
        if not self.ended:
            raise AssertionError("no call has ended, so nothing is shown")
        if wrong:
            raise AssertionError(
                f"{len(wrong)} of {len(self.ended)} calls failed: {'; '.join(map(str, wrong[:10]))}"
            )


def _ended(call: Call, failure: BaseException | None) -> Ended:
    end = outcome(call, failure)
    return Ended(
        operation=call.method.operation,
        arity=call.method.arity,
        code=end.code,
        reason=end.reason,
        received=call.received,
        cancelled=end.cancelled and call.cause is not Cause.DRAINING,
    )
