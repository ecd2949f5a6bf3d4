"""The tracer that an installed distribution brings."""

from __future__ import annotations

from typing import Final

from kratos._sole import Sole
from kratos.tracing._interface import Tracer
from kratos.tracing._passing import PassingTracer

__all__ = ["default_tracer"]

_PASSING: Final = PassingTracer()
_INSTALLED: Final[Sole[Tracer]] = Sole("kratos.tracing", what="tracer", does="start")


def default_tracer() -> Tracer:
    """Return the tracer of this process, which is the same each time.

    It is the one that the plug-in of the group ``kratos.tracing`` makes, when it is first asked
    for; a ``PassingTracer`` while none is installed. A plug-in is called without arguments.

    Raises:
        ConfigError: Several are installed, or the one that is makes no tracer.
        PluginConflict: Two distributions claim its name.
        PluginLoadError: Its code failed to import.
    """
    tracer = _INSTALLED.get()
    return _PASSING if tracer is None else tracer
