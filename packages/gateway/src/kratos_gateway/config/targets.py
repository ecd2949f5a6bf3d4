"""How the target of a back end may be written."""

from __future__ import annotations

from typing import Final

from kratos.client import Target
from kratos.errors import TargetError

__all__ = ["target_problem"]

_FORMS: Final = "write host:port, or discovery:///service"


def target_problem(target: str) -> str | None:
    """Return what is wrong with a target; ``None`` if it is well.

    A host without a port has the usual one of its protocol, as in Go.
    """
    if not target:
        return f"it is empty: {_FORMS}"
    scheme, separator, rest = target.partition("://")
    if scheme == "discovery" and separator:
        # What stands before the name of the service, an authority, is nothing here.
        return None if rest.partition("/")[2].strip("/") else f"it names no service: {_FORMS}"
    if (separator and scheme != "direct") or target.startswith("unix:"):
        return f"{target!r} has a scheme that is not known here: {_FORMS}"
    places = rest.removeprefix("/") if separator else target
    if "," not in places and ":" not in places.rpartition("]")[2]:
        places += ":80"
    try:
        Target.parse(f"direct:///{places}" if separator else places)
    except TargetError as error:
        return f"{error}; {_FORMS}"
    return None
