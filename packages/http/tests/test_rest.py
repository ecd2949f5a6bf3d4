"""REST by the rules of ``google.api.http``, on both engines."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from importlib import import_module
from typing import Any, ClassVar

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue

from kratos.encoding import DEFAULT
from kratos.errors import ConfigError, Error, StartupError
from kratos.transport import (
    Arity,
    Call,
    Handler,
    HttpRule,
    Method,
    Mount,
    Service,
    server_call,
)
from kratos.transport.http import Head, HttpApplication, Reply
from kratos_http import HttpServer, Limits, Redirect, encode_error, encode_reply
from kratos_http.testing import OpenPeer

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
AttributeContext: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext
BadRequest: Any = import_module("google.rpc.error_details_pb2").BadRequest
Status: Any = import_module("google.rpc.status_pb2").Status


def letter_type() -> Any:
    """Make a message that holds raw bytes beside a field of its own."""
    field = FieldDescriptorProto
    file = FileDescriptorProto(name="test/letter.proto", package="test", syntax="proto3")
    file.dependency.append("google/api/httpbody.proto")
    letter = file.message_type.add(name="Letter")
    letter.field.add(name="to", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    letter.field.add(
        name="content",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".google.api.HttpBody",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("test.Letter"))


Letter = letter_type()

JSON = [("Content-Type", "application/json")]


def unary(name: str, kind: type[Message], *rules: HttpRule) -> Method[Any, Any]:
    """Make a method as generated code has it, with one type for both directions."""
    return Method(
        operation=f"/test.Library/{name}",
        name=name.lower(),
        arity=Arity.UNARY,
        request=kind,
        reply=kind,
        http=rules,
    )


def rule(verb: str, path: str, body: str = "", response_body: str = "") -> HttpRule:
    """Make a rule."""
    return HttpRule(verb=verb, path=path, body=body, response_body=response_body)


class Library(Service):
    """Answers with what it was asked, unless a word asks for more."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        unary("Get", Status, rule("GET", "/books/{message}")),
        unary("Put", Status, rule("PUT", "/books/{message}", "*"), rule("POST", "/books", "*")),
        unary("Cancel", Status, rule("POST", "/books/{message}:cancel", "*")),
        unary("Read", StringValue, rule("GET", "/files/{value=**}")),
        unary("All", StringValue, rule("*", "/all/{value}")),
        unary("Search", AttributeContext.Request, rule("GET", "/hosts/{host}/search")),
        unary("Grant", AttributeContext.Request, rule("POST", "/hosts/{host}", "auth", "auth")),
        unary("Raw", HttpBody, rule("POST", "/raw", "*")),
        unary("Fix", BadRequest, rule("POST", "/fixes", "field_violations", "field_violations")),
        unary("Tree", Struct, rule("POST", "/tree", "*")),
        unary("Send", Letter, rule("POST", "/letters/{to}", "content", "content")),
        unary("Wrong", Status, rule("POST", "/wrong", "*")),
        unary("Hidden", Status),
    )

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.requests: list[Any] = []

    async def get(self, request: Any, /) -> Any:
        """Answer with the request."""
        call = server_call()
        assert call is not None
        self.calls.append(call)
        self.requests.append(request)
        word = getattr(request, "message", "")
        if word == "fail":
            raise Error(409, "BUSY", "try later", {"table": "7", "ünï": "cödé"})
        if word in ("10001", "99", "150", "0"):
            raise Error(int(word), "ODD", "no status of HTTP")
        if word == "crash":
            raise RuntimeError("an inner secret")
        if word == "elsewhere":
            raise Redirect("/books/there?x=1", 307)
        if word == "headers":
            call.reply_headers.add("Set-Cookie", "a=1")
            call.reply_headers.add("Set-Cookie", "b=2")
            call.reply_headers.set("Content-Type", "application/vnd.test")
            call.trailers.add("x-sum", "1")
        if word == "slow":
            await asyncio.get_running_loop().create_future()
        return request

    put = cancel = read = all = search = grant = raw = fix = tree = send = hidden = get

    async def wrong(self, request: Any, /) -> Any:
        """Answer with another type than the one that was promised."""
        return StringValue(value="wrong")


