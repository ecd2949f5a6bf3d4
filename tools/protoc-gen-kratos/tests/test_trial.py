"""Tests that services begin with: they run as they are, and are never overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protoc_gen_kratos import DefinitionError, Options, Result, generate
from protoc_gen_kratos.main import respond

Generate = Callable[..., Result]
Write = Callable[[Result, Path], Path]
TypeErrors = Callable[[Path], list[str]]

GREETER = """syntax = "proto3";
package helloworld.v1;
service Greeter {
  // Says hello.
  rpc SayHello(FakeGreeter) returns (HelloReply);
  rpc Chat(stream FakeGreeter) returns (stream HelloReply);
}
service Idle {}
message FakeGreeter {}
message HelloReply { string message = 1; }
"""
EXPECTED = '''"""Tests of ``helloworld.v1.Greeter``: say in each what is expected."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from kratos.testing import serving

from shop.api.helloworld.v1 import greeter_pb2
from shop.api.helloworld.v1.greeter_kratos import Greeter, GreeterClient
from shop.api.helloworld.v1.greeter_pb2 import HelloReply

pytestmark = pytest.mark.asyncio


class FakeGreeter(Greeter):
    """Answers with nothing: import your service, and test that instead."""

    async def say_hello(self, request: greeter_pb2.FakeGreeter, /) -> HelloReply:
        """Says hello."""
        return HelloReply()

    async def chat(
        self, requests: AsyncIterator[greeter_pb2.FakeGreeter], /
    ) -> AsyncIterator[HelloReply]:
        """Serve ``/helloworld.v1.Greeter/Chat``."""
        async for _ in requests:
            yield HelloReply()


async def test_say_hello() -> None:
    async with serving(FakeGreeter()) as caller:
        reply = await GreeterClient(caller).say_hello(greeter_pb2.FakeGreeter())
        assert reply == HelloReply()


async def test_chat() -> None:
    async with serving(FakeGreeter()) as caller:
        async with GreeterClient(caller).chat() as stream:
            await stream.send(greeter_pb2.FakeGreeter())
            await stream.end()
            replies = [reply async for reply in stream]
        assert replies == [HelloReply()]
'''
NAME = "test_helloworld_v1_greeter.py"


def answer(zoo: tuple[bytes, list[str]], parameter: str) -> CodeGeneratorResponse:
    descriptor_set, names = zoo
    files = FileDescriptorSet.FromString(descriptor_set).file
    request = CodeGeneratorRequest(file_to_generate=names, parameter=parameter, proto_file=files)
    return CodeGeneratorResponse.FromString(respond(request.SerializeToString()))


def test_each_service_with_methods_gets_tests(generated: Generate) -> None:
    options = Options(tests="tests", tests_package="shop.api")
    result = generated({"helloworld/v1/greeter.proto": GREETER}, options)
    assert {file.path: file.content for file in result.files} == {NAME: EXPECTED}


def test_services_that_would_share_a_file_are_refused(generated: Generate) -> None:
    one = "message M {} service B_C { rpc Do(M) returns (M); }"
    other = 'import "a.proto"; service C { rpc Do(a.M) returns (a.M); }'
    texts = {
        "a.proto": f'syntax = "proto3"; package a; {one}',
        "b.proto": f'syntax = "proto3"; package a.b; {other}',
    }
    with pytest.raises(DefinitionError, match=r"tests of a\.b\.C and of a\.B_C would both be"):
        generated(texts, Options(tests="tests"))


def test_tests_that_are_there_are_left_out_of_the_answer(
    zoo: tuple[bytes, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    every = [file.name for file in answer(zoo, "tests=tests").file]
    assert "test_shop_v1_depot.py" in every
    (tmp_path / "tests/test_shop_v1_depot.py").write_text("mine")
    rest = [file.name for file in answer(zoo, "tests=tests").file]
    assert rest == [name for name in every if name != "test_shop_v1_depot.py"]


def test_a_folder_that_is_not_there_is_refused(
    zoo: tuple[bytes, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wrong name would take every file for a new one, and overwrite it.
    monkeypatch.chdir(tmp_path)
    response = answer(zoo, "tests=test")
    assert "tests is 'test', which is no folder in" in response.error
    assert not response.file


@pytest.mark.slow
def test_the_tests_of_the_zoo_run_and_pass_the_checkers(
    zoo: tuple[bytes, list[str]], written: Write, type_errors: TypeErrors, tmp_path: Path
) -> None:
    package = written(generate(*zoo), tmp_path / "zoo")
    result = generate(*zoo, options=Options(tests="tests", tests_package="zoo"))
    tests = written(result, package / "tests")
    assert type_errors(package) == []
    settings = ("--isolated", "--config", "line-length=100", "--config", "src=[]")
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "--check", *settings, str(tests)], check=True)
    rules = ["check", "--select=E,F,I,UP,RUF", *settings, str(tests)]
    subprocess.run([*ruff, *rules], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:xdist", str(tests)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
