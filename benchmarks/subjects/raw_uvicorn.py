"""The floor of uvicorn: an ASGI function with a ready answer."""

from __future__ import annotations

from benchmarks.subjects.on_uvicorn import serve
from benchmarks.subjects.ready_answer import asgi

if __name__ == "__main__":
    serve(asgi)
