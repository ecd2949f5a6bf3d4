"""What all kinds of sessions can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from kratos.errors import ConfigError
from kratos_http.cookies import Cookie, SameSite

__all__ = ["SessionOptions"]

_FORTNIGHT: Final = 14 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How long sessions live, and how their cookie is sent.

    Scripts never see the cookie (``HttpOnly``).

    Attributes:
        name: Of the cookie; by default ``__Host-session``, or ``session`` if it is not secure or
            has a domain or path.
        max_age: Seconds that a session lives unused.
        lifetime: Seconds that it lives at most, however it is used; ``None`` for no such limit.
        persistent: Whether browsers keep it for ``max_age``, or until they are closed.
        secure: Whether it is sent over TLS only; browsers except ``localhost``.
        same_site: See ``Cookie``. ``Lax`` keeps requests that change anything, made by other
            sites, without a session, if none of yours is a ``GET``.
        path: See ``Cookie``.
        domain: See ``Cookie``.

    Raises:
        ConfigError: A time is not positive, or the cookie cannot be sent so.
    """

    name: str = ""
    max_age: float = _FORTNIGHT
    lifetime: float | None = None
    persistent: bool = True
    secure: bool = True
    same_site: SameSite = "Lax"
    path: str = "/"
    domain: str = ""

    def __post_init__(self) -> None:
        for name, value in (("max_age", self.max_age), ("lifetime", self.lifetime)):
            if value is not None and not 1 <= value < math.inf:
                raise ConfigError(f"{name} of sessions must be 1 s or more, but is {value}")
        if not self.name:
            own_host = self.secure and not self.domain and self.path == "/"
            object.__setattr__(self, "name", "__Host-session" if own_host else "session")
        self.cookie("")

    def cookie(self, value: str) -> Cookie:
        """Return the cookie for a value; without one, that which makes browsers forget it."""
        return Cookie(
            name=self.name,
            value=value,
            path=self.path,
            domain=self.domain,
            max_age=0 if not value else int(self.max_age) if self.persistent else None,
            secure=self.secure,
            same_site=self.same_site,
        )

    def is_alive(self, created: float, renewed: float, now: float) -> bool:
        """Tell whether a session of these times, in seconds since the epoch, is still valid."""
        if self.lifetime is not None and now >= created + self.lifetime:
            return False
        return now < renewed + self.max_age
