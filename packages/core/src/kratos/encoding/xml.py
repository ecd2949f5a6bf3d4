"""Codec ``xml``: elements named as Go names its struct fields, so that Go peers can read them.

``<HelloRequest><Name>k</Name></HelloRequest>``: lists repeat their element, messages nest,
enums are numbers. What Go cannot express at all has a form here: maps repeat their element
with an attribute ``key``, bytes are base64, well-known types are their protobuf JSON. Reading
also takes JSON and proto names of fields, names of enum values, and well-known types as Go
writes them, with an element for each field. Document types, and with
them entities, are refused.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._codec import CodecError, M
from kratos.encoding._json_options import JsonOptions
from kratos.encoding.json import JsonCodec, codec_error
from kratos_protojson import JsonError
from kratos_protojson import descriptors as f
from kratos_protojson.text import dump_text, load_text

__all__ = ["XML", "XmlCodec"]

_JSON: Final = JsonCodec(options=JsonOptions(emit_unset=False, enum_numbers=True))
_UNSPEAKABLE: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]")
_WORD: Final = re.compile(r"(^_?|_|(?<=[0-9]))([a-z])")
_JSON_TYPES: Final = frozenset({f.STRUCT, f.VALUE, f.LIST_VALUE, "google.protobuf.Any"})
_TEXT_TYPES: Final = frozenset({f.TIMESTAMP, f.DURATION, f.FIELD_MASK})
_NUMBER: Final = re.compile(r"-?[0-9]{1,10}")
_GO_FLOATS: Final = {"+Inf": "Infinity", "-Inf": "-Infinity"}
_BOOLS: Final = {"true": True, "1": True, "false": False, "0": False}


class _Element:
    __slots__ = ("children", "depth", "key", "name", "text")

    def __init__(self, name: str, *, key: str | None, depth: int) -> None:
        self.name = name
        self.key = key
        self.depth = depth
        self.text: list[str] = []
        self.children: list[_Element] = []


class XmlCodec:
    """Messages as XML."""

    __slots__ = ("_name",)

    def __init__(self, *, name: str = "xml") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return the populated fields under an element of the message's name.

        Raises:
            CodecError: A text holds characters that XML cannot carry.
        """
        out: list[str] = []
        kind = cast("Descriptor", message.DESCRIPTOR)
        _write(kind.name, None, kind, _JSON.to_value(message), out)
        text = "".join(out)
        found = _UNSPEAKABLE.search(text)
        if found is not None:
            raise CodecError(f"XML cannot carry the character {found[0]!r}")
        return text.encode()

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; the name of the outermost element does not matter.

        Raises:
            CodecError: The data is no XML, or does not fit the message type.
        """
        if not data:
            return message_type()
        value = _read(cast("Descriptor", message_type.DESCRIPTOR), _parse(data))
        return _JSON.from_value(value, message_type)


XML: Final = XmlCodec()


def _write(tag: str, key: str | None, kind: Descriptor | None, value: Any, out: list[str]) -> None:
    """Append one element; ``kind`` is the type of a message, ``None`` for a scalar."""
    out.append(f"<{tag}>" if key is None else f"<{tag} key={quoteattr(key)}>")
    if kind is not None and kind.full_name in _JSON_TYPES:
        out.append(_escape(dump_text(value).decode()))
    elif kind is not None and type(value) is dict:
        for one in kind.fields:
            if one.json_name in value:
                _write_field(one, value[one.json_name], out)
    elif value is not None:
        out.append(_escape(value if isinstance(value, str) else dump_text(value).decode()))
    out.append(f"</{tag}>")


def _write_field(one: FieldDescriptor, value: Any, out: list[str]) -> None:
    tag = _go_name(one.name)
    if f.is_map(one):
        kind = f.map_fields(one)[1].message_type
        for key, item in value.items():
            _write(tag, key, kind, item, out)
    else:
        for item in value if one.is_repeated else (value,):
            _write(tag, None, one.message_type, item, out)


def _read(kind: Descriptor, element: _Element) -> Any:
    """Return the JSON value of a message."""
    text = "".join(element.text)
    name = kind.full_name
    if name in _TEXT_TYPES and not element.children:
        return text.strip()
    if name in f.WRAPPERS and not element.children:
        return _read_scalar(kind.fields_by_name["value"], text)
    if name in _JSON_TYPES:
        try:
            return load_text(text)
        except JsonError as error:
            raise codec_error(error) from None
    members: dict[str, Any] = {}
    names = _NAMES(kind)
    for child in element.children:
        one = names.get(child.name)
        if one is not None:
            _read_field(one, child, members)
    return members


def _read_field(one: FieldDescriptor, child: _Element, members: dict[str, Any]) -> None:
    if f.is_map(one):
        entries = members.setdefault(one.json_name, {})
        if child.key is None or child.key in entries:
            problem = "has no key" if child.key is None else "is there twice"
            raise CodecError(f"an entry of {child.name} {problem}", one.name)
        entries[child.key] = _read_value(f.map_fields(one)[1], child)
    elif one.is_repeated:
        members.setdefault(one.json_name, []).append(_read_value(one, child))
    elif one.json_name in members:
        raise CodecError(f"{child.name} is given twice", one.name)
    else:
        members[one.json_name] = _read_value(one, child)


def _read_value(one: FieldDescriptor, element: _Element) -> Any:
    kind = one.message_type
    return _read_scalar(one, "".join(element.text)) if kind is None else _read(kind, element)


def _read_scalar(one: FieldDescriptor, text: str) -> Any:
    if one.type == FieldDescriptor.TYPE_STRING:
        return text
    text = text.strip()
    if one.type == FieldDescriptor.TYPE_BOOL:
        return _BOOLS.get(text, text)
    if one.type in f.FLOATS:
        return _GO_FLOATS.get(text, text)
    if one.enum_type is not None:
        if not text and f.is_null_value(one):
            return None
        return int(text) if _NUMBER.fullmatch(text) else text
    return text


def _names(kind: Descriptor) -> dict[str, FieldDescriptor]:
    names: dict[str, FieldDescriptor] = {}
    for spelling in (_go_name, _same):
        for one in kind.fields:
            names.setdefault(spelling(one.name), one)
    for one in kind.fields:
        names.setdefault(one.json_name, one)
    return names


def _go_name(name: str) -> str:
    """Return the name of a field in Go (Go: ``internal/strs.GoCamelCase``)."""
    return _WORD.sub(
        lambda found: ("X" if found[1] and not found.start() else "") + found[2].upper(), name
    )


def _same(name: str) -> str:
    return name


def _escape(text: str) -> str:
    return escape(text, {"\r": "&#13;"})  # else it would be read as a line feed


def _parse(data: bytes) -> _Element:
    root = _Element("", key=None, depth=0)
    open_elements = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        parent = open_elements[-1]
        if parent.depth > f.MAX_DEPTH:
            raise CodecError(f"nested deeper than {f.MAX_DEPTH} elements")
        child = _Element(name.rpartition(":")[2], key=attributes.get("key"), depth=parent.depth + 1)
        parent.children.append(child)
        open_elements.append(child)

    def end(_name: str) -> None:
        open_elements.pop()

    def text(piece: str) -> None:
        open_elements[-1].text.append(piece)

    def doctype(*_: object) -> None:
        raise CodecError("document types are refused")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code)
        raise CodecError(f"line {error.lineno}, column {error.offset + 1}: {problem}") from None
    except (ValueError, LookupError) as error:
        raise error if isinstance(error, CodecError) else CodecError(f"no XML: {error}") from None
    return root.children[0]


_NAMES: Final = f.PlanCache(_names)
