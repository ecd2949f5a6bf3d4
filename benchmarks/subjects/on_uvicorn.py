"""Uvicorn with the fastest that it offers: httptools and uvloop, and no log of accesses."""

from __future__ import annotations

import sys
from typing import Any, Literal

import uvicorn

__all__ = ["serve"]


def serve(app: Any, *, lifespan: Literal["on", "off"] = "off") -> None:
    """Serve an ASGI application on ``HOST:PORT``, the program's argument."""
    host, _, port = sys.argv[1].rpartition(":")
    uvicorn.run(
        app,
        host=host,
        port=int(port),
        http="httptools",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        lifespan=lifespan,
    )
