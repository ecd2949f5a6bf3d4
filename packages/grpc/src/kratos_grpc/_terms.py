"""What all calls of a server have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kratos.health import Health, Phase
from kratos_grpc._codings import Coding
from kratos_http.listening import Place

__all__ = ["Terms"]

_STOPPING: Final = Phase.STOPPING  # members of enumerations are slow to look up


@dataclass(slots=True, kw_only=True)
class Terms:
    """What all calls of a server have in common.

    Attributes:
        place: Where the server is, known when it is bound.
        max_receive: Bytes of the largest request.
        max_send: Bytes of the largest reply; ``None`` for no limit.
        coding: Of replies of ``plain_below`` bytes or more, for clients that read it.
        mutual: Whether clients have certificates.
        plain_below: Bytes of the smallest reply that may be compressed.
        json: Whether requests in JSON are taken.
        health: Of the application, which tells when it is about to stop.
    """

    place: Place = field(default_factory=Place)
    max_receive: int = 4 * 1024 * 1024
    max_send: int | None = None
    coding: Coding | None = None
    mutual: bool = False
    plain_below: int = 0
    json: bool = True
    health: Health | None = None

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return self.place.endpoint

    @property
    def leaving(self) -> bool:
        """Whether clients are told to connect anew, because the application is to stop."""
        health = self.health
        return health is not None and health.phase is _STOPPING
