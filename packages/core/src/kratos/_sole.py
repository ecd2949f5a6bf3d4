"""What one installed plug-in makes for the whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kratos import plugins
from kratos.errors import ConfigError

__all__ = ["Sole"]

T = TypeVar("T")


class Sole(Generic[T]):
    """Looks for the plug-in of a group of which a process has one, and keeps what it makes.

    Args:
        group: Group of the plug-in, which is called without arguments.
        what: What it makes, in a word.
        does: Method that this has.
    """

    __slots__ = ("_does", "_group", "_made", "_what")

    def __init__(self, group: str, *, what: str, does: str) -> None:
        self._group: Final = group
        self._what: Final = what
        self._does: Final = does
        # By the factory, so that what a test registers for a while is not kept beyond it.
        self._made: Final[dict[Callable[[], T], T]] = {}

    def get(self) -> T | None:
        """Return what the plug-in makes, the same each time; ``None`` while none is installed.

        Raises:
            ConfigError: Several are installed, or the one that is makes something else.
            PluginConflict: Two distributions claim its name.
            PluginLoadError: Its code failed to import.
        """
        found = plugins.sole(self._group)
        if found is None:
            return None
        name, factory = found
        made = self._made.get(factory)
        return self._make(name, factory) if made is None else made

    def _make(self, name: str, factory: Callable[[], T]) -> T:
        where = f"plug-in {name!r} in {self._group}"
        try:
            made = factory()
        except Exception as error:
            raise ConfigError(f"{where} made no {self._what}: {error}") from error
        if not callable(getattr(made, self._does, None)):
            raise ConfigError(f"{where} made {made!r}, which is no {self._what}")
        self._made[factory] = made
        return made
