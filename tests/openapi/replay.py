"""Requests made of a document, sent to the server that wrote it: it keeps its word.

``test_replay.py`` runs this in an interpreter of its own; with another hash seed, or more examples,
it is a fuzzer.
"""

from __future__ import annotations

import asyncio
import base64
import re
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Any, Final, TypeAlias, cast

import pytest
import requests
from bookshop.v1.bookshop_pb2 import AddBookRequest, Book, Price
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from helloworld.greeter_kratos import GreeterClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from zoo.v1.zoo_kratos import Zoo
from zoo.v1.zoo_pb2 import Animal, Paper, Search

from kratos import App, Service, local
from kratos.encoding import DEFAULT, Codecs
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos_cli.demo.bookshop import BookshopService
from kratos_cli.demo.greeter import GreeterService
from kratos_http import HttpServer, OpenApi, StreamOptions

# By name: much of it is generic without saying of what.
schemathesis: Any = import_module("schemathesis")
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
checks: Any = import_module("schemathesis.specs.openapi.checks")
GenerationMode = schemathesis.GenerationMode
Verify: TypeAlias = Callable[[Any, Any], None]

pytestmark = [pytest.mark.slow]

EXAMPLES: Final = 15
BOUNDS: Final = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "float": (-3.4028235e38, 3.4028235e38),  # as the shortest texts of the largest are read
}
CHECKS: Final = (
    "allow_header_conformance",
    "content_type_conformance",
    "not_a_server_error",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
)

CHOSEN: Final = schemathesis.checks.CHECKS.get_by_names(CHECKS)
# Who sends what the document does not allow, as numbers of no enum, may be answered alike.
UNASKED: Final = schemathesis.checks.CHECKS.get_by_names(
    [name for name in CHECKS if name != "response_schema_conformance"]
)

# What the formats of the document mean. A base64 text has no form that JSON Schema could tell.
schemathesis.openapi.format("int64", st.integers(-(2**63), 2**63 - 1).map(str))
schemathesis.openapi.format("uint64", st.integers(0, 2**64 - 1).map(str))
schemathesis.openapi.format(
    "byte", st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
)


class Keeper(Zoo):
    """Answers with what it is asked."""

    async def keep(self, request: Animal, /) -> Animal:
        return request

    async def find(self, request: Search, /) -> Search:
        return request

    async def part(self, request: Search, /) -> Search:
        return request

    async def words(self, request: Search, /) -> Search:
        return request

    async def file(self, request: Search, /) -> StringValue:
        return StringValue(value=request.text)

    async def photo(self, request: Any, /) -> Any:
        return type(request)(content_type="image/png", data=request.data)

    async def ping(self, request: Any, /) -> Any:
        return request

    async def watch(self, request: Search, /) -> AsyncIterator[Animal]:
        yield Animal()

    async def wrap(self, request: Search, /) -> Search:
        return request

    async def adopt(self, request: Paper, /) -> Paper:
        return request

    async def scan(self, requests: AsyncIterator[Paper], /) -> Int64Value:
        return Int64Value(value=sum([len(request.image.data) async for request in requests]))

    async def film(self, request: Search, /) -> AsyncIterator[Any]:
        for _ in range(3):
            yield HttpBody(content_type="video/mp4", data=request.text.encode())

    async def hidden(self, request: Search, /) -> Search:
        return request


@contextmanager
def serving(service: Service, codecs: Codecs) -> Generator[str]:
    """Serve in a thread of its own, and yield the URL."""
    # A stream without an end is left by whoever serves it: nobody here would.
    streams = StreamOptions(heartbeat=0.02, idle_timeout=0.25)
    openapi = OpenApi(title="test")
    server = HttpServer("127.0.0.1:0", openapi=openapi, codecs=codecs, streams=streams)
    app = App(services=[service], servers=[server], signals=())
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        running = asyncio.ensure_future(app.run())
        await app.ready()
        ready.set()
        await running

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(10), "the server did not start"
        yield app.endpoints[0]
    finally:
        loop.call_soon_threadsafe(app.stop)
        thread.join()
        loop.close()


async def bookshop() -> BookshopService:
    """Return a shop with a book in it."""
    service = BookshopService(GreeterClient(local(GreeterService())))
    book = Book(name="shelves/a/books/b", title="Emma", price=Price(cents=1), in_stock=5)
    await service.add_book(AddBookRequest(shelf="a", book=book))
    return service


def codecs_of(options: JsonOptions) -> Codecs:
    codecs = DEFAULT.copy()
    codecs.register(JsonCodec(options=options))
    return codecs


def bounded(document: object) -> Any:
    """Add what formats of numbers mean, and schemathesis does not know."""
    if isinstance(document, list):
        return [bounded(item) for item in cast("list[object]", document)]
    if not isinstance(document, dict):
        return document
    pairs = cast("dict[str, object]", document).items()
    members: dict[str, Any] = {key: bounded(item) for key, item in pairs}
    bounds = BOUNDS.get(members.get("format", "")) if members.get("type") != "string" else None
    if bounds is not None:
        members["minimum"], members["maximum"] = bounds
    return members


def replay(url: str, mode: Any, verify: Verify) -> int:
    """Send requests to every operation, and return to how many."""
    schema = schemathesis.openapi.from_dict(bounded(requests.get(f"{url}/openapi.json").json()))
    found: list[Any] = list(schema.get_all_operations())
    operations = [one.ok() for one in found]
    chosen = UNASKED if mode is GenerationMode.NEGATIVE else CHOSEN
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            derandomize=True,
            database=None,
        )
        @given(operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            answer = case.call(base_url=url)
            case.validate_response(answer, checks=chosen)
            verify(case, answer)

        # Where every text is a path, no request is forbidden.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            send()
    return len(operations)


# What a schema cannot tell: which types there are, oneofs without a union, the range of a text.
UNTOLD: Final = re.compile(
    r"@type|another member of oneof|already set for oneof|no integer of 64 bits|out of range"
    r"|is longer than|outside the years|day of the calendar|time of a day|zone of more|overflow"
    r"|a header of part"  # made of a name that no header can hold
    r'|expected an integer as key, got "-?[0-9]{19,}"'  # more than 64 bits
)


def is_read(case: Any, answer: Any) -> None:
    """A request that the document allows is never refused as unreadable."""
    if answer.status_code == 400 and answer.json()["reason"] == "CODEC":
        said = answer.json()["message"]
        assert UNTOLD.search(said), f"{said}: {case.as_curl_command()}"


def anything(case: Any, answer: Any) -> None:
    """The request was none that the document allows: any answer of its form will do."""


OPTIONS: Final = {
    "defaults": JsonOptions(),
    "other": JsonOptions(emit_unset=False, enum_numbers=True, proto_names=True, int64_numbers=True),
}
MODES: Final = {
    "allowed": (GenerationMode.POSITIVE, is_read),
    "forbidden": (GenerationMode.NEGATIVE, anything),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("mode", "verify"), MODES.values(), ids=MODES)
async def test_bookshop_answers_as_its_document_says(
    options: JsonOptions, mode: Any, verify: Verify
) -> None:
    with serving(await bookshop(), codecs_of(options)) as url:
        assert await asyncio.to_thread(replay, url, mode, verify) == 10


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("mode", "verify"), MODES.values(), ids=MODES)
def test_every_kind_of_field_is_read_and_written_as_documented(
    options: JsonOptions, mode: Any, verify: Verify
) -> None:
    with serving(Keeper(), codecs_of(options)) as url:
        assert replay(url, mode, verify) == 17
