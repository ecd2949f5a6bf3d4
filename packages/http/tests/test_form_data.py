"""Forms with files as messages, on both engines and at the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, ClassVar

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos import encoding
from kratos.errors import Error
from kratos.testing.echo import text
from kratos.transport import Arity, HttpMultipart, HttpOptions, HttpRule, Method, Mount, Service
from kratos_http import HttpServer, Limits
from kratos_http._form_data import Form
from kratos_http._form_writing import form_type, write_form
from kratos_http._multipart import FormLimits
from kratos_http.testing import OpenPeer, client_of, eventually, socket_peer

# By name: this module ships without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody

FORM = [("Content-Type", "multipart/form-data; boundary=xx")]
STRING, BYTES = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES
INT32, BOOL = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_BOOL
ONE, MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED


def message_types() -> tuple[Any, Any]:
    """Make messages with a field of every kind that matters here."""
    file = FileDescriptorProto(name="test/form_data.proto", package="test.form", syntax="proto3")
    file.dependency.extend(["google/api/httpbody.proto", "google/protobuf/timestamp.proto"])
    tag = file.message_type.add(name="Tag")
    tag.field.add(name="label", number=1, type=STRING, label=ONE)
    tag.field.add(name="weight", number=2, type=INT32, label=ONE)
    cover = file.message_type.add(name="Cover")
    for number, (name, kind, label) in enumerate(
        (
            ("book_id", STRING, ONE),
            ("pages", INT32, ONE),
            ("ready", BOOL, ONE),
            ("words", STRING, MANY),
            ("raw", BYTES, ONE),
            ("raws", BYTES, MANY),
            (".google.api.HttpBody", "file", ONE),
            (".google.api.HttpBody", "files", MANY),
            (".test.form.Tag", "tag", ONE),
            (".test.form.Tag", "tags", MANY),
            (".google.protobuf.Timestamp", "at", ONE),
            ("file_name", STRING, ONE),
            ("numbers", INT32, MANY),
        ),
        start=1,
    ):
        if isinstance(kind, str):
            message = FieldDescriptorProto.TYPE_MESSAGE
            cover.field.add(name=kind, number=number, type=message, type_name=name, label=label)
        else:
            cover.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.Default()
    pool.Add(file)
    found = [pool.FindMessageTypeByName(f"test.form.{name}") for name in ("Cover", "Tag")]
    cover_type, tag_type = (GetMessageClass(each) for each in found)
    return cover_type, tag_type


import_module("google.protobuf.timestamp_pb2")
Cover, Tag = message_types()


def method(
    name: str, request: Any, reply: Any, rule: HttpRule, arity: Arity = Arity.UNARY, **options: Any
) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Covers/{name}",
        name=name.lower(),
        arity=arity,
        request=request,
        reply=reply,
        http=(rule,),
        http_options=HttpOptions(**options) if options else None,
    )


PLAIN = method("Plain", Cover, Cover, HttpRule(verb="POST", path="/plain", body="*"))
SET = method(
    "Set",
    Cover,
    Cover,
    HttpRule(verb="PUT", path="/covers/{book_id}", body="*"),
    multipart=HttpMultipart(max_parts=12, filename="file_name"),
)
INNER = method(
    "Inner",
    Cover,
    Cover,
    HttpRule(verb="POST", path="/inner", body="tag"),
    multipart=HttpMultipart(),
)
UPLOAD = method(
    "Upload",
    Cover,
    StringValue,
    HttpRule(verb="POST", path="/covers/{book_id}", body="file"),
    Arity.CLIENT_STREAM,
    multipart=HttpMultipart(filename="file_name"),
)


class Covers(Service):
    """Answers with what it was asked."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (PLAIN, SET, INNER, UPLOAD)

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def plain(self, request: Any, /) -> Any:
        self.requests.append(request)
        return request

    set = inner = plain

    async def upload(self, requests: AsyncIterator[Any], /) -> StringValue:
        size = 0
        async for request in requests:
            size += len(request.file.data)
            self.requests.append(request)
        return text(str(size))


def covers(**options: Any) -> tuple[HttpServer, Covers]:
    server = HttpServer("127.0.0.1:0", **options)
    service = Covers()
    server.mount(Mount(services=[service]))
    return server, service


