"""MessagePack of both languages: the same bytes, and each reads the other's."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, UninterpretedOption
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.type_pb2 import Enum, EnumValue, Field
from google.protobuf.wrappers_pb2 import BytesValue, StringValue, UInt64Value

from kratos import App, Client
from kratos.encoding import CodecError
from kratos.errors import Error, bad_request
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos_http import HttpConnector, HttpServer
from kratos_msgpack import MSGPACK
from kratos_protojson.descriptors import is_map, map_fields

pb: Any = import_module("interop.msgpack.v1.msgpack_pb2")

pytestmark = [pytest.mark.go, pytest.mark.slow]

SEED = 20_261_129


class Go:
    """The program, which answers line by line."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program, "convert"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, message: Message) -> bytes:
        return self._ask("write", type(message), message.SerializeToString())

    def read(self, data: bytes, kind: type[Message]) -> Any:
        return kind.FromString(self._ask("read", kind, data))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=10) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, what: str, kind: type[Message], data: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"do": what, "type": kind.DESCRIPTOR.full_name, "data": b64encode(data).decode()}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        told = json.loads(self._process.stdout.readline())
        if told["error"]:
            raise ValueError(told["error"])
        return b64decode(told["data"] or "")


@pytest.fixture(scope="module")
def go(go_msgpack: Path) -> Iterator[Go]:
    program = Go(go_msgpack)
    yield program
    program.close()


