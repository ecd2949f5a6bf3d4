"""What Connect's conformance tests run for, and the cases that do not, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CLIENTS", "SERVERS", "Known", "Plan"]


@dataclass(frozen=True)
class Known:
    """Cases that fail.

    Attributes:
        pattern: Their names: ``*`` for a part, ``**`` for any number of them.
        says: Expressions, one of which each line matches that the runner says of them.
        reason: Why that is right, or cannot be helped.
        always: Whether they always do.
    """

    pattern: str
    says: Sequence[str]
    reason: str
    always: bool = True


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        name: Of the test.
        side: Which program is judged: ``server`` or ``client``.
        engine: What it runs on.
        features: What it can do, in the runner's terms.
        least: How many cases there are at least, or the runner was told wrong.
        excluded: What it cannot do of all that ``features`` imply, with the reason.
        known: Cases that fail.
        skipped: Cases that are not run, because they would make others fail, with the reason.
    """

    name: str
    side: str
    engine: str
    features: dict[str, Any]
    least: int
    excluded: Sequence[tuple[dict[str, Any], str]] = ()
    known: Sequence[Known] = ()
    skipped: Sequence[tuple[str, str]] = ()

    @property
    def configuration(self) -> dict[str, Any]:
        """What the runner reads."""
        return {"features": self.features, "exclude_cases": [case for case, _ in self.excluded]}


_INFO: Final = (
    "errors that the server itself makes tell their reason in a google.rpc.ErrorInfo, as all of "
    "ours do: clients go by it, and do not try again what was MESSAGE_TOO_LARGE, for one; the "
    "runner wants errors without details there"
)
_ONE_DETAIL: Final = "actual error contain 1 details; expecting 0"
_DEBUG: Final = (
    r"connect error JSON: details\[0\]: could not check debug data because message type "
    r'"google\.rpc\.ErrorInfo" could not be resolved: proto: not found'
)
_NO_ERROR: Final = (
    "expecting an error but received none",
    "expecting 0 response messages but instead got 1",
)


def _info(*patterns: str) -> list[Known]:
    return [Known(pattern, (_ONE_DETAIL, _DEBUG), _INFO) for pattern in patterns]


_SERVER: Final = (
    *_info(
        "Basic/**/unimplemented",
        "Server Message Size/**/request-exceeds-server-limit",
        "Server Message Size/**/first-request-exceeds-server-limit",
        "Server Message Size/**/subsequent-request-exceeds-server-limit",
        "**/client-stream/incomplete-message",
        "**/client-stream/incomplete-message-prefix",
        "**/server-stream/multiple-requests",
        "**/server-stream/no-request",
        "**/unary/multiple-requests",
        "**/unary/no-request",
        "**/unexpected-compressed-message",
        "**/unexpected-compression",
        "gRPC-Web Unexpected Requests/**/unexpected-uri",
    ),
    Known("Timeouts/**", (_ONE_DETAIL, _DEBUG), f"{_INFO}, if it is not late itself", always=False),
)

# What no plan names: HTTP/3, which the server does not speak; and br, zstd and snappy, which
# neither gRPC nor Connect of ours has as codings of messages.
_CODINGS: Final = ("COMPRESSION_IDENTITY", "COMPRESSION_GZIP", "COMPRESSION_DEFLATE")

_CORE_TAKES: Final = "gRPC's core takes it for the end of the requests, or passes over it"

