"""What gRPC refuses by itself, in its own words, as errors that name the option behind it.

The core ends such calls before any code of ours sees them, and without details. What it says is
no part of its interface: where the words are others, the error stays as it came.
"""

from __future__ import annotations

import re
from typing import Final

from kratos.errors import Error
from kratos.transport import Cause
from kratos_grpc._sizes import (
    CLIENT_SENDS,
    CLIENT_TAKES,
    SERVER_SENDS,
    SERVER_TAKES,
    TOO_LARGE,
    told,
)

__all__ = ["named"]

# The core: "SERVER: Received message larger than max (203 vs. 100)". grpc-go, in rpc_util.go and
# stream.go: "grpc: received message larger than max (203 vs. 100)", and "trying to send".
_SIZE: Final = re.compile(
    r"(CLIENT: Received|CLIENT: Sent|SERVER: Received|SERVER: Sent|grpc: received"
    r"|grpc: trying to send) message larger than max \((\d+) vs\. (\d+)\)"
)
_REQUEST, _REPLY = "the request", "the reply"
_WHOSE: Final = {
    "CLIENT: Received": (_REPLY, CLIENT_TAKES),
    "CLIENT: Sent": (_REQUEST, CLIENT_SENDS),
    "SERVER: Received": (_REQUEST, SERVER_TAKES),
    "SERVER: Sent": (_REPLY, SERVER_SENDS),
    "grpc: received": (_REQUEST, "the server takes: grpc.MaxRecvMsgSize sets it there"),
    "grpc: trying to send": (_REPLY, "the server sends: grpc.MaxSendMsgSize sets it there"),
}

# The core since 1.84, whichever end says it.
_INFLATED: Final = "Decompressed message larger than max"

_AGE: Final = "max connection age"


def named(error: Error) -> Error:
    """Return the error for a status without details, with a reason where the text tells one."""
    size = _SIZE.search(error.message)
    if size is not None:
        what, whose = _WHOSE[size[1]]
        return Error(error.code, TOO_LARGE, told(what, int(size[2]), int(size[3]), whose))
    if _INFLATED in error.message:
        text = (
            "a compressed message exceeds the most that its receiver takes, once inflated: "
            "its max_receive sets it"
        )
        return Error(error.code, TOO_LARGE, text)
    if _AGE in error.message:
        aged = Cause.AGED.error()
        return Error(error.code, aged.reason, aged.message)
    return error