def part(name: str, data: bytes, *, filename: str | None = None, kind: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    lines = [disposition, *([f"Content-Type: {kind}"] if kind else [])]
    return "\r\n".join((*lines, "", "")).encode() + data


def form(*parts: bytes) -> bytes:
    return b"".join(b"--xx\r\n%b\r\n" % each for each in parts) + b"--xx--\r\n"


async def bound(
    open_peer: OpenPeer, *parts: bytes, path: str = "/plain", verb: str = "POST"
) -> Any:
    """Return the request that a form becomes."""
    server, service = covers()
    async with open_peer(server) as peer:
        answer = await peer.request(verb, path, headers=FORM, body=form(*parts))
    assert answer.status == 200, answer.body
    return service.requests[0]


async def refused(open_peer: OpenPeer, *parts: bytes, path: str = "/plain") -> tuple[int, str, Any]:
    """Return status, message and metadata of the refusal of a form."""
    server, service = covers()
    async with open_peer(server) as peer:
        answer = await peer.request("POST", path, headers=FORM, body=form(*parts))
    assert not service.requests
    said = answer.json()
    return answer.status, said["message"], said["metadata"]


class TestFields:
    async def test_texts_follow_the_rules_of_forms(self, open_peer: OpenPeer) -> None:
        request = await bound(
            open_peer,
            part("bookId", b"b7"),
            part("pages", b"12", kind="text/plain"),
            part("ready", b"T"),
            part("words", "ü".encode()),
            part("words[]", b"v"),
            part("tag.label", b"x"),
            part("at", b"1970-01-01T00:00:20Z"),
            part("raw", b"MTIz"),
        )
        assert request == Cover(
            book_id="b7",
            pages=12,
            ready=True,
            words=["ü", "v"],
            tag=Tag(label="x"),
            at={"seconds": 20},
            raw=b"123",
        )

    async def test_files_are_taken_as_they_are(self, open_peer: OpenPeer) -> None:
        request = await bound(
            open_peer,
            part("raw", b"\xff\r\n", filename="a"),
            part("raws", b"1", filename=""),
            part("raws[1]", b"2", kind="application/octet-stream"),
            part("file", b"\x89PNG", filename="x.png", kind="image/png"),
            part("files", b"3", filename="y"),
            part("files", b"4"),
            part("book_id", "ü".encode(), filename="z", kind="text/markdown"),
        )
        assert request == Cover(
            raw=b"\xff\r\n",
            raws=[b"1", b"2"],
            file=HttpBody(content_type="image/png", data=b"\x89PNG"),
            files=[HttpBody(data=b"3"), HttpBody(data=b"4")],
            book_id="ü",
        )

    async def test_parts_in_a_format_are_decoded(self, open_peer: OpenPeer) -> None:
        request = await bound(
            open_peer,
            part("tag", b'{"label": "x"}', kind="application/json"),
            part("tags", b'{"weight": 1}', kind="application/json"),
            part("tags", Tag(weight=2).SerializeToString(), kind="application/proto"),
            part("tags", b' [{"weight": 3}, {}]', kind="application/json"),
            part("numbers", b"[1, 2]", kind="application/json"),
            part("pages", b"3", kind="application/json"),
        )
        assert request == Cover(
            tag=Tag(label="x"),
            tags=[Tag(weight=1), Tag(weight=2), Tag(weight=3), Tag()],
            numbers=[1, 2],
            pages=3,
        )

    async def test_parts_without_a_field_are_ignored(self, open_peer: OpenPeer) -> None:
        parts = (part("no", b"\xff", filename="x"), part("no.more", b"x"), part("pages", b"1"))
        assert await bound(open_peer, *parts) == Cover(pages=1)

    async def test_name_of_the_file_goes_where_the_definition_says(
        self, open_peer: OpenPeer
    ) -> None:
        parts = (part("file", b"x", filename="dir/a.png"),)
        request = await bound(open_peer, *parts, path="/covers/b7", verb="PUT")
        assert request == Cover(book_id="b7", file_name="a.png", file=HttpBody(data=b"x"))

    async def test_path_goes_over_the_form(self, open_peer: OpenPeer) -> None:
        request = await bound(open_peer, part("book_id", b"x"), path="/covers/b7", verb="PUT")
        assert request == Cover(book_id="b7")

    async def test_body_may_be_a_field(self, open_peer: OpenPeer) -> None:
        request = await bound(open_peer, part("label", b"x"), path="/inner?pages=3")
        assert request == Cover(pages=3, tag=Tag(label="x"))

    async def test_form_may_be_empty(self, open_peer: OpenPeer) -> None:
        assert await bound(open_peer) == Cover()


class TestRefusals:
    @pytest.mark.parametrize(
        ("parts", "problem", "field"),
        [
            ((part("pages", b"x"),), "pages", "pages"),
            ((part("pages", b"1"), part("pages", b"2")), 'too many values for field "pages"', ""),
            ((part("pages", b"1", filename="x"),), "'pages' is a file, and its field", "pages"),
            ((part("tag", b"{", kind="application/json"),), "part 'tag'", "tag"),
            ((part("tag", b"x", filename="x"),), "'tag' is a file", "tag"),
            ((part("book_id", b"\xff"),), "part 'book_id' is not UTF-8", "book_id"),
            ((part("book_id", b"\xff", filename="x"),), "'book_id' is not UTF-8", "book_id"),
            (
                (part("file", b"1", filename="x"), part("file", b"2", filename="y")),
                "too many values for field 'file'",
                "file",
            ),
        ],
    )
    async def test_part_that_does_not_fit_is_named(
        self, open_peer: OpenPeer, parts: tuple[bytes, ...], problem: str, field: str
    ) -> None:
        status, message, metadata = await refused(open_peer, *parts)
        assert status == 400
        assert problem in message
        assert not field or metadata == {"field": field}

    async def test_form_that_is_none_is_refused(self, open_peer: OpenPeer) -> None:
        server, _ = covers()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/plain", headers=FORM, body=b"{}")
        assert (answer.status, answer.json()["reason"]) == (400, "CODEC")

    async def test_form_of_too_many_parts_is_refused(self, open_peer: OpenPeer) -> None:
        server, _ = covers(limits=Limits(max_parts=2))
        async with open_peer(server) as peer:
            body = form(*[part("words", b"x")] * 3)
            answer = await peer.request("POST", "/plain", headers=FORM, body=body)
        assert answer.status == 413

    @pytest.mark.parametrize(("count", "status"), [(12, 200), (13, 413)])
    async def test_definition_says_how_many_parts(
        self, open_peer: OpenPeer, count: int, status: int
    ) -> None:
        server, _ = covers(limits=Limits(max_parts=2))
        async with open_peer(server) as peer:
            body = form(*[part("words", b"x")] * count)
            answer = await peer.request("PUT", "/covers/x", headers=FORM, body=body)
        assert answer.status == status

    async def test_too_large_form_is_refused(self, open_peer: OpenPeer) -> None:
        server, _ = covers(limits=Limits(max_body=1000))
        async with open_peer(server) as peer:
            body = form(part("raw", bytes(1000), filename="x"))
            answer = await peer.request("POST", "/plain", headers=FORM, body=body)
        assert answer.status == 413


class TestUpload:
    async def test_file_comes_in_pieces_with_the_fields_before_it(
        self, open_peer: OpenPeer
    ) -> None:
        server, service = covers()
        body = form(
            part("pages", b"3"),
            part("tag", b'{"label": "x"}', kind="application/json"),
            part("file", bytes(300_000), filename="a.png", kind="image/png"),
        )
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/covers/b7", headers=FORM, body=body)
        assert answer.json() == "300000"
        for request in service.requests:
            request.file.data = b""
            assert request == Cover(
                book_id="b7",
                pages=3,
                tag=Tag(label="x"),
                file_name="a.png",
                file=HttpBody(content_type="image/png"),
            )

    async def test_pieces_come_before_the_form_has_ended(self) -> None:
        server, service = covers()
        body = form(part("file", b"x" * 100, filename="a"))
        async with socket_peer(server) as peer:
            head = (
                f"POST /covers/b7 HTTP/1.1\r\nHost: test\r\nContent-Type: {FORM[0][1]}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            await peer.send(head.encode() + body[:150])
            await eventually(lambda: service.requests)
            await peer.send(body[150:])
            assert (await peer.answer()).json() == "100"

    async def test_fields_after_the_file_come_in_one_request_more(
        self, open_peer: OpenPeer
    ) -> None:
        server, service = covers()
        body = form(part("file", b"x", filename="a"), part("pages", b"3"))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/covers/b7", headers=FORM, body=body)
        assert answer.json() == "1"
        assert [request.pages for request in service.requests] == [0, 3]

    @pytest.mark.parametrize(
        "parts",
        [(), (part("pages", b"3"),), (part("file", b"", filename="a"),)],
        ids=["nothing", "no file", "empty file"],
    )
    async def test_form_without_a_byte_of_a_file_is_one_request(
        self, open_peer: OpenPeer, parts: tuple[bytes, ...]
    ) -> None:
        server, service = covers()
        async with open_peer(server) as peer:
            await peer.request("POST", "/covers/b7", headers=FORM, body=form(*parts))
        (request,) = service.requests
        assert request.book_id == "b7"

    async def test_empty_file_before_other_fields_is_told_of_once(
        self, open_peer: OpenPeer
    ) -> None:
        server, service = covers()
        body = form(part("file", b"", filename="a"), part("pages", b"3"))
        async with open_peer(server) as peer:
            await peer.request("POST", "/covers/b7", headers=FORM, body=body)
        assert [request.pages for request in service.requests] == [0, 3]

    @pytest.mark.parametrize(
        ("headers", "body", "problem"),
        [
            ([], b"x", "a form is wanted, not nothing"),
            ([("Content-Type", "image/png")], b"x", "a form is wanted, not image/png"),
            ([("Content-Type", "multipart/form-data")], b"x", "needs a boundary"),
            (FORM, b"x", "does not begin with its boundary"),
            (FORM, form(part("file", b"x"))[:-8], "ends within part 1, 'file',"),
            (FORM, form(part("file", b"x"), part("file", b"y")), "too many files"),
            (FORM, form(part("pages", b"x"), part("file", b"y")), "pages"),
        ],
    )
    async def test_what_is_no_such_form_is_refused(
        self, open_peer: OpenPeer, headers: Any, body: bytes, problem: str
    ) -> None:
        server, _ = covers()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/covers/b7", headers=headers, body=body)
        assert answer.status == 400
        assert problem in answer.json()["message"]

    async def test_fields_of_an_upload_are_limited(self, open_peer: OpenPeer) -> None:
        server, _ = covers(limits=Limits(max_body=100))
        body = form(part("words", bytes(101)), part("file", b"x", filename="a"))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/covers/b7", headers=FORM, body=body)
        assert (answer.status, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")

    async def test_handler_may_leave_the_rest_of_a_form(self, open_peer: OpenPeer) -> None:
        class Short(Covers):
            async def upload(self, requests: AsyncIterator[Any], /) -> StringValue:
                async for _ in requests:
                    break
                return text("enough")

        server = HttpServer("127.0.0.1:0")
        server.mount(Mount(services=[Short()]))
        body = form(part("file", bytes(100_000), filename="a"))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/covers/b7", headers=FORM, body=body)
        assert answer.json() == "enough"


class TestClient:
    async def test_message_travels_as_a_form(self) -> None:
        server, service = covers()
        request = Cover(
            book_id="b/7",
            pages=3,
            words=["a", "ü"],
            raw=b"\x00\r\n--",
            files=[HttpBody(content_type="image/png", data=b"1")],
            tag=Tag(label="x"),
            tags=[Tag(), Tag(weight=2)],
            at={"seconds": 20},
            file_name='a"b.png',
        )
        async with client_of(server) as client:
            assert await client.unary(SET, request, None) == request
        assert service.requests == [request]

    async def test_field_travels_as_a_form(self) -> None:
        server, _ = covers()
        request = Cover(pages=3, tag=Tag(label="x"))
        async with client_of(server) as client:
            assert await client.unary(INNER, request, None) == request

    async def test_upload_travels_as_a_form(self) -> None:
        server, service = covers()
        body = HttpBody(content_type="image/png", data=bytes(50_000))
        pieces = [Cover(book_id="b7", pages=3, file_name="a.png", file=body) for _ in range(4)]
        async with client_of(server) as client:
            assert (await client.client_stream(UPLOAD, pieces, None)).value == "200000"
        for request in service.requests:
            request.file.data = b""
            kind = HttpBody(content_type="image/png")
            assert request == Cover(book_id="b7", pages=3, file_name="a.png", file=kind)

    async def test_upload_of_nothing_is_an_empty_file(self) -> None:
        server, service = covers()
        async with client_of(server) as client:
            await client.client_stream(UPLOAD, [Cover(book_id="b7")], None)
        (request,) = service.requests
        assert request.file.data == b""

    async def test_refusal_of_a_part_arrives(self) -> None:
        server, _ = covers(limits=Limits(max_body=1000))
        async with client_of(server) as client:
            with pytest.raises(Error) as failure:
                await client.unary(SET, Cover(book_id="x", raw=bytes(2000)), None)
        assert failure.value.code == 413


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BODIES = st.builds(
    HttpBody, content_type=st.sampled_from(["image/png", "a/b"]), data=st.binary(max_size=20)
)
TAGS = st.builds(Tag, label=TEXTS, weight=st.integers(-(2**31), 2**31 - 1))
COVERS = st.builds(
    Cover,
    book_id=TEXTS,
    pages=st.integers(-(2**31), 2**31 - 1),
    ready=st.booleans(),
    words=st.lists(TEXTS, max_size=3),
    raw=st.binary(max_size=20),
    raws=st.lists(st.binary(max_size=20), max_size=3),
    file=st.none() | BODIES,
    files=st.lists(BODIES, max_size=2),
    tag=st.none() | TAGS,
    tags=st.lists(TAGS, max_size=2),
    numbers=st.lists(st.integers(-5, 5), max_size=3),
)


@given(COVERS)
def test_whatever_is_written_is_read(message: Any) -> None:
    codec = encoding.DEFAULT.get("protojson")
    assert codec is not None
    data = write_form(message, codec, "xx")
    read = Cover()
    Form(Cover.DESCRIPTOR, encoding.DEFAULT, FormLimits()).read(form_type("xx"), data, read)
    assert read == message