_GRPCIO: Final = (
    Known("Timeouts/**", (_ONE_DETAIL,), f"{_INFO}, if it is not late itself", always=False),
    Known("Basic/**/unimplemented", (_ONE_DETAIL,), _INFO),
    Known("gRPC Unexpected Requests/**/unexpected-uri", (_ONE_DETAIL,), _INFO),
    *(
        Known(f"gRPC Unexpected Requests/**/{case}", _NO_ERROR, _CORE_TAKES)
        for case in (
            "client-stream/incomplete-message",
            "client-stream/incomplete-message-prefix",
            "server-stream/multiple-requests",
            "unary/multiple-requests",
            "unexpected-codec",
        )
    ),
    *(
        Known(
            f"gRPC Unexpected Requests/**/{case}/no-request",
            (
                _ONE_DETAIL,
                r'actual error {code: 3 .*, message: "the call ended without a request"} .*',
            ),
            "the core does not tell it from a client that went away, and the status is ours",
        )
        for case in ("unary", "server-stream")
    ),
    Known(
        "Unexpected Requests/**/unexpected-content-type",
        ("actual error .*INTERNAL_ERROR; received from peer.*",),
        "the core resets the stream, where gRPC has HTTP's 415",
    ),
)

_GATEWAY: Final = (
    *_SERVER,
    *_info("gRPC Unexpected Requests/**/unexpected-uri"),
    Known(
        "Connect Unexpected Requests/**/unexpected-uri",
        (_ONE_DETAIL, "actual HTTP status code does not match: wanted 404; got 501"),
        "to a server of gRPC, which is asked, a method that there is not is one like any other",
    ),
)

SERVERS: Final[tuple[Plan, ...]] = (
    Plan(
        name="server-http1-kratos",
        side="server",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_1"],
            "protocols": ["PROTOCOL_GRPC_WEB", "PROTOCOL_CONNECT"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
            "supports_half_duplex_bidi_over_http1": True,
        },
        least=2060,
        known=_SERVER,
    ),
    Plan(
        name="server-http2-kratos",
        side="server",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_2"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
        },
        least=3494,
        known=(*_SERVER, *_info("gRPC Unexpected Requests/**/unexpected-uri")),
    ),
    Plan(
        name="server-gateway",
        side="server",
        engine="gateway",
        features={
            "versions": ["HTTP_VERSION_1", "HTTP_VERSION_2"],
            "protocols": ["PROTOCOL_CONNECT", "PROTOCOL_GRPC", "PROTOCOL_GRPC_WEB"],
            "compressions": _CODINGS,
            "supports_tls": False,
            "supports_half_duplex_bidi_over_http1": True,
        },
        least=2852,
        known=_GATEWAY,
    ),
    Plan(
        name="server-http2-grpcio",
        side="server",
        engine="grpcio",
        features={
            "versions": ["HTTP_VERSION_2"],
            "protocols": ["PROTOCOL_GRPC"],
            "codecs": ["CODEC_PROTO"],  # to others it answers as if it were proto
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
        },
        least=700,
        known=_GRPCIO,
        skipped=(
            (
                "**/unexpected-compression",
                "a coding that it does not know ends all later calls on the connection, too",
            ),
        ),
    ),
)

# What no plan of clients names: JSON over gRPC, which servers take and no client of ours sends; and
# gRPC-Web, which is for browsers.
CLIENTS: Final[tuple[Plan, ...]] = (
    Plan(
        name="client-connect-http1",
        side="client",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_1"],
            "protocols": ["PROTOCOL_CONNECT"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
            "supports_half_duplex_bidi_over_http1": True,
        },
        least=1234,
    ),
    Plan(
        name="client-connect-http2",
        side="client",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_2"],
            "protocols": ["PROTOCOL_CONNECT"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
        },
        least=1366,
    ),
    Plan(
        name="client-web-http1",
        side="client",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_1"],
            "protocols": ["PROTOCOL_GRPC_WEB"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
            "supports_half_duplex_bidi_over_http1": True,
        },
        least=1350,
    ),
    Plan(
        name="client-web-http2",
        side="client",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_2"],
            "protocols": ["PROTOCOL_GRPC_WEB"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
        },
        least=1504,
    ),
    Plan(
        name="client-grpc-kratos",
        side="client",
        engine="kratos",
        features={
            "versions": ["HTTP_VERSION_2"],
            "protocols": ["PROTOCOL_GRPC"],
            "codecs": ["CODEC_PROTO"],
            "compressions": _CODINGS,
            "supports_tls_client_certs": True,
        },
        least=857,
    ),
)
