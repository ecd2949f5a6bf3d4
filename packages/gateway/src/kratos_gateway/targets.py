"""How the target of a back end may be written."""

from __future__ import annotations

from typing import Final

from kratos.client import Target
from kratos.errors import ConfigError, TargetError

__all__ = ["read_target"]

_FORMS: Final = "write host:port or discovery:///service"


def read_target(text: str, *, secure: bool) -> Target:
    """Return what a target names: addresses, or a service that is looked up.

    A host without a port has the usual one of its protocol, as in Go.

    Args:
        text: ``host:port``, ``direct:///host:port`` or ``discovery:///service``; what stands before
            the name of a service, an authority, is nothing here.
        secure: Whether TLS is spoken there, which decides what port is the usual one.

    Raises:
        ConfigError: It is none of these; says what is wrong, and what to write.
    """
    scheme, found, rest = text.partition("://")
    if not text:
        raise ConfigError(f"it is empty: {_FORMS}")
    if (found and scheme not in ("direct", "discovery")) or text.startswith("unix:"):
        raise ConfigError(f"{text!r} has a scheme that is not known here: {_FORMS}")
    if found and scheme == "discovery":
        service = rest.partition("/")[2]
        if not service.strip("/"):
            raise ConfigError(f"it names no service: {_FORMS}")
        completed = f"discovery:///{service}"
    else:
        completed = _completed(rest.removeprefix("/") if found else text, secure=secure)
        completed = f"direct:///{completed}" if found else completed
    try:
        return Target.parse(completed)
    except TargetError as error:
        # Its advice names forms that clients take, of which some are none here.
        raise ConfigError(f"{str(error).partition('; write one of ')[0]}; {_FORMS}") from error


def _completed(places: str, *, secure: bool) -> str:
    """Return an address with the usual port if it has none; a list of them as it is."""
    if "," in places or ":" in places.rpartition("]")[2]:
        return places
    return f"{places}:{443 if secure else 80}"
