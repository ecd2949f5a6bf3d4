"""One service at an agent, from its registration to its withdrawal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
        gone: Told of it when it has been withdrawn.

    Attributes:
        id: Of the service.
        is_registered: Whether the agent has said that it has it.
    """

    def __init__(
        self,
        agent: Agent,
        body: Mapping[str, Any],
        *,
        ttl: float | None,
        gone: Callable[[Publication], None],
    ) -> None:
        self._agent = agent
        self._bodies = [body]  # the first is its own
        self.id: str = body["ID"]
        self.is_registered = False
        self._ttl = ttl
        self._gone = gone

    @property
    def ttl(self) -> float | None:
        """Seconds that it outlives silence."""
        return self._ttl

    def may_become(self, other: Publication) -> None:
        """Know that a change of it was given up, which may have been made or be so yet."""
        if other.body not in self._bodies:
            self._bodies.append(other.body)

    @property
    def body(self) -> Mapping[str, Any]:
        """What registers it."""
        return self._bodies[0]

    async def publish(self) -> None:
        """Register it, in place of one of the same id, and send the first heartbeat."""
        # Checks of a predecessor that had more endpoints would keep the instance critical.
        query = {"replace-existing-checks": "true"}
        path = "/v1/agent/service/register"
        question = Question(verb="PUT", path=path, query=query, body=self.body)
        (await self._agent.ask(question)).check()
        self.is_registered = True
        if self._ttl is not None:
            await self._beat()

    async def renew(self) -> None:
        """Send a heartbeat, and look whether it stands."""
        if self._ttl is not None:
            await self._beat()
        if not await self._stands(self._bodies[:1]):
            raise self._lost("it is gone, or belongs to a later registration")

    async def lost(self) -> None:
        """Wait for ever: an agent pushes nothing."""
        await asyncio.Event().wait()

    async def withdraw(self) -> None:
        """Deregister it, unless it is gone, or somebody else's by now."""
        await self.take_back()

    async def take_back(self) -> bool:
        """Deregister it if it stands; return whether it did.

        Raises:
            ConsulUnavailable: The agent did not answer, or refused.
        """
        stands = await self._stands(self._bodies)
        if stands:
            path = "/v1/agent/service/deregister/"
            answer = await self._agent.ask(Question(verb="PUT", path=path, name=self.id))
            if answer.status != _NOT_FOUND:
                answer.check()
        self._gone(self)
        return stands

    async def _beat(self) -> None:
        answer = await self._agent.ask(
            Question(
                verb="PUT",
                path="/v1/agent/check/update/",
                name=check_id(self.id),
                body={"Status": "passing", "Output": "pass"},
            )
        )
        unknown = answer.status == _REFUSED and any(text in answer.text for text in _NO_CHECK)
        if answer.status == _NOT_FOUND or unknown:
            raise self._lost(answer.text)
        answer.check()

    async def _stands(self, bodies: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether the agent has the service as one of these registers it."""
        question = Question(verb="GET", path="/v1/agent/service/", name=self.id)
        answer = await self._agent.ask(question)
        if answer.status == _NOT_FOUND:
            return False
        found = answer.json()
        return any(is_same_service(found, body) for body in bodies)

    def _lost(self, why: str) -> RegistrationLost:
        return RegistrationLost(f"{self.id} on {self._agent}: {why}")


if TYPE_CHECKING:
    _registration: type[Registration] = Publication
