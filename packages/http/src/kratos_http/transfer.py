"""Streams of raw bytes over plain HTTP: uploads in, downloads out, never held in memory."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import Any, Final

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos.transport import Call, HttpRule, Method, Operation
from kratos.transport.http import Head, Reply, Wire
from kratos_http._decoding import binding_of
from kratos_http._download import Download
from kratos_http._events import EVENT_STREAM
from kratos_http._form_data import Form
from kratos_http._idle import IdleWatch
from kratos_http._inbound import Asked, add_headers
from kratos_http._request_body import Upload, read_body
from kratos_http._selection import unsatisfied
from kratos_http._sending import send
from kratos_http._transfers import Part, Template, download_part, upload_part
from kratos_http._upload_messages import FormPieces, Pieces
from kratos_http.limits import Limits
from kratos_http.rest import RestOptions, bad_request, encoder
from kratos_http.sse import SseEndpoint
from kratos_http.streams import StreamOptions

__all__ = ["TransferEndpoint"]

_EVENTS: Final = EVENT_STREAM.decode()


class TransferEndpoint:
    """A ``Streamed`` endpoint: one rule of one method that streams ``google.api.HttpBody``.

    A stream of requests is the body of the request, cut into pieces as it comes; each has what
    the URL says, and an empty body is one piece, too. A stream of replies is the body of the
    answer. The handler waits where the peer is slow, and the peer where the handler is.

    An error before the first reply is an ordinary answer; a later one breaks the answer off, so
    that nobody takes it for whole. ``HEAD`` ends the handler at its first reply; see ``select`` for
    parts and conditions. Who accepts ``text/event-stream`` gets replies to one request as events,
    as from Go.

    Args:
        operation: What is called.
        rule: How it is reached.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: Shared by the server's endpoints.
        streams: Shared by the server's streams.
        limits: Of the request's body.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """

    __slots__ = (
        "_binding", "_download", "_encode", "_events", "_form", "_limits", "_method", "_operation",
        "_options", "_streams", "_template",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        rule: HttpRule,
        variables: tuple[str, ...],
        options: RestOptions,
        *,
        streams: StreamOptions,
        limits: Limits,
    ) -> None:
        method = self._method = operation.method
        self._operation = operation
        self._options = options
        self._streams = streams
        self._limits = limits
        self._download = download_part(method, rule)
        self._template: Template | None = None
        self._form: Form | None = None
        self._events: SseEndpoint | None = None
        upload = upload_part(method, rule)
        if upload is not None:
            self._template = Template(method, rule, variables, upload)
            self._form = _form(method, upload, options)
        else:
            self._binding = binding_of(method, rule, variables, options)
            self._events = SseEndpoint(
                operation, rule, variables, options, streams=streams, limits=limits
            )
        self._encode = options.reply_encoder or encoder(operation, rule, options)

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Call, and answer through the wire."""
        asked = Asked(head)
        if self._events is not None and _EVENTS in asked.accept.lower():
            await self._events.converse(head, wire)
            return
        download = None
        if self._download is not None:
            download = Download(head, wire, self._download, self._method.reply)
        sink = None if download is None else download.send
        call = asked.call(self._method, self._options.endpoint, sink)
        if download is not None:
            download.call = call
        try:
            reply = await self._reply(head, wire, asked, call, download)
            if reply is not None:
                add_headers(reply, call)
                with suppress(Error):  # the peer has gone, so there is nobody to tell
                    await send(wire, reply)
        finally:
            head.running = None

    async def _reply(
        self, head: Head, wire: Wire, asked: Asked, call: Call, download: Download | None
    ) -> Reply | None:
        """Run the call and return its answer; ``None`` if it was sent, or broken off."""
        try:
            result = await self._run(head, wire, asked, call)
            if download is None:
                return self._encode(call, result, asked.accept)
            await download.finish()
        except CodecError as error:
            return self._options.error_reply(bad_request(error), asked.accept)
        except Error as error:
            if download is None or not download.started:
                reply = self._options.error_reply(error, asked.accept)
                reply.headers = (*reply.headers, *unsatisfied(error))
                return reply
            download.cut()
        return None

    async def _run(self, head: Head, wire: Wire, asked: Asked, call: Call) -> Any:
        call.deadline = asked.deadline()
        if self._template is not None:
            upload = Upload(wire, head, limit=self._limits.max_upload, limits=self._limits)
            pieces = self._pieces(self._template, head, asked.content_type, upload)
            async with aclosing(pieces):
                return await self._call(head, call, pieces)
        body = await read_body(wire, head, self._limits)
        return await self._call(head, call, self._binding.request(head, asked.content_type, body))

    async def _call(self, head: Head, call: Call, request: Any) -> Any:
        head.running = call  # to its last byte: an engine would cancel the task instead
        with IdleWatch(call, self._streams.idle_timeout):
            return await self._operation.run(call, request)

    def _pieces(
        self, template: Template, head: Head, content_type: str, upload: Upload
    ) -> Pieces | FormPieces:
        if self._form is None:
            return Pieces(template, head, content_type, upload)
        limit = self._options.max_body
        return FormPieces(template, head, content_type, upload, form=self._form, limit=limit)


def _form(method: Method[Any, Any], part: Part, options: RestOptions) -> Form | None:
    """Return how the form is read that an upload is, ``None`` if it is none."""
    asked = method.http_options.multipart if method.http_options is not None else None
    if asked is None or part.name == "*":
        return None
    return Form(method.request.DESCRIPTOR, options.codecs, options.forms, filename=asked.filename)
