"""The meter that an installed distribution brings."""

from __future__ import annotations

from typing import Final

from kratos._sole import Sole
from kratos.metrics._interface import Meter
from kratos.metrics._nop import NopMeter

__all__ = ["default_meter"]

_NOP: Final = NopMeter()
_INSTALLED: Final[Sole[Meter]] = Sole("kratos.metrics", what="meter", does="counter")


def default_meter() -> Meter:
    """Return the meter of this process, which is the same each time.

    It is the one that the plug-in of the group ``kratos.metrics`` makes, when it is first asked
    for; ``NopMeter``, which drops everything, while none is installed. A plug-in is called without
    arguments, and starts nothing: no thread, no socket.

    Raises:
        ConfigError: Several are installed, or the one that is makes no meter.
        PluginConflict: Two distributions claim its name.
        PluginLoadError: Its code failed to import.
    """
    meter = _INSTALLED.get()
    return _NOP if meter is None else meter
