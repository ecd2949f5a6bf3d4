"""Where in the configuration something is read, for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from kratos.config._snapshot import noun_of
from kratos.errors import ConfigError

__all__ = ["Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A dotted key and what is known about it.

    Attributes:
        key: Dotted key; items of lists are ``[0]``; empty for the top.
        origin: Tells which document a key comes from.
        strict: Whether unknown keys are refused.
        sources: What was looked through.
    """

    key: str
    origin: Callable[[str], str]
    strict: bool
    sources: Sequence[str] = ()

    def member(self, name: str) -> Place:
        """Return the place of a member of the mapping that is here."""
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def item(self, at: int) -> Place:
        """Return the place of an item of the list that is here."""
        return replace(self, key=f"{self.key}[{at}]")

    def mismatch(self, expected: str, value: object) -> ConfigError:
        """Return the error of a value of another kind, which may be a secret and is not shown."""
        kind = "null" if value is None else f"this {noun_of(value)}"
        return self.error(f"must be {expected}; {kind} is not")

    def error(self, complaint: str) -> ConfigError:
        """Return an error about what is here."""
        origin = self.origin(self.key.partition("[")[0])
        where = f" (from {origin})" if origin else ""
        return ConfigError(f"configuration value {self.key!r}{where} {complaint}")

    def missing(self, complaint: str) -> ConfigError:
        """Return the error of nothing being here, where weaker sources may have had something."""
        where = f": no value in {', '.join(self.sources)}" if self.sources else ""
        return ConfigError(f"configuration value {self.key!r} {complaint}{where}")

    def check_known(self, given: Iterable[str], known: Iterable[str]) -> None:
        """Refuse members that are not known, if ``strict``.

        Raises:
            ConfigError: There is one.
        """
        if not self.strict:
            return
        names = list(known)
        for name in given:
            if name not in names:
                close = get_close_matches(name, names, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise self.member(name).error(f"is not known{hint}")
