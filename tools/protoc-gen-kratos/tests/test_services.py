"""Service and client classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import DefinitionError, Result

Generate = Callable[..., Result]
Write = Callable[[Result, Path], Path]
Python = Callable[..., str]

GREETER = """syntax = "proto3";
package helloworld;
// Greets.
service Greeter {
  // Says hello.
  rpc SayHello(HelloRequest) returns (HelloReply);
  rpc Watch(HelloRequest) returns (stream HelloReply);
  rpc Collect(stream HelloRequest) returns (HelloReply);
  rpc Chat(stream HelloRequest) returns (stream HelloReply);
  rpc Old(HelloRequest) returns (HelloReply) { option deprecated = true; }
}
message HelloRequest { string name = 1; }
message HelloReply { string message = 1; }
"""


def refused(generated: Generate, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as error:
        generated({"test.proto": 'syntax = "proto3"; message M {}\n' + text})
    return [problem.text() for problem in error.value.problems]


def test_all_four_arities_are_served_and_called(
    generated: Generate, written: Write, python: Python, tmp_path: Path
) -> None:
    written(generated({"helloworld/greeter.proto": GREETER}), tmp_path / "api")
    program = """
import asyncio
from kratos.transport import Arity, local
from api.helloworld.greeter_kratos import Greeter, GreeterClient
from api.helloworld.greeter_pb2 import HelloReply, HelloRequest

class Mine(Greeter):
    async def say_hello(self, request):
        return HelloReply(message=f"hello {request.name}")
    async def watch(self, request):
        yield HelloReply(message="one")
        yield HelloReply(message="two")
    async def collect(self, requests):
        return HelloReply(message=" ".join([request.name async for request in requests]))
    async def chat(self, requests):
        async for request in requests:
            yield HelloReply(message=request.name.upper())
    async def old(self, request):
        return HelloReply()

async def main():
    client = GreeterClient(local(Mine()))
    assert (await client.say_hello(HelloRequest(name="you"))).message == "hello you"
    async with client.watch(HelloRequest()) as replies:
        assert [reply.message async for reply in replies] == ["one", "two"]
    names = [HelloRequest(name="a"), HelloRequest(name="b")]
    assert (await client.collect(names)).message == "a b"
    async with client.chat() as call:
        await call.send(HelloRequest(name="x"))
        await call.end()
        assert [reply.message async for reply in call] == ["X"]

asyncio.run(main())
assert [method.operation for method in Greeter.METHODS][:2] == [
    "/helloworld.Greeter/SayHello", "/helloworld.Greeter/Watch"]
assert [method.arity for method in Greeter.METHODS][:4] == [
    Arity.UNARY, Arity.SERVER_STREAM, Arity.CLIENT_STREAM, Arity.BIDI_STREAM]
assert [method.deprecated for method in Greeter.METHODS] == [False] * 4 + [True]
assert Greeter.__doc__ == "Greets." == GreeterClient.__doc__
assert Greeter.say_hello.__doc__ == "Says hello." == GreeterClient.say_hello.__doc__
assert Greeter.old.__doc__ == "Deprecated."
"""
    python(program, tmp_path)


def test_two_methods_that_fold_to_one_name_are_refused_with_both_lines(
    generated: Generate,
) -> None:
    text = "service S {\n  rpc GetIt(M) returns (M);\n  rpc get_it(M) returns (M);\n}"
    assert refused(generated, text) == [
        "test.proto:4: S.get_it and S.GetIt (line 3) would both be 'get_it' in Python; rename one"
    ]


def test_constants_of_two_services_cannot_meet(generated: Generate) -> None:
    text = "service A { rpc BC(M) returns (M); }\nservice A_B { rpc C(M) returns (M); }"
    (problem,) = refused(generated, text.replace("BC", "B_C"))
    assert problem.startswith("test.proto:3: the constant of A_B.C and the constant of A.B_C")


def test_a_service_cannot_be_called_like_the_client_of_another(generated: Generate) -> None:
    (problem,) = refused(generated, "service A {}\nservice AClient {}")
    assert "AClient and the client of A (line 2) would both be 'AClient'" in problem


def test_a_service_without_methods_is_generated(generated: Generate) -> None:
    result = generated({"a.proto": 'syntax = "proto3"; service Empty {}'})
    typed = next(file.content for file in result.files if file.path == "a_kratos.py")
    assert "METHODS: ClassVar[tuple[Method[Any, Any], ...]] = ()" in typed


def test_messages_called_like_what_the_module_uses_are_reached_through_their_module(
    generated: Generate,
) -> None:
    text = """syntax = "proto3";
message Method {}
message _Hidden {}
service Service { rpc Do(Method) returns (_Hidden); }
"""
    result = generated({"a.proto": text})
    typed = next(file.content for file in result.files if file.path == "a_kratos.py")
    assert "# pyright: reportPrivateUsage=false\n" in typed
    assert "from . import a_pb2 as _a_pb2\nfrom .a_pb2 import _Hidden\n" in typed
    assert "request=_a_pb2.Method,\n    reply=_Hidden,\n" in typed
    assert "class Service(_Service):" in typed


ELSEWHERE = """syntax = "proto3";
package helloworld;
import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
service Pinger {
  rpc Ping(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/ping"};
  }
}
"""
LOADED = """
from google.api import annotations_pb2
from api.helloworld.pinger_kratos import PINGER_PING
pool = PINGER_PING.request.DESCRIPTOR.file.pool
method = pool.FindServiceByName("helloworld.Pinger").methods_by_name["Ping"]
print(method.GetOptions().Extensions[annotations_pb2.http].get)
"""


def test_a_service_of_foreign_messages_loads_its_own_definition(
    generated: Generate, written: Write, python: Python, tmp_path: Path
) -> None:
    written(generated({"helloworld/pinger.proto": ELSEWHERE}), tmp_path / "api")
    assert python(LOADED, tmp_path) == "/ping\n"


def test_a_module_is_loaded_beside_a_service_of_its_name(
    generated: Generate, written: Write, python: Python, tmp_path: Path
) -> None:
    text = ELSEWHERE.replace("service Pinger", "service pinger_pb2")
    written(generated({"helloworld/pinger.proto": text}), tmp_path / "api")
    program = LOADED.replace("PINGER_PING", "PINGER_PB2_PING").replace(".Pinger", ".pinger_pb2")
    assert python(program, tmp_path) == "/ping\n"
