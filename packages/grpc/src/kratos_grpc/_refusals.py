"""What gRPC refuses by itself, in its own words, as errors that name the option behind it.

The core ends such calls before any code of ours sees them, and without details. What it says is
no part of its interface: where the words are others, the error stays as it came.
"""

from __future__ import annotations

import re
from typing import Final

from kratos.errors import Error
from kratos.transport import Cause
from kratos_grpc._sizes import TOO_LARGE

__all__ = ["named"]

# The core: "SERVER: Received message larger than max (203 vs. 100)". grpc-go, in rpc_util.go and
# stream.go: "grpc: received message larger than max (203 vs. 100)", and "trying to send".
_SIZE: Final = re.compile(
    r"(CLIENT: Received|CLIENT: Sent|SERVER: Received|SERVER: Sent|grpc: received"
    r"|grpc: trying to send) message larger than max \((\d+) vs\. (\d+)\)"
)
_REQUEST, _REPLY = "request", "reply"
_WHOSE: Final = {
    "CLIENT: Received": (_REPLY, "this client takes: ClientLimits(max_receive=...) sets it"),
    "CLIENT: Sent": (_REQUEST, "this client sends: ClientLimits(max_send=...) sets it"),
    "SERVER: Received": (_REQUEST, "the server takes: max_receive=... sets it there"),
    "SERVER: Sent": (_REPLY, "the server sends: max_send=... sets it there"),
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
        text = f"the {what} of {size[2]} bytes exceeds {size[3]}, the most that {whose}"
        return Error(error.code, TOO_LARGE, text)
    if _INFLATED in error.message:
        text = (
            "a compressed message exceeds the most that its receiver takes, once inflated: "
            "max_receive of ServerLimits, for a request, or of ClientLimits sets it there"
        )
        return Error(error.code, TOO_LARGE, text)
    if _AGE in error.message:
        aged = Cause.AGED.error()
        return Error(error.code, aged.reason, aged.message)
    return error
