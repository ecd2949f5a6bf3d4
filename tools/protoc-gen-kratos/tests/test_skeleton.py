"""Names of what services begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import DefinitionError
from protoc_gen_kratos.skeleton import read_skeletons

Compiled = Callable[[Path, list[str]], bytes]

# As in Go, names are put into UpperCamelCase, and a last "Service" is cut off and put behind; files
# are in snake_case here. All names of cmd/kratos/internal/proto/server/server_test.go that protobuf
# allows are among these.
NAMES = {
    "Greeter": ("greeter", "GreeterService"),
    "GreeterService": ("greeter", "GreeterService"),
    "HelloWorld": ("hello_world", "HelloWorldService"),
    "HTTPInfo": ("http_info", "HTTPInfoService"),
    "V2KratosDev": ("v2_kratos_dev", "V2KratosDevService"),
    "WwwBaiduCom": ("www_baidu_com", "WwwBaiduComService"),
    "Service": ("service", "ServiceService"),
    "ServiceDesk": ("service_desk", "ServiceDeskService"),
    "Import": ("import_", "ImportService"),
    "greeter": ("greeter", "GreeterService"),
    "greeter_v2": ("greeter_v2", "GreeterV2Service"),
    "helloworld": ("helloworld", "HelloworldService"),
    "HELLOWORLD": ("helloworld", "HELLOWORLDService"),
    "helloWorld": ("hello_world", "HelloWorldService"),
    "hello_world": ("hello_world", "HelloWorldService"),
    "HelloWorldService": ("hello_world", "HelloWorldService"),
    "hello_world_service": ("hello_world", "HelloWorldService"),
}


def compiled_text(compiled: Compiled, folder: Path, text: str) -> bytes:
    (folder / "names.proto").write_text(f'syntax = "proto3"; package a.v1; {text}')
    return compiled(folder, ["names.proto"])


def test_services_name_modules_and_classes(compiled: Compiled, tmp_path: Path) -> None:
    text = "".join(f"service {name} {{}} " for name in NAMES)
    skeletons = read_skeletons(compiled_text(compiled, tmp_path, text), "names.proto")
    found = {one.service.element.raw.name: (one.stem, one.class_name) for one in skeletons}
    assert found == NAMES


def test_nested_messages_are_reached_through_what_they_lie_in(
    compiled: Compiled, tmp_path: Path
) -> None:
    text = (
        "message Response {} message Message { message Response {} "
        "message Message2 { message Response {} } } "
        "service S { rpc One(Response) returns (Message.Response); "
        "rpc Two(Message.Message2.Response) returns (Response); }"
    )
    (skeleton,) = read_skeletons(compiled_text(compiled, tmp_path, text), "names.proto")
    module = skeleton.module()
    assert "async def one(self, request: Response, /) -> Message.Response:" in module
    assert "async def two(self, request: Message.Message2.Response, /) -> Response:" in module
    assert "from names_pb2 import Message, Response\n" in module


def test_a_prefix_stands_before_generated_modules_alone(compiled: Compiled, tmp_path: Path) -> None:
    text = (
        'import "google/protobuf/empty.proto"; message M {} '
        "service S { rpc Get(google.protobuf.Empty) returns (M); }"
    )
    data = compiled_text(compiled, tmp_path, text)
    (skeleton,) = read_skeletons(data, "names.proto", prefix="shop.api")
    module = skeleton.module()
    assert "from google.protobuf.empty_pb2 import Empty\n" in module
    assert "from shop.api.names_pb2 import M\n" in module
    (skeleton,) = read_skeletons(data, "names.proto")
    assert "from names_pb2 import M\n" in skeleton.module()


def test_a_wrong_definition_is_refused(compiled: Compiled, tmp_path: Path) -> None:
    text = (
        'import "google/api/annotations.proto"; message M {} '
        'service S { rpc Get(M) returns (M) { option (google.api.http) = {get: "/{id}"}; } }'
    )
    with pytest.raises(DefinitionError, match="path variable 'id'"):
        read_skeletons(compiled_text(compiled, tmp_path, text), "names.proto")
