"""Redirects, raised from anywhere in a call (Go: transport/http, NewRedirect)."""

from __future__ import annotations

from http import HTTPStatus

from kratos.errors import ConfigError, Error

__all__ = ["Redirect"]

_STATUSES = frozenset((301, 302, 303, 307, 308))


class Redirect(Error):
    """Sends the caller elsewhere. Over other transports it is an error of the same code.

    Args:
        location: URL or absolute path to go to.
        code: 301, 302, 303, 307 or 308.

    Raises:
        ConfigError: The code redirects nobody, or the location holds control characters.
    """

    def __init__(self, location: str, code: int = HTTPStatus.FOUND) -> None:
        if code not in _STATUSES:
            raise ConfigError(f"{code} is no redirect; use one of {sorted(_STATUSES)}")
        if not location.isprintable() or not location:
            raise ConfigError(f"{location!r} is no location to redirect to")
        super().__init__(int(code), "REDIRECT", f"see {location}", {"location": location})
        self.location = location

    def clone(self) -> Redirect:
        """Return an independent copy with the same cause."""
        copy = Redirect(self.location, self.code)
        copy.__cause__ = self.__cause__
        return copy

    def __reduce__(self) -> tuple[type[Redirect], tuple[str, int]]:  # type: ignore[override]
        return Redirect, (self.location, self.code)
