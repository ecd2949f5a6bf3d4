"""One service at an agent, from its registration to its withdrawal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from kratos.errors import RegistrationLost
from kratos.registry import Registration
from kratos_consul.agent import Agent, Question
from kratos_consul.layout import check_id, is_same_service

__all__ = ["Publication"]

_REFUSED: Final = 500
_NOT_FOUND: Final = 404
_NO_CHECK: Final = ("Unknown check", "does not have associated TTL")


class Publication:
    """See ``kratos.registry.Registration``.

    Args:
        agent: Where it is.
        body: What registers it.
        ttl: Seconds that a heartbeat lasts; ``None`` for no heartbeats.
        gone: Told the id when it has been withdrawn.
    """

    def __init__(
        self,
        agent: Agent,
        body: Mapping[str, Any],
        *,
        ttl: float | None,
        gone: Callable[[str], None],
    ) -> None:
        self._agent = agent
        self._body = body
        self._id: str = body["ID"]
        self._ttl = ttl
        self._gone = gone

    @property
    def ttl(self) -> float | None:
        """Seconds that it outlives silence."""
        return self._ttl

    async def publish(self) -> None:
        """Register it, in place of one of the same id, and send the first heartbeat."""
        # Checks of a predecessor that had more endpoints would keep the instance critical.
        query = {"replace-existing-checks": "true"}
        path = "/v1/agent/service/register"
        question = Question(verb="PUT", path=path, query=query, body=self._body)
        (await self._agent.ask(question)).check()
        if self._ttl is not None:
            await self._beat()

    async def renew(self) -> None:
        """Send a heartbeat, and look whether it stands."""
        if self._ttl is not None:
            await self._beat()
        if not await self._stands():
            raise self._lost("it is gone, or belongs to a later registration")

    async def lost(self) -> None:
        """Wait for ever: an agent pushes nothing."""
        await asyncio.Event().wait()

    async def withdraw(self) -> None:
        """Deregister it, unless it is gone, or somebody else's by now."""
        if await self._stands():
            path = "/v1/agent/service/deregister/"
            answer = await self._agent.ask(Question(verb="PUT", path=path, name=self._id))
            if answer.status != _NOT_FOUND:
                answer.check()
        self._gone(self._id)

    async def _beat(self) -> None:
        answer = await self._agent.ask(
            Question(
                verb="PUT",
                path="/v1/agent/check/update/",
                name=check_id(self._id),
                body={"Status": "passing", "Output": "pass"},
            )
        )
        unknown = answer.status == _REFUSED and any(text in answer.text for text in _NO_CHECK)
        if answer.status == _NOT_FOUND or unknown:
            raise self._lost(answer.text)
        answer.check()

    async def _stands(self) -> bool:
        """Tell whether the agent has the service as it was registered here."""
        question = Question(verb="GET", path="/v1/agent/service/", name=self._id)
        answer = await self._agent.ask(question)
        if answer.status == _NOT_FOUND:
            return False
        return is_same_service(answer.json(), self._body)

    def _lost(self, why: str) -> RegistrationLost:
        return RegistrationLost(f"{self._id} on {self._agent}: {why}")


if TYPE_CHECKING:
    _registration: type[Registration] = Publication
