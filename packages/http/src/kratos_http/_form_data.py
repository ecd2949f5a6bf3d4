"""Forms with files into messages: texts by the rules of forms, files as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding import Codec, CodecError, Codecs, FieldCodec
from kratos.encoding.form import bind
from kratos.encoding.http_body import is_http_body
from kratos.errors import Error
from kratos_http._multipart import FormLimits, MultipartParser, Part
from kratos_http._pieces import add_piece
from kratos_protojson.descriptors import is_map

__all__ = ["Form", "FormValues"]

_MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A field within a message.

    Attributes:
        parents: Names of the messages on the way.
        field: The field.
    """

    parents: tuple[str, ...]
    field: FieldDescriptor

    @property
    def path(self) -> str:
        """Names from the message to the field."""
        return ".".join((*self.parents, self.field.name))

    def owner(self, message: Any) -> Any:
        """Return the message that has the field."""
        for name in self.parents:
            message = getattr(message, name)
        return message


class Form:
    """How forms become messages of one type.

    A part is a file if it has a file name, or a content type that is not ``text/plain``. Files go
    raw into fields of bytes, ``google.api.HttpBody`` and strings; one in the content type of a
    codec is decoded into its field. Several parts of one name fill a list. Parts that no field
    is called like are ignored.

    Args:
        descriptor: Of the messages.
        codecs: For parts with a content type of their own.
        limits: What a form may hold.
        filename: Field that gets the name of the file, empty for none.
    """

    __slots__ = ("_codecs", "_descriptor", "_filename", "limits")

    def __init__(
        self, descriptor: Descriptor, codecs: Codecs, limits: FormLimits, *, filename: str = ""
    ) -> None:
        self._descriptor = descriptor
        self._codecs = codecs
        self._filename = filename
        self.limits = limits

    def read(self, content_type: str, body: bytes, message: Message) -> None:
        """Put a whole form into a message.

        Raises:
            CodecError: It is malformed, or a part does not fit its field; names it.
            Error: 413: it has too many parts, or one with too large a head.
        """
        values = FormValues(self, limit=len(body))
        parser = MultipartParser(content_type, self.limits)
        for event in parser.feed(body):
            if isinstance(event, bytes):
                values.add(event)
            else:
                values.begin(event)
        parser.finish()
        values.end()
        values.fill(message)

    def place(self, name: str) -> _Place | None:
        """Return the field that a part is called like, by proto or JSON names and dots.

        ``list[]`` and ``list[0]`` are the list, as in forms.
        """
        path, bracket, index = name.partition("[")
        if bracket and not index.endswith("]"):
            return None
        *parents, last = path.split(".")
        if len(parents) > _MAX_DEPTH:
            return None
        descriptor = self._descriptor
        above: list[str] = []
        for parent in parents:
            field = _field(descriptor, parent)
            if field is None or field.message_type is None or field.is_repeated:
                return None
            above.append(field.name)
            descriptor = field.message_type
        field = _field(descriptor, last)
        if field is None or (bracket and (not field.is_repeated or is_map(field))):
            return None
        return _Place(parents=tuple(above), field=field)

    def put(self, message: Message, place: _Place, part: Part, data: bytes) -> None:
        """Put a file into its field.

        Raises:
            CodecError: It does not fit; names the part.
        """
        field, owner = place.field, place.owner(message)
        self.put_name(message, part)
        if is_http_body(field.message_type):
            held = getattr(owner, field.name)
            body = held.add() if field.is_repeated else held
            body.content_type, body.data = part.content_type, data
        elif field.type == FieldDescriptor.TYPE_BYTES:
            _assign(owner, field, data)
        else:
            codec = self._codecs.find(part.content_type) if part.content_type else None
            if codec is not None:
                _decode(codec, owner, field, part, data)
            elif field.type == FieldDescriptor.TYPE_STRING:
                _assign(owner, field, _text(part, data))
            else:
                problem = f"part {part.name!r} is a file, and its field takes none"
                raise CodecError(f"{problem}; send it as text", part.name)

    def put_name(self, message: Message, part: Part) -> None:
        """Put the name of a file into the field that is for it."""
        if self._filename and part.filename:
            setattr(message, self._filename, part.filename)

    def is_file(self, part: Part, place: _Place) -> bool:
        """Tell whether a part is taken as it is."""
        return part.is_file or is_http_body(place.field.message_type)


