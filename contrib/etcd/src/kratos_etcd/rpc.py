"""The calls of etcd's API that are used here, and what they tell when they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from kratos.errors import RegistryUnavailable
from kratos_etcd import etcd_pb2 as pb

__all__ = [
    "AUTHENTICATE",
    "GRANT",
    "KEEP_ALIVE",
    "PUT",
    "RANGE",
    "REVOKE",
    "UNREACHABLE",
    "WATCH",
    "EtcdUnavailable",
    "Rpc",
    "has_no_users",
    "has_old_token",
    "unavailable",
]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

UNREACHABLE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

_OLD_TOKEN: Final = ("invalid auth token", "revision of auth store is old")
_NO_USER: Final = "user name is empty"
_BAD_USER: Final = "authentication failed"
_TLS: Final = {  # what OpenSSL says, and what that means
    "CERTIFICATE_VERIFY_FAILED": "its certificate is of none of the authorities in ca=",
    "BAD_CERTIFICATE": "it asks for another client's certificate: see certificate= and key=",
    # The alert of TLS 1.3 about a client's certificate comes where gRPC expects data.
    "TSI_DATA_CORRUPTED": "it may ask for another client's certificate: see certificate= and key=",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "Handshake read failed": "it may not speak TLS",
    "Hostname Verification": "its certificate is for another host: see server_name of ClientTls",
}
_NO_AUTH: Final = "authentication is not enabled"


class EtcdUnavailable(RegistryUnavailable):
    """etcd did not answer, or refused what it was asked for; the text says which, and what to do.

    Attributes:
        code: The status of gRPC; ``None`` if there was none.
    """

    def __init__(self, message: str, *, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Q, R]):
    """A call of etcd's API."""

    path: str
    request: type[Q]
    reply: type[R]
    streams: bool = False


RANGE: Final = Rpc("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse)
PUT: Final = Rpc("/etcdserverpb.KV/Put", pb.PutRequest, pb.PutResponse)
GRANT: Final = Rpc("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
REVOKE: Final = Rpc(
    "/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse
)
KEEP_ALIVE: Final = Rpc(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    pb.LeaseKeepAliveRequest,
    pb.LeaseKeepAliveResponse,
    streams=True,
)
WATCH: Final = Rpc("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse, streams=True)
AUTHENTICATE: Final = Rpc(
    "/etcdserverpb.Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse
)


def unavailable(
    path: str, *, endpoint: str, user: str | None, code: grpc.StatusCode, details: str
) -> EtcdUnavailable:
    """Return the error that tells of a failed call."""
    call = path.rpartition("/")[2]
    who = "without a user" if user is None else f"for user {user!r}"
    if code in UNREACHABLE:
        means = next((f"{_TLS[words]}; " for words in _TLS if words in details), "")
        text = f"etcd at {endpoint} does not answer ({call}): {means}{details}"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        text = f"{endpoint} does not speak the API of etcd 3 ({path}): is it an etcd?"
    elif _BAD_USER in details:
        text = f"etcd at {endpoint} refuses user {user!r}: wrong name or password"
    elif _NO_USER in details:
        text = f"etcd at {endpoint} asks for a user: give username and password"
    elif code is grpc.StatusCode.PERMISSION_DENIED:
        text = f"etcd at {endpoint} does not permit {call} {who}: grant its role these keys"
    else:
        text = f"etcd at {endpoint} refuses {call} {who}: {code.name} {details}"
    return EtcdUnavailable(text, code=code)


def has_old_token(error: EtcdUnavailable) -> bool:
    """Tell whether to authenticate anew."""
    return any(text in str(error) for text in _OLD_TOKEN)


def has_no_users(error: EtcdUnavailable) -> bool:
    """Tell whether etcd was asked for a user and knows none, as authentication is off."""
    return _NO_AUTH in str(error)
