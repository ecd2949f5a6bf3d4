"""``kratos call``: methods of a running service from JSON, by its own definitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from kratos import App
from kratos.definition import MetadataService
from kratos.testing.app import running
from kratos.testing.program import free_port
from kratos.transport import Service
from kratos_cli.calling import sources
from kratos_cli.main import main
from kratos_cli.proto.compiler import compile_definitions
from kratos_cli.proto.inputs import find_inputs
from kratos_grpc import GrpcServer, ServerTls
from kratos_grpc.reflection import REFLECTION
from kratos_http import HttpServer

PROTO = Path(__file__).parent / "proto"
FULL = '{"name": "a", "weight": "7", "labels": ["x"], "parts": {"p": "KIND_BOX"}, "floor": 2}'

Call = Callable[..., Awaitable[Any]]
Serve = Callable[..., AbstractAsyncContextManager[Any]]

engines = pytest.mark.parametrize("engine", ["kratos", "grpcio"])
ways = pytest.mark.parametrize("way", ["grpc", "http"])


async def test_services_are_listed(serve: Serve, call: Call) -> None:
    async with serve() as at:
        over_grpc, over_http = await call(at.grpc), await call(at.http)
        lines = await call(at.http, "--json")
    assert over_grpc.out.splitlines() == [
        "depot.v1.Depot",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "kratos.api.Metadata",
    ]
    assert over_http.out.splitlines() == ["depot.v1.Depot", "kratos.api.Metadata"]
    assert lines.out.splitlines()[0] == '{"service": "depot.v1.Depot"}'


async def test_service_is_described_with_its_rules_and_messages(serve: Serve, call: Call) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "Depot")
        as_json = await call(at.grpc, "depot.v1.Depot", "--json")
    lines = ran.out.splitlines()
    assert lines[0] == "service depot.v1.Depot {"
    assert "  rpc PutAll(stream depot.v1.Item) returns (depot.v1.Item)" in lines
    assert "    POST /v1/items/{name}" in lines
    assert lines[lines.index("message depot.v1.Item {") :] == [
        "message depot.v1.Item {",
        "  string name = 1",
        "  int64 weight = 2",
        "  repeated string labels = 3",
        "  map<string, depot.v1.Kind> parts = 4",
        "  optional bool fragile = 5",
        "  oneof place string shelf = 6",
        "  oneof place int32 floor = 7",
        "}",
        "",
        "enum depot.v1.Kind {",
        "  KIND_UNSPECIFIED = 0",
        "  KIND_BOX = 1",
        "}",
    ]
    told = json.loads(as_json.out)
    assert told["methods"][2] == {
        "name": "Split",
        "operation": "/depot.v1.Depot/Split",
        "arity": "server_stream",
        "request": "depot.v1.Item",
        "reply": "depot.v1.Item",
        "http": ["GET /v1/items/{name}:split"],
    }


@ways
@engines
async def test_service_of_foreign_messages_is_described_with_its_rules_and_called(
    serve: Serve, call: Call, gate: Callable[[], Any], engine: str, way: str
) -> None:
    async with serve(engine, service=gate) as at:
        target = getattr(at, way)
        described = await call(target, "Gate")
        passed = await call(target, "Gate/Pass", '{"name": "a", "shelf": "b"}', "--json")
    assert described.out.splitlines()[:4] == [
        "service depot.v1.Gate {",
        "  rpc Pass(depot.v1.Item) returns (depot.v1.Item)",
        "    GET /v1/gates/{shelf}/items/{name}",
        "}",
    ]
    assert passed.status == 0, passed.err
    assert json.loads(passed.out)["shelf"] == "b"


async def test_given_definitions_are_described_with_their_comments(
    serve: Serve, call: Call
) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "Depot", "--proto", str(PROTO), "-I", str(PROTO))
    assert "// Keeps things.\nservice depot.v1.Depot {\n  // Answers with the item" in ran.out


@ways
@engines
async def test_every_arity_is_called(serve: Serve, call: Call, engine: str, way: str) -> None:
    async with serve(engine) as at:
        target = getattr(at, way)
        single = await call(target, "Depot/Put", FULL)
        gathered = await call(target, "PutAll", stdin='{"name":"a"}\n\n{"name":"b"}\n')
        split = await call(target, "depot.v1.Depot.Split", '{"name":"xyz"}')
        weighed = await call(target, "Weigh", '{"name":"a"} {"name":"b"}')
        apart = await call(target, "Weigh", '{"name":"a"}', '{"name":"b"}')
    assert json.loads(single.out) == json.loads(FULL)
    assert json.loads(gathered.out)["name"] == "a+b"
    assert [json.loads(line)["name"] for line in split.out.splitlines()] == ["x", "y", "z"]
    assert [json.loads(line)["name"] for line in weighed.out.splitlines()] == ["a", "b"]
    assert apart.out == weighed.out
    assert (single.status, gathered.status, split.status, weighed.status) == (0, 0, 0, 0)


async def test_reply_of_a_unary_method_is_laid_out_or_one_line(serve: Serve, call: Call) -> None:
    async with serve() as at:
        laid_out = await call(at.grpc, "Put", "{}")
        line = await call(at.grpc, "Put", "-", "--json", stdin='{\n"name": "a"}\n')
        empty = await call(at.grpc, "Put", "--json")
    assert len(laid_out.out.splitlines()) > 2
    assert len(line.out.splitlines()) == 1
    assert json.loads(line.out)["name"] == "a"
    assert json.loads(empty.out) == json.loads(laid_out.out)


@ways
async def test_error_is_shown_with_reason_metadata_and_details(
    serve: Serve, call: Call, way: str
) -> None:
    async with serve() as at:
        ran = await call(getattr(at, way), "Put", '{"name":"a","weight":200}')
    assert ran.status == 1
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines[:2] == [
        "kratos call: error: 409 TOO_HEAVY: no shelf holds a",
        "  limit: 100",
    ]
    kind, _, detail = lines[2].strip().partition(" ")
    assert kind == "detail"
    shown = json.loads(detail)
    assert shown["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert shown["fieldViolations"][0]["field"] == "weight"


async def test_error_is_one_line_of_json_after_the_replies_before_it(
    serve: Serve, call: Call
) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "Weigh", "--json", stdin='{"name":"a"}\n{"weight":200}\n')
    assert ran.status == 1
    assert [json.loads(line)["name"] for line in ran.out.splitlines()] == ["a"]
    told = json.loads(ran.err)
    assert (told["code"], told["reason"], told["metadata"]) == (409, "TOO_HEAVY", {"limit": "100"})
    assert len(told["details"]) == 1


async def test_headers_go_and_come(serve: Serve, call: Call) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "Put", "{}", "-H", "X-Shelf: 9:b", "-v")
    assert "header x-shelf: 9:b" in ran.err.splitlines()


@ways
async def test_nothing_that_a_server_says_is_obeyed_by_a_terminal(
    serve: Serve, call: Call, way: str
) -> None:
    evil = "\x1b]0;x\x07\x9b2J\u202e"
    named = json.dumps({"name": evil})
    async with serve() as at:
        reply = await call(getattr(at, way), "Put", named)
        error = await call(getattr(at, way), "Put", json.dumps({"name": evil, "weight": 200}))
        as_json = await call(getattr(at, way), "Put", named, "--json")
    for ran in (reply, error, as_json):
        assert not {*(ran.out + ran.err)} & {*evil} - {*"]0;x2J"}
    assert json.loads(reply.out)["name"] == evil
    assert json.loads(as_json.out)["name"] == evil
    assert r"no shelf holds \u001b]0;x\u0007\u009b2J\u202e" in error.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["Depott"], "there is no service or method 'Depott'; did you mean 'Depot'?"),
        (["Depot/Pit"], "depot.v1.Depot has no method 'Pit'; did you mean 'Put'?"),
        (["Dopot/Put"], "there is no service 'Dopot'; did you mean 'Depot'?"),
        (["Wiegh"], "did you mean 'Weigh'?"),
        (["Depot", "{}"], "is a service; write Depot/METHOD"),
        (["ServerReflectionInfo", "{}"], "write Service/Method"),
        (["Put", "{name: 1}"], "the request is no JSON"),
        (["Put", '{"nam": "x"}'], "has no such field; did you mean 'name'?"),
        (["Put", '{"xyz": "x"}'], "has no such field; it has name, weight, labels, parts, "),
        (["Put", "{} {}"], "takes one request, and there are 2"),
        (["Put", "{}", "{}"], "takes one request, and there are 2"),
        (["Weigh", "{}", "-"], "not both"),
        (["Weigh", '{} {"weight": "x"}'], "the request is no depot.v1.Item: $.weight"),
        (["PutAll", '{} {"weight": "x"}'], "the request is no depot.v1.Item: $.weight"),
        (["Put", "-H", "x"], "write 'name: value'"),
        (["Put", "--insecure", "--ca", "x"], "drop one"),
        (["Put", "-I", "x"], "name them with --proto"),
        (["Put", "--descriptors", "/nowhere"], "/nowhere: No such file"),
        (["Put", "--proto", "x", "--descriptors", "y"], "not both"),
    ],
)
async def test_what_is_called_wrongly_is_told(
    serve: Serve, call: Call, words: list[str], problem: str
) -> None:
    async with serve() as at:
        ran = await call(at.grpc, *words)
    assert ran.status == 2
    assert problem in ran.err
    assert ran.err.startswith("kratos call: error: ")


async def test_server_that_tells_nothing_is_called_by_given_definitions(
    serve: Serve, call: Call, tmp_path: Path
) -> None:
    compiled = tmp_path / "depot.binpb"
    inputs = find_inputs([str(PROTO)], [str(PROTO)])
    compiled.write_bytes(compile_definitions(list(inputs.paths), inputs))
    async with serve(describes=False, reflection=False) as at:
        refusals = [await call(at.grpc, "Put", "{}"), await call(at.http, "Put", "{}")]
        by_set = await call(at.grpc, "Put", "{}", "--descriptors", str(compiled))
        named = '{"name": "a"}'
        by_proto = await call(at.http, "Put", named, "--proto", str(PROTO), "-I", str(PROTO))
    for refusal in refusals:
        assert refusal.status == 1
        assert "--proto" in refusal.err
    assert (by_set.status, by_proto.status) == (0, 0)


async def test_name_is_looked_up_in_a_registry(serve: Serve, call: Call, tmp_path: Path) -> None:
    registry = f"file://{tmp_path}"
    server = GrpcServer("127.0.0.1:0")
    async with running(App(name="depot", servers=[server], registrar=registry)):
        ran = await call("discovery:///depot", "--registry", registry)
        unknown = await call("discovery:///deport", "--registry", registry)
    assert "grpc.health.v1.Health" in ran.out
    assert unknown.status == 1
    assert "no instance is registered" in unknown.err
    unsaid = await call("discovery:///depot")
    assert unsaid.status == 2
    assert "pass the registry with --registry URL" in unsaid.err


async def test_options_may_stand_between_words(serve: Serve, call: Call) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "--timeout", "5", "Put", "--json", '{"name": "a"}')
    assert (ran.status, json.loads(ran.out)["name"]) == (0, "a")


def test_option_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["call", "x:1", "--jsn", "Put"])
    assert ended.value.code == 2
    assert "there is no option --jsn; did you mean '--json'?" in capsys.readouterr().err


async def test_registered_transport_is_taken_where_none_is_given(
    call: Call, tmp_path: Path
) -> None:
    registry = f"file://{tmp_path}"
    services: list[Any] = [MetadataService([])]
    server = HttpServer("127.0.0.1:0")
    async with running(App(name="d", services=services, servers=[server], registrar=registry)):
        ran = await call("discovery:///d", "--registry", registry)
        other = await call("discovery:///d", "--registry", registry, "--transport", "grpc")
        secure = await call("discovery:///d", "--registry", registry, "--tls")
    assert (ran.status, ran.out) == (0, "kratos.api.Metadata\n")
    assert (other.status, secure.status) == (1, 2)
    assert "; leave --tls and its like out" in secure.err


async def test_registered_tls_has_to_be_asked_for(call: Call, tmp_path: Path) -> None:
    registry = f"file://{tmp_path}"
    made = trustme.CA().issue_cert("127.0.0.1")
    tls = ServerTls(certificate=made.cert_chain_pems[0].bytes(), key=made.private_key_pem.bytes())
    server = GrpcServer("127.0.0.1:0", tls=tls)
    async with running(App(name="d", servers=[server], registrar=registry)):
        plain = await call("discovery:///d", "--registry", registry)
        secure = await call("discovery:///d", "--registry", registry, "--insecure")
    assert plain.status == 2
    assert "d is at grpcs://127.0.0.1:" in plain.err
    assert "pass --tls, --ca or --insecure" in plain.err
    assert "grpc.health.v1.Health" in secure.out


class Mute:
    """A registry that never answers."""

    closed = False

    async def watch(self, _name: str) -> Any:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


async def test_registry_that_does_not_answer_is_given_up(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = Mute()

    def opened(_url: str) -> Mute:
        return mute

    monkeypatch.setattr("kratos_cli.calling.transports.from_url", opened)
    ran = await call("discovery:///d", "--registry", "mute://", "--timeout", "50ms")
    assert ran.status == 1
    assert "the registry did not answer within 0.05 s" in ran.err
    assert mute.closed


@engines
async def test_server_is_reached_by_tls(
    serve: Serve, call: Call, engine: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    tls = ServerTls(certificate=made.cert_chain_pems[0].bytes(), key=made.private_key_pem.bytes())
    async with serve(engine, tls=tls) as at:
        verified = await call(f"grpcs://{at.grpc}", "Put", "{}", "--ca", str(ca))
        anybody = await call(at.grpc, "Put", "{}", "--insecure")
        stranger = await call(at.grpc, "Put", "{}", "--tls")
    assert (verified.status, anybody.status, stranger.status) == (0, 0, 1)
    assert "certificate" in stranger.err


async def test_server_that_is_not_there_is_told_at_once(call: Call) -> None:
    port = free_port()
    for target in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
        ran = await call(target, "Put", "{}")
        assert ran.status == 1
        assert "Connect call failed" in ran.err
        assert ran.err.count(f"127.0.0.1:{port}") == 1


async def test_time_limit_ends_a_call(serve: Serve, call: Call) -> None:
    async with serve() as at:
        ran = await call(at.grpc, "Put", "{}", "--timeout", "1ns")
    assert ran.status == 1
    assert "504" in ran.err


@pytest.mark.parametrize("scheme", ["", "grpc://", "http://"])
def test_address_where_nobody_listens_is_told_once(
    capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    address = f"{scheme}127.0.0.1:1"
    assert main(["call", address, "a.B/C", "{}"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"kratos call: error: {address} cannot be reached: [Errno ")


def test_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["call", "x:1", "--timeout", "soon"])
    assert ended.value.code == 2
    assert "'soon' is no time" in capsys.readouterr().err


class Liar(Service):
    """A server's reflection that answers whatever a test says."""

    METHODS = (REFLECTION,)

    def __init__(self, *files: bytes) -> None:
        self.files = files

    async def server_reflection_info(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        async for request in requests:
            reply = REFLECTION.reply()
            if request.WhichOneof("message_request") == "list_services":
                reply.list_services_response.service.add(name="a\x1b[2J.Liar")
            else:
                files = self.files or (further(request.file_by_filename),)
                reply.file_descriptor_response.file_descriptor_proto.extend(files)
            yield reply


def further(name: str) -> bytes:
    """Return a file that needs another one, as the next one will."""
    number = int(name.removesuffix(".proto") or 0)
    return FileDescriptorProto(
        name=name or "0.proto", dependency=[f"{number + 1}.proto"]
    ).SerializeToString()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ((b"\x0a\xff",), "the server defines it by what is no file"),
        ((FileDescriptorProto(name="a.proto").SerializeToString(),), "Liar in them"),
        ((), "have more than 20 files"),
    ],
)
async def test_server_that_tells_nonsense_is_told(
    call: Call, files: tuple[bytes, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MOST_FILES", 20)
    server = GrpcServer("127.0.0.1:0", reflection=False)
    async with running(App(name="liar", services=[Liar(*files)], servers=[server])) as app:
        listed = await call(app.endpoints[0])
        ran = await call(app.endpoints[0], "Liar")
    assert listed.out == "a\\u001b[2J.Liar\n"
    assert ran.status == 1
    assert problem in ran.err
    assert "Traceback" not in ran.err


async def test_descriptors_that_are_none_are_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.binpb").write_bytes(b"\x0a\xff")
    ran = await call("127.0.0.1:1", "Put", "--descriptors", str(tmp_path / "bad.binpb"))
    assert ran.status == 1
    assert "the definitions cannot be used: they are none" in ran.err
