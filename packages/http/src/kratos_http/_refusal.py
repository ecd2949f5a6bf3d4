"""Answers that an engine makes by itself, in the shape of every other error."""

from __future__ import annotations

import json
from typing import Final

from kratos.errors import Error
from kratos.transport.http import Reply

__all__ = ["JSON", "refusal"]

JSON: Final = ((b"content-type", b"application/json"),)


def refusal(error: Error, *, status: int | None = None) -> Reply:
    """Return the error as JSON; engines cannot know what else a peer would accept.

    Args:
        error: What to say.
        status: Where it differs from the error's code.
    """
    body = {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }
    return Reply(status or error.code, JSON, json.dumps(body, separators=(",", ":")).encode())