class FormValues:
    """The parts of one form, as they come.

    Args:
        form: What they are for.
        limit: Bytes of all that is kept.
    """

    __slots__ = (
        "_files", "_form", "_left", "_limit", "_named", "_part", "_pieces", "_place", "_texts",
    )  # fmt: skip

    def __init__(self, form: Form, *, limit: int) -> None:
        self._form = form
        self._left = self._limit = limit
        self._part: Part | None = None
        self._place: _Place | None = None
        self._pieces: list[bytes | bytearray] = []
        self._texts: list[tuple[str, str]] = []
        self._files: list[tuple[_Place, Part, bytes]] = []
        self._named: Part | None = None

    def begin(self, part: Part) -> None:
        """Take the head of a part.

        Raises:
            CodecError: The part before does not fit its field; names it.
        """
        self.end()
        self._part = part
        self._place = self._form.place(part.name)

    def add(self, data: bytes) -> None:
        """Take a piece of the part.

        Raises:
            Error: 413: more would be kept than may be.
        """
        self._left -= len(data)
        if self._left < 0:
            raise Error(413, "BODY_TOO_LARGE", f"the form's fields exceed {self._limit} bytes")
        if self._part is not None and (self._place is not None or not self._part.is_file):
            add_piece(self._pieces, data)

    def end(self) -> None:
        """Take the end of the part, if there is one.

        Raises:
            CodecError: It is no UTF-8, or its field was filled already; names it.
        """
        part, place = self._part, self._place
        self._part = None
        if part is None:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        if place is None and part.is_file:
            return
        if place is not None and self._form.is_file(part, place):
            taken = {one.path for one, _, _ in self._files}
            if not place.field.is_repeated and place.path in taken:
                raise CodecError(f"too many values for field {part.name!r}", part.name)
            self._files.append((place, part, data))
        else:
            self._texts.append((part.name, _text(part, data)))

    def name(self, part: Part) -> None:
        """Keep the name of a file that is read elsewhere."""
        self._named = part

    def fill(self, message: Message) -> None:
        """Put all parts that have come into a message.

        Raises:
            CodecError: One does not fit its field; names it.
        """
        bind(message, self._texts)
        for place, part, data in self._files:
            self._form.put(message, place, part, data)
        if self._named is not None:
            self._form.put_name(message, self._named)


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    field = descriptor.fields_by_name.get(name)
    if field is None:
        field = next((one for one in descriptor.fields if one.json_name == name), None)
    return field


def _text(part: Part, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        problem = f"part {part.name!r} is not UTF-8 at byte {error.start}"
        raise CodecError(problem, part.name) from None


def _assign(owner: Any, field: FieldDescriptor, value: bytes | str) -> None:
    if field.is_repeated:
        getattr(owner, field.name).append(value)
    else:
        setattr(owner, field.name, value)


def _decode(codec: Codec, owner: Any, field: FieldDescriptor, part: Part, data: bytes) -> None:
    """Read a part in a format of its own: an element of a list, or in JSON all of it."""
    is_list = field.is_repeated and data.lstrip()[:1] == b"[" and isinstance(codec, FieldCodec)
    try:
        if field.message_type is None or is_map(field) or is_list:
            _decode_field(codec, owner, field, data)
            return
        held = getattr(owner, field.name)
        target = held.add() if field.is_repeated else held
        target.MergeFrom(codec.decode(data, cast("type[Message]", type(target))))
        target.SetInParent()
    except CodecError as error:
        raise CodecError(f"part {part.name!r}: {error.message}", part.name) from error


def _decode_field(codec: Codec, owner: Any, field: FieldDescriptor, data: bytes) -> None:
    if not isinstance(codec, FieldCodec):
        raise CodecError(f"codec {codec.name!r} cannot carry it by itself")
    read = type(owner)()
    codec.decode_field(data, read, field.name)
    owner.MergeFrom(read)
