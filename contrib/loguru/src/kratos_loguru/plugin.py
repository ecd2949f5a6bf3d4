"""The plug-in ``loguru`` of the group ``kratos.log``."""

from __future__ import annotations

from typing import Final

import loguru

from kratos.log import Level, LineLogger
from kratos.log.line import Format
from kratos_loguru.logger import LoguruLogger
from kratos_loguru.sink import KratosSink, nothing, wanted

__all__ = ["logger"]

_DEFAULT: Final = 0  # the number of the sink to standard error that loguru begins with
_sink: Final = KratosSink(LineLogger(level=Level.DEBUG, format="json"))


def logger(*, format: Format = "auto") -> LoguruLogger:  # noqa: A002 - as LineLogger has it
    """Return what writes to loguru, with the sinks that the program has added.

    In place of the one that loguru begins with, if it is still there, records become the lines
    of ``LineLogger``: Kratos' own and all others of loguru; the levels of ``setup`` hold for them.

    Args:
        format: Of those lines; sinks of the program's own have their own.
    """
    try:
        loguru.logger.remove(_DEFAULT)
    except ValueError:
        pass  # the program has decided, or this did before
    else:
        loguru.logger.add(_sink, level=0, format=nothing, filter=wanted)
    _sink.logger = LineLogger(level=Level.DEBUG, format=format)
    return LoguruLogger()
