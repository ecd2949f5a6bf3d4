"""The requests that a body becomes while it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from google.protobuf.message import Message

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos.transport.http import Head
from kratos_http._form_data import Form, FormValues
from kratos_http._multipart import Event, MultipartParser, Part, is_form_data
from kratos_http._request_body import Upload
from kratos_http._transfers import Template
from kratos_http.rest import bad_request

__all__ = ["FormPieces", "Pieces"]


class Pieces(AsyncIterator[Message]):
    """The requests of an upload: each has a piece of the body, and what the URL says.

    An empty body is one request, too.

    Args:
        template: Makes requests.
        head: Of the HTTP request.
        content_type: Of the body.
        upload: Where it comes.

    Raises:
        CodecError: The URL does not parse; names the field.
    """

    __slots__ = ("_any", "_base", "_content_type", "_ended", "_template", "_upload")

    def __init__(self, template: Template, head: Head, content_type: str, upload: Upload) -> None:
        self._base = template.message(head)
        self._template = template
        self._content_type = content_type
        self._upload = upload
        self._any = False
        self._ended = False

    async def __anext__(self) -> Message:
        if self._ended:
            raise StopAsyncIteration
        piece = await self._upload.read()
        self._ended = not piece
        if self._ended and self._any:
            raise StopAsyncIteration
        self._any = True
        return self._template.filled(self._base, self._content_type, piece)

    async def aclose(self) -> None:
        """Do nothing: the rest is the engine's."""


class FormPieces(AsyncIterator[Message]):
    """The requests of an upload that is a form: each has a piece of its file.

    All fields that came before the file are in each of them; if any come after it, one more
    request has all fields. A form without the file is one request.

    Args:
        template: Makes requests.
        head: Of the HTTP request.
        content_type: Of the body.
        upload: Where it comes.
        form: How its other parts are read.
        limit: Bytes of these.

    Raises:
        CodecError: The URL does not parse, or there is no boundary.
        Error: 400: the body is no form.
    """

    __slots__ = (
        "_file", "_form", "_head", "_parser", "_requests", "_template", "_upload", "_values",
    )  # fmt: skip

    def __init__(
        self,
        template: Template,
        head: Head,
        content_type: str,
        upload: Upload,
        *,
        form: Form,
        limit: int,
    ) -> None:
        if not is_form_data(content_type):
            raise Error(400, "CODEC", f"a form is wanted, not {content_type or 'nothing'}")
        template.message(head)  # what the URL says has to be right before the handler is called
        self._template = template
        self._head = head
        self._upload = upload
        self._form = form
        self._parser = MultipartParser(content_type, form.limits)
        self._values = FormValues(form, limit=limit)
        self._file: Part | None = None
        self._requests = self._read()

    async def __anext__(self) -> Message:
        try:
            return await self._requests.__anext__()
        except CodecError as error:
            raise bad_request(error) from error

    async def aclose(self) -> None:
        """Read no more."""
        await self._requests.aclose()

    async def _read(self) -> AsyncGenerator[Message]:
        """Yield the requests; parts come one after the other."""
        base: Message | None = None  # while the file is read
        told = late = False  # whether a request was yielded, and whether fields came after it
        async with aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Part):
                    if base is not None and not told:
                        yield self._template.filled(base, self._kind, b"")
                        told = True
                    base = self._open(event) if self._is_file(event) else None
                    if base is None:
                        late = self._file is not None
                        self._values.begin(event)
                elif base is None:
                    self._values.add(event)
                else:
                    told = True
                    yield self._template.filled(base, self._kind, event)
        self._values.end()
        if late or not told:
            message = self._template.message(self._head, self._values)
            yield self._template.filled(message, self._kind, b"")

    async def _events(self) -> AsyncGenerator[Event]:
        while piece := await self._upload.read():
            for event in self._parser.feed(piece):
                yield event
        self._parser.finish()

    @property
    def _kind(self) -> str:
        return self._file.content_type if self._file is not None else ""

    def _is_file(self, part: Part) -> bool:
        place = self._form.place(part.name)
        return place is not None and place.path == self._template.part.name

    def _open(self, part: Part) -> Message:
        """Note the head of the file and return what its requests have in common."""
        if self._file is not None:
            raise CodecError(f"too many files for field {part.name!r}", part.name)
        self._values.end()
        self._file = part
        self._values.name(part)
        return self._template.message(self._head, self._values)
