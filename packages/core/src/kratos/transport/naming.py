"""Operations named in options, held to those that there are: a slip of the pen limits nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final, Protocol, runtime_checkable

from kratos.errors import ConfigError, StartupError

__all__ = ["NamesOperations", "nearest", "require_declared", "require_known", "require_served"]

_STAR: Final = "*"
_LIKE: Final = "/package.Service/Method"
_SHOWN: Final = 5


@runtime_checkable
class NamesOperations(Protocol):
    """A middleware that was told operations by name.

    Servers and clients refuse those of a known service that it has not. Names of other services
    pass: an application's middleware is that of several servers.
    """

    @property
    def operation_names(self) -> Collection[str]:
        """The names."""
        ...


def require_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are those of no operation.

    Args:
        what: The option, for the error.
        names: Operations; one that ends in ``*`` is the beginning of some.
        known: Names of all operations.

    Raises:
        StartupError: There is one that is none; the text has the nearest.
    """
    for name in names:
        if name in known:
            continue
        if name.endswith(_STAR) and any(one.startswith(name[:-1]) for one in known):
            continue
        raise StartupError(f"{what} names {name!r}, which is not served here{nearest(name, known)}")


def require_served(middleware: Iterable[object], known: Collection[str]) -> None:
    """Refuse middleware that was told methods that their services have not.

    Args:
        middleware: Of a server.
        known: Names of all operations of the server.

    Raises:
        StartupError: There is such a name; the text has the nearest.
    """
    services = {_service(name) for name in known}
    for element in middleware:
        names = [
            name
            for name in _names_of(element)
            if _service(name) in services or not name.startswith("/")
        ]
        require_known(_title(element), names, known)


def require_declared(middleware: Iterable[object], /, **options: Iterable[str]) -> None:
    """Refuse names of methods that their services have not in their definitions.

    It looks at the definitions that this program has imported, and lets names of others pass.

    Args:
        middleware: Of a client.
        options: Names of operations by option.

    Raises:
        ConfigError: There is such a name, or one like that of no operation; the text has the
            nearest.
    """
    given = [*options.items(), *((_title(each), _names_of(each)) for each in middleware)]
    for what, names in given:
        for name in names:
            if not name.startswith("/"):
                raise ConfigError(f"{what} names {name!r}, which is like no operation: {_LIKE}")
            methods = _declared(_service(name))
            if methods and name not in methods:
                raise ConfigError(
                    f"{what} names {name!r}, which is no method{nearest(name, methods)}"
                )


def nearest(name: str, known: Collection[str]) -> str:
    """Return the end of an error about a name: the nearest one, or what there is."""
    if name.endswith(_STAR):
        known = {f"/{_service(one)}/{_STAR}" for one in known if _service(one)}
    near = get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    shown = ", ".join(sorted(known)[:_SHOWN])
    rest = ", ..." if len(known) > _SHOWN else ""
    return f"; there are {shown}{rest}" if known else "; nothing is"


def _names_of(element: object) -> Collection[str]:
    if isinstance(element, type) or not isinstance(element, NamesOperations):
        return ()
    return element.operation_names


def _title(element: object) -> str:
    return f"the middleware {type(element).__name__.lstrip('_')}"


def _service(name: str) -> str:
    return name[1:].rpartition("/")[0]


def _declared(service: str) -> Collection[str]:
    """Return the operations of a service whose definition was imported; empty for any other."""
    # Loaded already where there is any definition; here for the time that importing it takes.
    from google.protobuf import descriptor_pool

    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return ()
    return {f"/{service}/{name}" for name in found.methods_by_name}
