"""One change of the configuration, in two phases: either all take part, or nothing happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from kratos.clock import Clock
from kratos.config._dotted import MISSING, find
from kratos.config._interface import Observer, Participant, Prepared
from kratos.config._snapshot import Snapshot, same
from kratos.errors import ConfigError
from kratos.limit import Limit, is_cancelled_from_outside, shielded

__all__ = ["Change"]

_NOT_ROLLED_BACK: Final = "%r failed to roll a change back"

_log = logging.getLogger("kratos.config")


class Change:
    """The way from one snapshot to the next.

    Args:
        old: In force.
        new: To be put in force.
        clock: Time for the limit.
        timeout: Seconds that each participant gets to prepare, and to roll back.
    """

    __slots__ = ("_clock", "_new", "_old", "_prepared", "_timeout")

    def __init__(self, old: Snapshot, new: Snapshot, *, clock: Clock, timeout: float) -> None:
        self._old = old
        self._new = new
        self._clock = clock
        self._timeout = timeout
        self._prepared: list[Prepared] = []

    async def prepare(self, participants: Sequence[Participant]) -> None:
        """Ask everybody; if one refuses, fails or is too late, all others roll back.

        Raises:
            Exception: What the one raised.

        Cancellation: rolls back.
        """
        try:
            for participant in participants:
                await self._ask(participant)
        except BaseException:
            # Without a limit of its own: each participant has one, and none takes that of others.
            await shielded(self.roll_back(), clock=self._clock, timeout=None)
            raise

    def commit(self, observers: Mapping[object, tuple[str, Observer]]) -> None:
        """Let all who prepared commit, and tell the observers of what changed for them.

        Args:
            observers: Key and observer; one that another of them takes away hears nothing more.
        """
        for prepared in self._prepared:
            try:
                prepared.commit()
            except (Exception, asyncio.CancelledError):  # no cancellation of ours: no await
                _log.exception("%r failed to commit what it had prepared", prepared)
        for token, (key, observer) in tuple(observers.items()):
            if token in observers and (not key or self._differs(key)):
                try:
                    observer(self._old, self._new)
                except (Exception, asyncio.CancelledError):
                    _log.exception("an observer of configuration key %r failed", key)

    async def _ask(self, participant: Participant) -> None:
        limit = Limit(self._clock, self._timeout)
        try:
            async with limit:
                # Noted in here: the end of the limit takes turns, and may be cancelled in them.
                self._note(participant, await participant.prepare(self._old, self._new))
        except TimeoutError as error:
            if not limit.expired:
                raise
            raise ConfigError(
                f"{participant!r} was not ready within {self._timeout:g} s"
            ) from error
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                raise
            raise ConfigError(f"{participant!r} was cancelled while it prepared") from error

    def _note(self, participant: Participant, prepared: Prepared) -> None:
        if not callable(getattr(prepared, "commit", None)):
            raise ConfigError(
                f"prepare() of {participant!r} returned {type(prepared).__name__}; it must return "
                "an object with commit() and rollback()"
            )
        self._prepared.append(prepared)

    async def roll_back(self) -> None:
        """Let all who prepared roll back, the last one first; idempotent.

        One that fails or is too late is logged, and the next one follows.
        """
        while self._prepared:
            prepared = self._prepared.pop()
            limit = Limit(self._clock, self._timeout)
            try:
                async with limit:
                    await prepared.rollback()
            except TimeoutError as error:
                if limit.expired:
                    _log.error("%r did not roll a change back within %g s", prepared, self._timeout)
                else:
                    _log.error(_NOT_ROLLED_BACK, prepared, exc_info=error)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                    raise
                _log.error(_NOT_ROLLED_BACK, prepared, exc_info=error)

    def _differs(self, key: str) -> bool:
        old, new = find(self._old.tree, key), find(self._new.tree, key)
        if old is MISSING or new is MISSING:
            return old is not new
        return not same(old, new)
