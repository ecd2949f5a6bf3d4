"""Clients of HTTP, ours and those of other packages, in CPU microseconds per request."""

from benchmarks.client.run import against

__all__ = ["against"]