def library(**options: Any) -> tuple[HttpServer, Library]:
    """Make a server of a library."""
    server = HttpServer("127.0.0.1:0", **options)
    service = Library()
    server.mount(Mount(services=[service]))
    return server, service


class TestBinding:
    async def test_path_variable_is_bound(self, open_peer: OpenPeer) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/dune")
        assert answer.status == 200
        assert answer.header("content-type") == "application/json"
        assert answer.json() == {"code": 0, "message": "dune", "details": []}
        assert service.calls[0].method.operation == "/test.Library/Get"
        assert service.calls[0].transport == "http"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/books/d%C3%BCne%20%F0%9F%8C%8D", "düne 🌍"),
            ("/books/a%2Fb", "a/b"),
            ("/books/a+b", "a+b"),
            ("/books/a%3Acancel", "a:cancel"),
            ("/books/%61", "a"),
            ("/b%6Foks/a", "a"),
        ],
    )
    async def test_path_variable_is_decoded(
        self, open_peer: OpenPeer, path: str, value: str
    ) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            assert (await peer.request("GET", path)).json()["message"] == value

    async def test_rest_of_a_path_is_bound_with_its_slashes(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            assert (await peer.request("GET", "/files/a/b%20c/d%2Fe")).json() == "a/b c/d%2Fe"
            assert (await peer.request("GET", "/files")).json() == ""

    async def test_custom_verb_is_told_from_a_name(self, open_peer: OpenPeer) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            await peer.request("POST", "/books/dune:cancel")
            await peer.request("PUT", "/books/dune:other", headers=JSON, body=b"{}")
        assert [call.method.name for call in service.calls] == ["cancel", "put"]
        assert [request.message for request in service.requests] == ["dune", "dune:other"]

    async def test_query_is_bound_and_the_path_wins(self, open_peer: OpenPeer) -> None:
        server, service = library()
        query = "id=a%20b&size=9007199254740993&headers[x]=1&host=lost&unknown=1"
        lists = "auth.audiences=p&auth.audiences=q"
        async with open_peer(server) as peer:
            await peer.request("GET", f"/hosts/h/search?{query}&{lists}")
        request = service.requests[0]
        assert (request.id, request.size, request.host) == ("a b", 9007199254740993, "h")
        assert dict(request.headers) == {"x": "1"}
        assert list(request.auth.audiences) == ["p", "q"]

    async def test_query_is_not_bound_beside_a_whole_body(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "POST", "/books?message=query", headers=JSON, body=b'{"code":7}'
            )
        assert answer.json() == {"code": 7, "message": "", "details": []}

    async def test_path_wins_over_the_body(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "PUT", "/books/path", headers=JSON, body=b'{"message":"body","code":7}'
            )
        assert answer.json() == {"code": 7, "message": "path", "details": []}

    async def test_field_holds_the_body_and_the_query_the_rest(self, open_peer: OpenPeer) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "POST", "/hosts/h?id=i", headers=JSON, body=b'{"principal":"p"}'
            )
        request = service.requests[0]
        assert (request.host, request.id, request.auth.principal) == ("h", "i", "p")
        assert answer.json()["principal"] == "p"
        assert "host" not in answer.json()

    async def test_list_holds_the_body(self, open_peer: OpenPeer) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "POST", "/fixes", headers=JSON, body=b'[{"field":"a"},{"field":"b"}]'
            )
        assert [each.field for each in service.requests[0].field_violations] == ["a", "b"]
        assert [each["field"] for each in answer.json()] == ["a", "b"]

    async def test_field_holds_a_body_of_a_codec_for_messages_only(
        self, open_peer: OpenPeer
    ) -> None:
        server, service = library()
        body = AttributeContext.Auth(principal="p").SerializeToString()
        proto = [("Content-Type", "application/proto"), ("Accept", "application/proto")]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/hosts/h", headers=proto, body=body)
            refused = await peer.request("POST", "/fixes", headers=proto, body=b"\x00")
        assert service.requests[0].auth.principal == "p"
        assert answer.body == body
        assert refused.status == 400

    async def test_raw_body_goes_in_and_out_as_it_is(self, open_peer: OpenPeer) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "POST", "/raw", headers=[("Content-Type", "image/png")], body=b"\x89PNG\0"
            )
            empty = await peer.request("POST", "/raw")
        assert service.requests[0].content_type == "image/png"
        assert (answer.header("content-type"), answer.body) == ("image/png", b"\x89PNG\0")
        assert empty.header("content-type") == "application/octet-stream"

    async def test_raw_body_goes_into_a_field_and_out_of_one(self, open_peer: OpenPeer) -> None:
        server, service = library()
        headers = [("Content-Type", "image/png"), ("Accept", "application/json")]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/letters/me", headers=headers, body=b"\x89PNG")
        request = service.requests[0]
        assert (request.to, request.content.data) == ("me", b"\x89PNG")
        assert (answer.header("content-type"), answer.body) == ("image/png", b"\x89PNG")

    async def test_form_is_bound(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        async with open_peer(server) as peer:
            answer = await peer.request(
                "POST", "/books", headers=headers, body=b"message=a+b&code=3"
            )
        assert answer.json() == {"code": 3, "message": "a b", "details": []}

    async def test_body_without_a_type_is_empty_if_it_is(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            assert (await peer.request("POST", "/books")).status == 200

    async def test_verb_of_any_method_takes_all(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            for method in ("GET", "DELETE", "PATCH", "OPTIONS"):
                assert (await peer.request(method, "/all/x")).json() == "x"

    @pytest.mark.parametrize(
        ("method", "path", "headers", "body", "words"),
        [
            pytest.param("POST", "/books", [], b"{}", ["unregister Content-Type: "], id="no type"),
            pytest.param(
                "POST",
                "/books",
                [("Content-Type", "text/plain")],
                b"{}",
                ["unregister Content-Type: text/plain"],
                id="unknown type",
            ),
            pytest.param("POST", "/books", JSON, b"{bad", [], id="no JSON"),
            pytest.param("POST", "/books", JSON, b'{"code":"x"}', ["code"], id="no number"),
            pytest.param("POST", "/books", JSON, b"[]", [], id="no object"),
            pytest.param("GET", "/hosts/h/search?size=abc", [], b"", ["size"], id="query"),
            pytest.param("GET", "/hosts/h/search?size=%zz", [], b"", [], id="query escape"),
            pytest.param("GET", "/hosts/h/search?id=%ff", [], b"", [], id="query UTF-8"),
            pytest.param(
                "GET", "/books/a", [("Grpc-Timeout", "5x")], b"", ["Grpc-Timeout"], id="timeout"
            ),
        ],
    )
    async def test_what_cannot_be_bound_is_refused_by_name(
        self,
        open_peer: OpenPeer,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        words: list[str],
    ) -> None:
        server, service = library()
        async with open_peer(server) as peer:
            answer = await peer.request(method, path, headers=headers, body=body)
        assert (answer.status, answer.json()["reason"]) == (400, "CODEC")
        for word in words:
            assert word in answer.json()["message"]
        assert service.requests == []

    @pytest.mark.parametrize("path", ["/books/%zz", "/books/%ff", "/books/%", "/%ff"])
    async def test_malformed_path_is_refused(self, open_peer: OpenPeer, path: str) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            assert (await peer.request("GET", path)).status == 400

    async def test_body_beyond_the_limit_is_refused(self, open_peer: OpenPeer) -> None:
        server, _ = library(limits=Limits(max_body=100))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/raw", body=b"x" * 101)
        assert answer.status == 413


class TestAnswers:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/nothing", "application/json"),
            ("application/protojson", "application/protojson"),
            ("application/proto;q=0.5, application/protojson", "application/protojson"),
            ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ],
    )
    async def test_codec_is_the_one_that_is_accepted(
        self, open_peer: OpenPeer, accept: str, kind: str
    ) -> None:
        server, _ = library()
        headers = [("Accept", accept)] if accept else []
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/a", headers=headers)
        assert answer.header("content-type") == kind

    async def test_binary_answer_is_the_message(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request(
                "GET", "/books/a", headers=[("Accept", "application/proto")]
            )
        assert Status.FromString(answer.body).message == "a"

    async def test_headers_of_the_call_are_sent_with_all_their_values(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/headers")
        assert answer.values("set-cookie") == ["a=1", "b=2"]
        assert answer.values("content-type") == ["application/vnd.test"]

    async def test_error_is_whole(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/fail")
        assert answer.status == 409
        assert answer.json() == {
            "code": 409,
            "reason": "BUSY",
            "message": "try later",
            "metadata": {"table": "7", "ünï": "cödé"},
        }

    @pytest.mark.parametrize("word", ["10001", "99", "150", "0"])
    async def test_code_that_is_no_status_is_sent_as_500(
        self, open_peer: OpenPeer, word: str
    ) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", f"/books/{word}")
        assert (answer.status, answer.json()["code"]) == (500, int(word))

    async def test_unexpected_exception_tells_nothing(
        self, open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/crash")
        assert (answer.status, answer.json()["reason"]) == (500, "UNKNOWN")
        assert b"secret" not in answer.body

    async def test_reply_of_a_wrong_type_is_an_error_that_is_logged(
        self, open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/wrong")
        assert answer.status == 500
        assert "/test.Library/Wrong returned StringValue, where Status is due" in caplog.text

    async def test_redirect_sends_the_caller_elsewhere(self, open_peer: OpenPeer) -> None:
        server, _ = library()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/elsewhere")
        assert (answer.status, answer.header("location")) == (307, "/books/there?x=1")

    async def test_server_without_time_left_says_so(self, open_peer: OpenPeer) -> None:
        server, _ = library(timeout=0.02)
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/slow")
        assert (answer.status, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")

    async def test_callers_shorter_timeout_wins(self, open_peer: OpenPeer) -> None:
        server, _ = library(timeout=1000.0)
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/books/slow", headers=[("Grpc-Timeout", "20m")])
        assert answer.status == 504

    async def test_callers_longer_timeout_does_not(self, open_peer: OpenPeer) -> None:
        server, service = library(timeout=5.0)
        loop = asyncio.get_running_loop()
        async with open_peer(server) as peer:
            await peer.request("GET", "/books/a", headers=[("Grpc-Timeout", "9H")])
        deadline = service.calls[0].deadline
        assert deadline is not None
        assert deadline <= loop.time() + 5.0

    async def test_middleware_runs_outermost_first_and_sees_the_headers(
        self, open_peer: OpenPeer
    ) -> None:
        seen: list[str] = []

        def named(name: str) -> Any:
            async def middleware(call: Call, request: Any, next: Handler, /) -> Any:
                seen.append(name + call.headers.get("x-md-color"))
                return await next(call, request)

            return middleware

        server = HttpServer("127.0.0.1:0", middleware=[named("server ")])
        server.mount(Mount(services=[Library()], middleware=[named("app ")]))
        async with open_peer(server) as peer:
            await peer.request("GET", "/books/a", headers=[("X-Md-Color", "red")])
        assert seen == ["app red", "server red"]


class TestEncoders:
    async def test_envelope_wraps_replies_and_errors(self, open_peer: OpenPeer) -> None:
        def wrap(call: Call, message: Message, accept: str, /) -> Reply:
            reply = encode_reply(message, accept)
            return Reply(200, reply.headers, b'{"code":0,"data":%b}' % reply.body)

        def wrap_error(error: Error, accept: str, /) -> Reply:
            reply = encode_error(error, accept)
            return Reply(200, reply.headers, b'{"code":%d}' % error.code)

        server, _ = library(reply_encoder=wrap, error_encoder=wrap_error)
        async with open_peer(server) as peer:
            good = await peer.request("GET", "/books/a")
            bad = await peer.request("GET", "/books/fail")
            nowhere = await peer.request("GET", "/nowhere")
        assert good.json()["data"]["message"] == "a"
        assert (bad.status, bad.json()) == (200, {"code": 409})
        assert nowhere.json() == {"code": 404}

    @pytest.mark.parametrize(
        "accept", ["application/json", "application/protojson", "", "application/nothing"]
    )
    def test_error_has_all_members_in_json(self, accept: str) -> None:
        reply = encode_error(Error(404, "GONE"), accept)
        assert reply.body == b'{"code":404,"reason":"GONE","message":"","metadata":{}}'

    def test_error_is_a_status_message_in_proto(self) -> None:
        reply = encode_error(Error(400, "R", "m", {"k": "v"}), "application/proto")
        assert reply.body == b'\x08\x90\x03\x12\x01R\x1a\x01m"\x06\n\x01k\x12\x01v'

    def test_error_that_a_codec_cannot_express_is_sent_as_json(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Mute:
            name = "mute"

            def encode(self, message: Message, /) -> bytes:
                raise ValueError("cannot speak")

            def decode(self, data: bytes, message_type: Any, /) -> Any:
                return message_type()

        codecs = DEFAULT.copy()
        codecs.register(Mute())
        reply = encode_error(Error(10001, "ODD"), "application/mute", codecs=codecs)
        assert (reply.status, json.loads(reply.body)["code"]) == (500, 10001)
        assert "cannot speak" in caplog.text

    def test_error_that_quotes_what_xml_cannot_carry_is_no_reason_to_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reply = encode_error(Error(400, "CODEC", "not a number: \x01"), "application/xml")
        assert (reply.status, json.loads(reply.body)["message"]) == (400, "not a number: \x01")
        assert caplog.text == ""

    def test_raw_reply_is_encoded_as_it_is(self) -> None:
        reply = encode_reply(HttpBody(content_type="image/png", data=b"x"), "application/json")
        assert (list(reply.headers), reply.body) == ([(b"content-type", b"image/png")], b"x")

    def test_redirect_is_an_error_that_knows_where_to_go(self) -> None:
        redirect = Redirect("/there", 308)
        for copy in (redirect.clone(), pickle.loads(pickle.dumps(redirect))):
            assert isinstance(copy, Redirect)
            assert (copy.code, copy.reason, copy.location) == (308, "REDIRECT", "/there")

    @pytest.mark.parametrize(("location", "code"), [("/a\r\nb", 302), ("", 302), ("/a", 200)])
    def test_redirect_to_nowhere_is_refused(self, location: str, code: int) -> None:
        with pytest.raises(ConfigError):
            Redirect(location, code)

    def test_error_with_half_a_character_is_sent(self) -> None:
        assert encode_error(Error(400, "R", "\ud800"), "").status == 400

    async def test_filter_sees_what_leads_nowhere(self, open_peer: OpenPeer) -> None:
        paths: list[bytes] = []

        class Watch:
            def __init__(self, inner: HttpApplication) -> None:
                self._inner = inner

            def route(self, head: Head, /) -> Any:
                paths.append(head.path)
                return self._inner.route(head)

        server, _ = library(filters=[Watch])
        async with open_peer(server) as peer:
            assert (await peer.request("GET", "/nowhere")).status == 404
        assert paths == [b"/nowhere"]


class TestMounting:
    @pytest.mark.parametrize(
        ("wrong", "word"),
        [
            (rule("GET", "/a/{nothing}"), "nothing"),
            (rule("POST", "/a", "nothing"), "nothing"),
            (rule("POST", "/a", "*", "nothing"), "nothing"),
            (rule("GET", "/a/{details}"), "details"),
            (rule("GET", "a"), "'/'"),
            (rule("GET", "/a/{"), "/a/{"),
        ],
    )
    def test_wrong_rule_is_refused_by_name(self, wrong: HttpRule, word: str) -> None:
        class Broken(Service):
            METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (unary("Get", Status, wrong),)

            async def get(self, request: Any, /) -> Any:
                return request

        server = HttpServer()
        with pytest.raises(StartupError, match=r"/test\.Library/Get") as refusal:
            server.mount(Mount(services=[Broken()]))
        assert word in str(refusal.value)

    def test_server_is_mounted_once(self) -> None:
        server, _ = library()
        with pytest.raises(StartupError, match="once"):
            server.mount(Mount())

    async def test_prefix_stands_before_every_route(self, open_peer: OpenPeer) -> None:
        server, _ = library(path_prefix="/api/v1")
        async with open_peer(server) as peer:
            assert (await peer.request("GET", "/api/v1/books/a")).status == 200
            assert (await peer.request("GET", "/books/a")).status == 404

    def test_method_without_a_rule_is_not_routed(self) -> None:
        server, _ = library()
        assert not any("hidden" in route.template.text.lower() for route in server.routes)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
