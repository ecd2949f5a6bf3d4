"""What a registry adapter supplies: primitives, no loops (Go: registry.Registrar, Discovery)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kratos.registry._instance import ServiceInstance
from kratos.watch import Watcher

__all__ = ["Discovery", "Registrar", "Registration", "Registry", "name_of"]


class Registration(Protocol):
    """One publication. A later one of the same id supersedes it, in whatever process."""

    @property
    def ttl(self) -> float | None:
        """Seconds that it outlives silence; ``None`` if it does not expire by itself."""
        ...

    async def renew(self) -> None:
        """Send a heartbeat, or check that the publication is still there.

        Raises:
            RegistrationLost: It is gone or superseded.
            RegistryUnavailable: The back end did not answer; the publication may still stand.

        Cancellation: safe.
        """
        ...

    async def lost(self) -> None:
        """Return when the back end says that the publication is gone; it may wait for ever.

        Cancellation: safe, and the normal end.
        """
        ...

    async def withdraw(self) -> None:
        """Take the publication back; idempotent, and "not there" is success.

        A superseded publication leaves its successor alone where the back end can tell them
        apart. No renewal starts afterwards.

        Raises:
            RegistryUnavailable: The back end did not answer.
        """
        ...


class Registrar(Protocol):
    """Publishes instances. ``str()`` of it should name the back end, without secrets."""

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance once; one that has the same id is replaced in place.

        Raises:
            RegistryUnavailable: The back end did not answer.
            ValueError: The instance cannot be published.

        Cancellation: afterwards nothing is published, or what is expires by its ttl, or the
        adapter withdraws it in a shielded and bounded clean-up.
        """
        ...


class Discovery(Protocol):
    """Tells which instances a service has. ``str()`` of it should name the back end."""

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Open a watcher of the instances of a service; none yet is an empty list, no error.

        Raises:
            RegistryUnavailable: The back end did not answer.

        Cancellation: leaves nothing open.
        """
        ...


class Registry(Registrar, Discovery, Protocol):
    """Both sides, with whatever connection they share."""

    async def aclose(self) -> None:
        """Release the connection; idempotent. Publications are withdrawn by their owners."""
        ...


def name_of(backend: object) -> str:
    """Return how to call a back end in logs: its text, or its class if it has none."""
    text = str(backend)
    return type(backend).__name__ if text == object.__repr__(backend) else text
