"""How fields are written and read, each in the way of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from google.protobuf.descriptor import FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from kratos_msgpack import reading, writing
from kratos_msgpack.reading import BadData, Reader
from kratos_msgpack.writing import NIL, Out
from kratos_protojson.descriptors import is_map, map_fields
from kratos_protojson.scalars import show

__all__ = ["Member", "MessagePlan", "choice_of", "member_of"]

WriteFrom: TypeAlias = Callable[[Out, Message, int], None]
ReadInto: TypeAlias = Callable[[Reader, Message, int], None]
WriteValue: TypeAlias = Callable[[Out, Any, int], None]


class MessagePlan(Protocol):
    """How messages of one type are written and read."""

    def write(self, out: Out, message: Message, depth: int) -> None:
        """Append a message that is so deep in others."""
        ...

    def read(self, reader: Reader, message: Message, depth: int) -> None:
        """Read a message that is so deep in others."""
        ...


Plans: TypeAlias = Callable[[Any], MessagePlan]


class Member:
    """A field, or a oneof, which in Go is a member like others.

    Args:
        name: Its name in Go.
        write: Writes the value that a message has there.
        read: Reads a value into a message.
    """

    __slots__ = ("head", "name", "read", "write")

    def __init__(self, name: str, write: WriteFrom, read: ReadInto) -> None:
        self.name = name
        self.write = write
        self.read = read
        head = bytearray()
        writing.text(head, name)
        self.head = bytes(head)


def member_of(field: FieldDescriptor, name: str, plan_of: Plans) -> Member:
    """Return how a field is written and read.

    Args:
        field: The field.
        name: Its name in Go.
        plan_of: Gives the plans of messages.
    """
    if is_map(field):
        return Member(name, *_map(field, plan_of))
    if field.is_repeated:
        return Member(name, *_list(field, plan_of))
    if field.message_type is not None:
        return Member(name, *_message(field, plan_of))
    return Member(name, *_scalar(field))


def _message(field: FieldDescriptor, plan_of: Plans) -> tuple[WriteFrom, ReadInto]:
    name = field.name
    type_: Any = field.message_type

    def write(out: Out, message: Message, depth: int) -> None:
        if message.HasField(name):
            plan_of(type_).write(out, getattr(message, name), depth + 1)
        else:
            out += NIL

    def read(reader: Reader, message: Message, depth: int) -> None:
        if not reader.is_nil():
            child = getattr(message, name)
            child.SetInParent()
            plan_of(type_).read(reader, child, depth + 1)

    return write, read


def _scalar(field: FieldDescriptor) -> tuple[WriteFrom, ReadInto]:
    name, put, get = field.name, writing.SCALARS[field.type], reading.SCALARS[field.type]
    has_presence = field.has_presence
    is_bytes = field.type == FieldDescriptor.TYPE_BYTES

    def write(out: Out, message: Message, _depth: int) -> None:
        value = getattr(message, name)
        # A pointer in Go, or a slice, which is nil where nothing was set.
        if (has_presence and not message.HasField(name)) or (
            is_bytes and not has_presence and not value
        ):
            out += NIL
        else:
            put(out, value)

    def read(reader: Reader, message: Message, _depth: int) -> None:
        if has_presence and reader.is_nil():
            return
        value = get(reader)
        try:
            setattr(message, name, value)
        except ValueError as problem:  # an enum of proto2 has no other values than it names
            raise BadData(str(problem)) from None

    return write, read


def _list(field: FieldDescriptor, plan_of: Plans) -> tuple[WriteFrom, ReadInto]:
    name = field.name
    put, get = _value(field, plan_of)

    def write(out: Out, message: Message, depth: int) -> None:
        values = getattr(message, name)
        if not values:
            out += NIL
            return
        writing.array(out, len(values))
        for value in values:
            put(out, value, depth)

    def read(reader: Reader, message: Message, depth: int) -> None:
        values = getattr(message, name)
        for at in range(reader.items()):
            try:
                get(reader, values, depth)
            except BadData as bad:
                bad.path.append(f"[{at}]")
                raise

    return write, read


def choice_of(oneof: OneofDescriptor, names: Mapping[str, str], plan_of: Plans) -> Member:
    """Return how a oneof is written and read: in Go a member that holds the one field that is set.

    Args:
        oneof: The oneof.
        names: Names in Go of the fields and oneofs of its message.
        plan_of: Gives the plans of messages.
    """
    name = oneof.name
    heads: dict[str, bytes] = {}
    puts: dict[str, WriteValue] = {}
    members: dict[bytes, Member] = {}
    for field in oneof.fields:
        head = bytearray()
        writing.mapping(head, 1)
        writing.text(head, names[field.name])
        heads[field.name] = bytes(head)
        puts[field.name], _ = _value(field, plan_of)
        member = member_of(field, names[field.name], plan_of)
        members[member.name.encode()] = member

    def write(out: Out, message: Message, depth: int) -> None:
        field = message.WhichOneof(name)
        if field is None:
            out += NIL
        else:
            out += heads[field]
            puts[field](out, getattr(message, field), depth)

    def read(reader: Reader, message: Message, depth: int) -> None:
        for _ in range(reader.members()):
            member = members.get(reader.binary())
            if member is None:
                reader.skip()
                continue
            try:
                if message.WhichOneof(name) is not None:
                    raise BadData("only one of its fields can be set")
                member.read(reader, message, depth)
            except BadData as bad:
                bad.path.append(f".{member.name}")
                raise

    return Member(names[name], write, read)


def _map(field: FieldDescriptor, plan_of: Plans) -> tuple[WriteFrom, ReadInto]:
    name = field.name
    key_field, value_field = map_fields(field)
    put_key, get_key = writing.SCALARS[key_field.type], reading.SCALARS[key_field.type]
    put, _ = _value(value_field, plan_of)
    type_: Any = value_field.message_type
    scalar = reading.SCALARS.get(value_field.type)

    def write(out: Out, message: Message, depth: int) -> None:
        values = getattr(message, name)
        if not values:
            out += NIL
            return
        writing.mapping(out, len(values))
        for key in sorted(values):  # Go shuffles them; equal messages should be equal bytes
            put_key(out, key)
            put(out, values[key], depth)

    def read(reader: Reader, message: Message, depth: int) -> None:
        values = getattr(message, name)
        for _ in range(reader.members()):
            key = get_key(reader)
            try:
                if key in values:
                    raise BadData("it is given twice")
                if scalar is not None:
                    _set_item(values, key, scalar(reader))
                else:
                    child = values[key]
                    if not reader.is_nil():
                        plan_of(type_).read(reader, child, depth + 1)
            except BadData as bad:
                bad.path.append(f"[{show(key)}]")
                raise

    return write, read


def _value(
    field: FieldDescriptor, plan_of: Plans
) -> tuple[WriteValue, Callable[[Reader, Any, int], None]]:
    """Return what writes a value that is there, and what reads one to the end of a list."""
    type_: Any = field.message_type
    if type_ is None:
        put_scalar, get_scalar = writing.SCALARS[field.type], reading.SCALARS[field.type]

        def put(out: Out, value: Any, _depth: int) -> None:
            put_scalar(out, value)

        def get(reader: Reader, values: Any, _depth: int) -> None:
            _append(values, get_scalar(reader))

        return put, get

    def put_message(out: Out, value: Any, depth: int) -> None:
        plan_of(type_).write(out, value, depth + 1)

    def get_message(reader: Reader, values: Any, depth: int) -> None:
        child = values.add()
        if not reader.is_nil():
            plan_of(type_).read(reader, child, depth + 1)

    return put_message, get_message


def _set_item(values: Any, key: Any, value: Any) -> None:
    try:
        values[key] = value
    except ValueError as problem:
        raise BadData(str(problem)) from None


def _append(values: Any, value: Any) -> None:
    try:
        values.append(value)
    except ValueError as problem:
        raise BadData(str(problem)) from None
