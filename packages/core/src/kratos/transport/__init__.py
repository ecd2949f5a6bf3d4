"""Transport: what a call is, and the seams between services, chains and engines."""

from kratos.transport.call import (
    Call,
    Handler,
    MessageHook,
    Side,
    detached,
    server_call,
)
from kratos.transport.caller import Caller, CallOptions, ChainCaller
from kratos.transport.cause import Cause
from kratos.transport.client_stream import WireStream, converse
from kratos.transport.connection import Connection, Connector
from kratos.transport.floor import BUDGET_TOO_SMALL
from kratos.transport.header import Header, RawHeaders
from kratos.transport.http_options import HttpEnvelope, HttpMultipart, HttpOptions
from kratos.transport.local import local
from kratos.transport.method import Arity, HttpRule, Method, Service
from kratos.transport.operation import Dispatcher, Missing, Operation
from kratos.transport.server import (
    AppInfo,
    Attending,
    Endpointer,
    Mount,
    Mountable,
    Readying,
    Server,
    Shareable,
)
from kratos.transport.stream import (
    Duplexed,
    EnoughSent,
    Incoming,
    Messages,
    Opening,
    Send,
    duplex,
    iterate,
)

__all__ = [
    "BUDGET_TOO_SMALL",
    "AppInfo",
    "Arity",
    "Attending",
    "Call",
    "CallOptions",
    "Caller",
    "Cause",
    "ChainCaller",
    "Connection",
    "Connector",
    "Dispatcher",
    "Duplexed",
    "Endpointer",
    "EnoughSent",
    "Handler",
    "Header",
    "HttpEnvelope",
    "HttpMultipart",
    "HttpOptions",
    "HttpRule",
    "Incoming",
    "MessageHook",
    "Messages",
    "Method",
    "Missing",
    "Mount",
    "Mountable",
    "Opening",
    "Operation",
    "RawHeaders",
    "Readying",
    "Send",
    "Server",
    "Service",
    "Shareable",
    "Side",
    "WireStream",
    "converse",
    "detached",
    "duplex",
    "iterate",
    "local",
    "server_call",
]
