"""Feature gates: parts of the gateway that are switched while it runs (Go: ``feature``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from kratos.errors import ConfigError

__all__ = ["DEFAULTS", "PRIORITY_CONFIG", "RETRY", "Gates"]

_log = logging.getLogger("kratos.gateway")

RETRY: Final = "gw:Retry"
"""Whether requests are tried again, where endpoints say so."""

PRIORITY_CONFIG: Final = "gw:PriorityConfig"
"""Whether a control service is asked for priority configurations."""

DEFAULTS: Final[Mapping[str, bool]] = {RETRY: True, PRIORITY_CONFIG: False}

# Those of Go's strconv.ParseBool.
_WORDS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class Gates:
    """Which gates are open. For one event loop.

    Args:
        states: Those that differ from ``DEFAULTS``.

    Raises:
        ConfigError: There is no gate of such a name.
    """

    def __init__(self, states: Mapping[str, bool] | None = None) -> None:
        self._open = dict(DEFAULTS)
        for name, state in (states or {}).items():
            if name not in self._open:
                known = ", ".join(DEFAULTS)
                raise ConfigError(f"there is no feature gate {name!r}; known are {known}")
            self._open[name] = state

    @classmethod
    def parse(cls, text: str) -> Gates:
        """Return the gates of a text such as ``gw:Retry=false,gw:PriorityConfig=true``.

        Raises:
            ConfigError: It is none, or there is no gate of such a name.
        """
        states: dict[str, bool] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, word = item.partition("=")
            state = _WORDS.get(word.strip())
            if state is None:
                raise ConfigError(f"feature gate {item!r}: write name=true or name=false")
            states[name.strip()] = state
        return cls(states)

    @property
    def states(self) -> Mapping[str, bool]:
        """All gates."""
        return dict(self._open)

    def enabled(self, name: str, /) -> bool:
        """Tell whether a gate is open.

        Raises:
            KeyError: There is none of that name.
        """
        return self._open[name]

    def switch(self, states: Mapping[str, bool], /) -> None:
        """Open and close gates from now on; names that there are none of are left out."""
        for name, state in states.items():
            if name in self._open and self._open[name] is not state:
                self._open[name] = state
                _log.info("feature gate %s is %s", name, "open" if state else "closed")
