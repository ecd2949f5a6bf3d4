"""The calls of a client over gRPC-Web on one node."""

from __future__ import annotations

from typing import Any, Final

from kratos.transport import Call, Cause
from kratos.transport.http import WireHeaders
from kratos.transport.timeout import format_timeout
from kratos_grpc._codings import ACCEPTED, MINIMUM, Coding, compressed
from kratos_grpc._envelopes import COMPRESSED, PLAIN, envelope
from kratos_grpc._metadata import to_wire
from kratos_grpc.connect._client import ConnectConnection, only
from kratos_grpc.connect._formats import Format
from kratos_grpc.web._wire_stream import WebStream
from kratos_http.carrier import RawReply, Request, Transmission

__all__ = ["WebConnection"]

_WEB: Final = (b"x-grpc-web", b"1")


class WebConnection(ConnectConnection):
    """The connections to one node; see ``kratos.transport.Connection``."""

    async def _ask(self, call: Call, form: Format, request: Any) -> Any:
        """Carry a unary call: one body each way."""
        data, flags = form.write(request), PLAIN
        coding = self._coding(call)
        if coding is not None and len(data) >= MINIMUM:
            data, flags = await compressed(data, coding), COMPRESSED
        asked = self._stream_request(call, form, coding)
        call.path = asked.target.encode()
        body = envelope(data, flags)
        reply = await self._carrier.ask(asked, body, repeatable=call.method.idempotent)
        return await only(self._wire_stream(call, form, _Whole(reply), None))

    def _stream_request(self, call: Call, form: Format, coding: Coding | None) -> Request:
        headers = [*form.web_type, _WEB, (b"grpc-accept-encoding", ACCEPTED)]
        if coding is not None:
            headers.append((b"grpc-encoding", coding.name))
        left = call.remaining()
        if left is not None:
            if left <= 0:
                raise Cause.DEADLINE.error()
            headers.append((b"grpc-timeout", format_timeout(left).encode()))
        if len(call.headers):
            headers += to_wire(call.headers)
        return Request("POST", call.method.operation, headers)

    def _wire_stream(
        self, call: Call, form: Format, transmission: Transmission, coding: Coding | None
    ) -> WebStream:
        return WebStream(call, form, transmission, coding, self._terms.max_receive)


class _Whole:
    """A ``Transmission`` that is over: its answer has come."""

    __slots__ = ("_body", "_reply")

    def __init__(self, reply: RawReply) -> None:
        self._reply = reply
        self._body = reply.body

    @property
    def trailers(self) -> WireHeaders:
        return self._reply.trailers

    async def send(self, _data: bytes, /) -> bool:
        return False

    async def end(self) -> None:
        """Do nothing: the request has ended."""

    async def answer(self) -> tuple[int, WireHeaders]:
        return self._reply.status, self._reply.headers

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Do nothing: the answer has come."""
