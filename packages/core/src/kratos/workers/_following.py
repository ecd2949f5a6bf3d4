"""A worker's side of following the configuration of its supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from kratos.config import Config, Prepared
from kratos.config._states import from_plain
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait, describe
from kratos.workers._channel import Channel
from kratos.workers._messages import Configure, Configured, Settle

__all__ = ["Following"]

_MOST_TOLD: Final = 1000  # characters of an error


class Following:
    """Prepares changes, and puts them in force when the supervisor says so.

    Args:
        config: The worker's; ``None`` if it has none.
        channel: To the supervisor.
    """

    def __init__(self, config: Config | None, channel: Channel) -> None:
        self._config = config
        self._channel = channel
        self._prepared: tuple[int, Prepared] | None = None
        self._work: asyncio.Task[None] | None = None

    def take(self, message: Configure | Settle, /) -> None:
        """Do as the supervisor says, beside whoever calls."""
        if self._config is None:  # other code than the supervisor's
            if isinstance(message, Configure):
                self._channel.send(Configured(number=message.number))
        elif isinstance(message, Configure):
            self._begin(self._follow(self._config, message, self._work))
        elif message.commit:
            self._commit(message.number)
        else:
            self._config.refuse(ConfigError(message.reason))
            self._begin(self._undo(self._work))

    async def aclose(self) -> None:
        """Roll back what is not in force."""
        await self._undo(self._work)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = asyncio.create_task(work, name="kratos-config-follow")

    async def _follow(
        self, config: Config, message: Configure, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        problem = ""
        try:
            await self._prepare(config, message)
        except Exception as error:
            problem = describe(error)[:_MOST_TOLD]
            config.refuse(error)
        self._channel.send(Configured(number=message.number, problem=problem))

    async def _prepare(self, config: Config, message: Configure) -> None:
        states = from_plain(message.config)
        if not config.loaded:
            config.follow(states, revision=message.revision)
            return
        prepared = await config.prepare(states, revision=message.revision)
        if message.at_once:
            prepared.commit()
        else:
            self._prepared = message.number, prepared

    def _commit(self, number: int) -> None:
        if self._prepared is not None and self._prepared[0] == number:
            prepared, self._prepared = self._prepared[1], None
            prepared.commit()

    async def _undo(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await cancel_and_wait(before)
        if self._prepared is not None:
            prepared, self._prepared = self._prepared[1], None
            await prepared.rollback()