FULL = pb.Kinds(
    boolean=True,
    int32=-1,
    sint32=-(2**31),
    sfixed32=2**31 - 1,
    uint32=2**32 - 1,
    fixed32=1,
    int64=-(2**63),
    sint64=2**63 - 1,
    sfixed64=1,
    uint64=2**64 - 1,
    fixed64=2**63,
    float=1.5,
    double=-math.inf,
    text="größe 你好 🙂",
    data=b"\x00\xff",
    colour=pb.COLOUR_BLUE,
    inner=pb.Kinds(text="x" * 40),
    maybe_int64=0,
    maybe_text="",
    maybe_data=b"",
    maybe_colour=0,
    maybe_boolean=False,
    time=Timestamp(seconds=1_700_000_000, nanos=1),
    wrapped=StringValue(value=""),
)
NAMES = pb.Names(
    **{
        field.name: field.name
        for field in pb.Names.DESCRIPTOR.fields
        if field.containing_oneof is None or field.name == "x_optional"
    }
)
PLAIN = [
    pb.Kinds(),
    FULL,
    NAMES,
    pb.Lists(),
    pb.Lists(
        booleans=[True, False],
        int32s=[1, -1],
        uint64s=[2**64 - 1],
        floats=[0.5],
        doubles=[0.1],
        texts=["", "a"],
        data=[b"", b"a"],
        colours=[1, -7, 99],
        kinds=[FULL, pb.Kinds()],
    ),
    pb.Lists(int32s=range(70_000)),
    pb.Lists(int32s=range(20), texts=["x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65_536]),
    pb.Lists(data=[b"x" * 255, b"x" * 256, b"x" * 65_536]),
    pb.Maps(),
    pb.Maps(
        texts={"": "x"},
        booleans={"a": True},
        numbers={-1: 2**40},
        data={2**64 - 1: b""},
        floats={True: 2},
        colours={-5: -7},
        kinds={"k": FULL},
    ),
    pb.Choices(before="b", after="a"),
    Field(kind=Field.TYPE_INT64, number=-3, name="a", packed=True),
    Enum(name="e", enumvalue=[EnumValue(name="a", number=300), EnumValue()]),
    FieldDescriptorProto(name="n", number=0, default_value="", proto3_optional=False),
    UninterpretedOption(string_value=b"hi", positive_int_value=5, identifier_value=""),
    UInt64Value(value=7),
    BytesValue(value=b"x"),
    AnyMessage(type_url="a/b", value=b"x"),
    Struct(),
]  # fmt: skip
CHOICES = [
    pb.Choices(number=0),
    pb.Choices(before="b", text="", after="a"),
    pb.Choices(data=b""),
    pb.Choices(colour=-7),
    pb.Choices(kinds=FULL),
    pb.Names(one="1", get_one="2"),
    Value(null_value=NULL_VALUE),
    Value(list_value=ListValue(values=[Value(number_value=1), Value(string_value="x")])),
    Struct(fields={"a": Value(bool_value=True)}),
]


@pytest.mark.parametrize("message", [*PLAIN, *CHOICES], ids=lambda one: one.DESCRIPTOR.name)
def test_bytes_are_those_of_go(go: Go, message: Message) -> None:
    written = go.write(message)

    assert MSGPACK.encode(message).hex() == written.hex()
    assert MSGPACK.decode(written, type(message)) == message


@pytest.mark.parametrize("message", PLAIN, ids=lambda one: one.DESCRIPTOR.name)
def test_go_reads_ours(go: Go, message: Message) -> None:
    assert go.read(MSGPACK.encode(message), type(message)) == message


@pytest.mark.parametrize("message", CHOICES[:1], ids=lambda one: one.DESCRIPTOR.name)
def test_go_cannot_read_a_oneof_and_not_its_own_either(go: Go, message: Message) -> None:
    with pytest.raises(ValueError, match=r"panic: reflect\.Set"):
        go.read(go.write(message), type(message))


NUMBERS: dict[int, Callable[[random.Random], Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: lambda chance: chance.random() < 0.5,
    FieldDescriptor.CPPTYPE_DOUBLE: lambda chance: chance.uniform(-1e9, 1e9),
    FieldDescriptor.CPPTYPE_FLOAT: lambda chance: float(chance.randrange(-(2**20), 2**20)),
    FieldDescriptor.CPPTYPE_INT32: lambda chance: chance.randrange(-(2**31), 2**31),
    FieldDescriptor.CPPTYPE_INT64: lambda chance: chance.randrange(-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT32: lambda chance: chance.randrange(2**32),
    FieldDescriptor.CPPTYPE_UINT64: lambda chance: chance.randrange(2**64),
}


def some(field: FieldDescriptor, chance: random.Random) -> Any:
    """Return a value of a field that is no message."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.choice([0, 1, 300]))
        return "ä" * chance.choice([0, 1, 15, 16, 200])
    if field.enum_type is not None:
        return chance.choice(field.enum_type.values).number
    return NUMBERS[field.cpp_type](chance)


def fill(message: Any, chance: random.Random, depth: int = 3) -> Any:
    """Set some fields by chance; maps have one entry, as Go shuffles them."""
    for field in message.DESCRIPTOR.fields:
        left_out = chance.random() < 0.4 and not field.is_required
        if left_out or (field.message_type is not None and depth == 0):
            continue
        value = getattr(message, field.name)
        if is_map(field):
            key, item = map_fields(field)
            if item.message_type is not None:
                fill(value[some(key, chance)], chance, depth - 1)
            else:
                value[some(key, chance)] = some(item, chance)
        elif field.is_repeated:
            for _ in range(chance.randrange(4)):
                if field.message_type is not None:
                    fill(value.add(), chance, depth - 1)
                else:
                    value.append(some(field, chance))
        elif field.message_type is not None:
            value.SetInParent()
            fill(value, chance, depth - 1)
        else:
            setattr(message, field.name, some(field, chance))
    return message


@pytest.mark.parametrize("kind", [pb.Kinds, pb.Lists, pb.Maps, Enum, UninterpretedOption])
def test_messages_made_by_chance_are_the_same_bytes_and_come_back(go: Go, kind: Any) -> None:
    chance = random.Random(SEED)
    for _ in range(60):
        message = fill(kind(), chance)
        written = go.write(message)
        assert MSGPACK.encode(message).hex() == written.hex()
        assert MSGPACK.decode(written, kind) == message
        assert go.read(written, kind) == message


@pytest.mark.parametrize(
    "text",
    ["01", "a161", "81a5", "81a44e616d6502", "81a64e756d626572a133", "81a65061636b656401",
     "81a64e756d626572cb4008000000000000", "81a44e616d65"],
)  # fmt: skip
def test_what_go_refuses_is_refused(go: Go, text: str) -> None:
    data = bytes.fromhex(text)
    with pytest.raises(ValueError, match=r"\w"):
        go.read(data, Field)
    with pytest.raises(CodecError):
        MSGPACK.decode(data, Field)


@pytest.mark.parametrize(
    "text",
    ["c0", "80", "81a3466f6f9301a16182a161c0a162c7010561", "81a44e616d65c40161",
     "81a64e756d626572c0",
     "81a64e756d62657203", "81a64e756d626572d0ff", "81a44e616d65c0", "81a46e616d65a161",
     "81a74f7074696f6e73c0", "81a74f7074696f6e7391c0", "81a65061636b6564c0"],
)  # fmt: skip
def test_what_go_reads_is_read_alike(go: Go, text: str) -> None:
    data = bytes.fromhex(text)

    assert MSGPACK.decode(data, Field) == go.read(data, Field)


class Refusing(EchoService):
    async def echo(self, request: StringValue, /) -> StringValue:
        if request.value == "refuse":
            raise bad_request("NOT_THIS", "not this one", {"k": "v"})
        return request


async def test_go_client_is_answered(go_msgpack: Path) -> None:
    app = App(name="echo", services=[Refusing()], servers=[HttpServer("127.0.0.1:0")], signals=())
    async with running(app):
        process = await asyncio.create_subprocess_exec(
            go_msgpack, "call", app.endpoints[0].partition("://")[2], stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert process.returncode == 0
    reply, refusal = map(json.loads, out.splitlines())
    assert reply == {"value": "größe", "type": "application/msgpack"}
    assert refusal == {
        "code": 400, "reason": "NOT_THIS", "message": "not this one", "metadata": {"k": "v"}
    }  # fmt: skip


async def test_go_server_is_understood(go_msgpack: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        go_msgpack,
        "serve",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    transport = HttpConnector(codec="msgpack")
    async with Client(f"http://{address}", transport=transport, timeout=10.0) as caller:
        reply = await caller.unary(ECHO, text("größe"))
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("refuse"))
    process.stdin.close()
    assert await process.wait() == 0
    assert reply == text("größe")
    error = failure.value
    assert (error.code, error.reason, error.message) == (400, "NOT_THIS", "not this one")
    assert error.metadata == {"k": "v"}
