"""What went wrong, in its order."""

from __future__ import annotations

import asyncio

from kratos.errors import KratosError
from kratos.limit import describe
from kratos.log import Level, Logger

__all__ = ["Failures", "within"]


class Failures:
    """Keeps the first cause; later failures are noted on it, and all of them are logged.

    Attributes:
        first: What an application's ``run`` raises; ``None`` while all is well.
    """

    __slots__ = ("_log", "first")

    def __init__(self, log: Logger) -> None:
        self._log = log
        self.first: BaseException | None = None

    def add(self, where: str, error: BaseException) -> None:
        """Note a failure.

        Args:
            where: What failed, for example ``after-stop hook close_pool``.
            error: How.
        """
        if error is self.first:
            return
        # Errors of our own say what to do; a trace would only bury that.
        expected = isinstance(error, KratosError | asyncio.CancelledError)
        shown = describe(error) if expected else error
        self._log.log(Level.ERROR, f"{where} failed", {"error": shown})
        if self.first is None:
            self.first = error
            error.add_note(f"{where} failed")
        else:
            self.first.add_note(f"later, {where} failed: {describe(error)}")


def within(
    where: str, error: asyncio.CancelledError, kind: type[KratosError] = KratosError
) -> KratosError:
    """Return the error of a step that something was cancelled in, but not the step itself.

    As it is, it would tell whoever awaits ``run`` that somebody had cancelled that.
    """
    failure = kind(f"{where} awaited something that was cancelled")
    failure.__cause__ = error
    return failure
