"""How a request becomes a URL and a body: rules, templates, queries."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from google.protobuf.api_pb2 import Api
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FieldOptions
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.type_pb2 import Enum, Field, Option
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kratos.client import Client
from kratos.errors import Error
from kratos.testing.echo import text
from kratos.transport import Arity, HttpRule, Method, Mount, Service, server_call
from kratos_http import HttpServer
from kratos_http.testing import running


def method(name: str, kind: type[Message], *rules: HttpRule) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Forms/{name}",
        name=name.lower(),
        arity=Arity.UNARY,
        request=kind,
        reply=kind,
        http=rules,
    )


def get(path: str) -> HttpRule:
    return HttpRule(verb="GET", path=path)


SEGMENT = method("Segment", StringValue, get("/segment/{value}"))
RANGE = method("Range", StringValue, get("/range/{value=shelves/*/books/*}"))
REST = method("Rest", StringValue, get("/rest/{value=**}"))
WITHIN = method("Within", StringValue, get("/within/{value=files/**}"))
VERB = method("Verb", StringValue, get("/verb/{value}:cancel"))
LITERAL = method("Literal", StringValue, get("/a%20b/{value}"))
SEVERAL = method(
    "Several",
    StringValue,
    get("/of/{value=people/*}"),
    HttpRule(verb="POST", path="/of/{value=teams/*}/all", body="*"),
    get("/all"),
)
STRICT = method("Strict", StringValue, get("/s/{value=a/*}"), get("/s/{value=b/*}"))
FIELDS = method("Fields", Field, get("/fields/{name}"))
ENUM = method("Enums", Enum, HttpRule(verb="POST", path="/enums/{name}", body="source_context"))
MASK = method("Mask", FieldMask, get("/mask"))
BYTES = method("Bytes", BytesValue, get("/bytes"))
TIME = method("Time", Timestamp, HttpRule(verb="PUT", path="/time", body="*"))
SPAN = method("Span", Duration, HttpRule(verb="PATCH", path="/span", body="*"))
WHOLE = method("Whole", Api, HttpRule(verb="POST", path="/whole", body="*"))
PART = method(
    "Part",
    FieldDescriptorProto,
    HttpRule(verb="DELETE", path="/part", body="options", response_body="options"),
)
ALL = (
    SEGMENT, RANGE, REST, WITHIN, VERB, LITERAL, SEVERAL, STRICT, FIELDS, ENUM, MASK, BYTES, TIME,
    SPAN, WHOLE, PART,
)  # fmt: skip


class Forms(Service):
    """Sends back what it gets."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = ALL

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    async def segment(self, request: Any, /) -> Any:
        call = server_call()
        assert call is not None
        self.headers = dict(call.headers.items())
        return request

    range = rest = within = verb = literal = several = strict = fields = enums = segment
    mask = bytes = time = span = whole = part = segment


@asynccontextmanager
async def forms() -> AsyncGenerator[Client]:
    server = HttpServer("127.0.0.1:0", timeout=None)
    server.mount(Mount(services=[Forms()]))
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, timeout=None) as caller:
            yield caller


@pytest.mark.parametrize(
    ("called", "value"),
    [
        (SEGMENT, "a/b"),
        (SEGMENT, "ü 100% ?&=#+:;@\\\"'"),
        (SEGMENT, "a%2Fb"),
        (SEGMENT, "..."),
        (RANGE, "shelves/1 2/books/a%b"),
        (REST, "a"),
        (REST, "a/b//c?d/ü"),
        (REST, ""),
        (WITHIN, "files/a/b c"),
        (VERB, "x:y"),
        (VERB, "x:cancel"),
        (LITERAL, "x"),
    ],
)
async def test_path_carries_the_value(called: Any, value: str) -> None:
    async with forms() as caller:
        assert (await caller.unary(called, text(value))).value == value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=20))
async def test_path_carries_any_text(values: list[str]) -> None:
    async with forms() as caller:
        for value in values:
            if value in (".", ".."):
                continue
            assert (await caller.unary(SEGMENT, text(value))).value == value


async def test_rule_that_fits_is_taken() -> None:
    async with forms() as caller:
        for value in ("people/1", "teams/2", "others"):
            assert (await caller.unary(SEVERAL, text(value))).value == value


async def test_request_that_fits_no_rule_is_refused_by_the_first() -> None:
    async with forms() as caller:
        with pytest.raises(Error, match=r"a/\*") as refusal:
            await caller.unary(STRICT, text("c/1"))
    assert (refusal.value.code, refusal.value.reason) == (400, "CODEC")


@pytest.mark.parametrize(
    ("called", "request_"),
    [
        (
            FIELDS,
            Field(
                kind=Field.TYPE_ENUM,
                cardinality=Field.CARDINALITY_REPEATED,
                number=-7,
                name="ü/&",
                json_name="a=b&c",
                packed=True,
            ),
        ),
        (MASK, FieldMask(paths=["a.b_c", "d"])),
        (BYTES, BytesValue(value=bytes(range(256)))),
        (TIME, Timestamp(seconds=1_700_000_000, nanos=5)),
        (SPAN, Duration(seconds=-3, nanos=-5)),
        (WHOLE, Api(name="x", options=[Option(name="o"), Option(name="p")])),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
async def test_fields_of_all_kinds_arrive(called: Any, request_: Any) -> None:
    async with forms() as caller:
        assert await caller.unary(called, request_) == request_


async def test_field_goes_in_the_body_and_comes_back_in_it() -> None:
    request = FieldDescriptorProto(
        name="n",
        number=3,
        type=FieldDescriptorProto.TYPE_BYTES,
        options=FieldOptions(deprecated=True, targets=[FieldOptions.TARGET_TYPE_FILE]),
    )
    async with forms() as caller:
        reply = await caller.unary(PART, request)
    assert reply == FieldDescriptorProto(options=request.options)
