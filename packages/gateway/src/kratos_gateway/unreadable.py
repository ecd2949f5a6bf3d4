"""Clients of TLS that ask for a name (SNI) that is no text.

Where there are several certificates, Python reads the name before any code of ours is asked. What
cannot be read ends its handshake, and Python writes several lines to standard error: anybody could
fill the log.
"""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["unreadable_names"]

_log = logging.getLogger("kratos.gateway")


@asynccontextmanager
async def unreadable_names() -> AsyncGenerator[None]:
    """Log such names at the level of debugging, in place of what Python writes.

    This is ``sys.unraisablehook``, which the process has once: for those that are a gateway's own.
    The hook before gets everything else, and is there again afterwards, unless somebody has set
    another one meanwhile.
    """
    before = sys.unraisablehook

    def hook(told: UnraisableHookArgs, /) -> None:
        error = told.exc_value
        if isinstance(error, UnicodeDecodeError) and _is_of_ssl(told.exc_traceback):
            _log.debug("a client of TLS asks for %r, which is no name", error.object)
        else:
            before(told)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before


def _is_of_ssl(trace: TracebackType | None) -> bool:
    """Tell whether Python was in the module ``ssl`` itself: what calls it has frames below."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == ssl.__name__
