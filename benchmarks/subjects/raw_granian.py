"""The floor of granian, one worker: ``raw_granian HOST:PORT asgi|rsgi``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    constants: Any = import_module("granian.constants")
    server: Any = import_module("granian.server")
    interface = sys.argv[2]
    server.Server(
        f"benchmarks.subjects.ready_answer:{interface}",
        address=host,
        port=int(port),
        interface=constants.Interfaces(interface),
        loop=constants.Loops.uvloop,
        log_enabled=False,
    ).serve()
