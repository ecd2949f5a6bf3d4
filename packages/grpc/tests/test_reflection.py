"""Reflection, both versions, as clients of any language ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from kratos import http_pb2
from kratos.definition import MetadataService
from kratos.definition.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    ExtensionRequest,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from kratos.errors import Error
from kratos.health import Health
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Call, Handler, Method, Service
from kratos_grpc.reflection import REFLECTION, REFLECTION_V1ALPHA

Request = ServerReflectionRequest
Response = ServerReflectionResponse

every_version = pytest.mark.parametrize(
    "version", [REFLECTION, REFLECTION_V1ALPHA], ids=["v1", "v1alpha"]
)
V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
METADATA_FILE = "metadata/metadata.proto"
NUMBER = http_pb2.DESCRIPTOR.extensions_by_name["http"].number
DESCRIPTOR_FILE = "google/protobuf/descriptor.proto"


def services() -> list[Service]:
    return [EchoService(), MetadataService([])]


async def ask(
    served: Any, *requests: Request, version: Method[Request, Response] = REFLECTION
) -> list[Response]:
    """Send requests over one stream, each after the answer to the one before."""
    async with served.caller.bidi_stream(version) as stream:
        answers: list[Response] = []
        for request in requests:
            await stream.send(request)
            answers.append(await stream.__anext__())
        await stream.end()
        assert [left async for left in stream] == []
    return answers


def files(answer: Response) -> list[FileDescriptorProto]:
    found = answer.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(each) for each in found]


def names(answer: Response) -> list[str]:
    return [file.name for file in files(answer)]


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Request(host="h", file_by_filename="f"), b"\x0a\x01h\x1a\x01f"),
        (Request(file_containing_symbol="s"), b"\x22\x01s"),
        (
            Request(
                file_containing_extension=ExtensionRequest(containing_type="t", extension_number=5)
            ),
            b"\x2a\x05\x0a\x01t\x10\x05",
        ),
        (Request(all_extension_numbers_of_type="t"), b"\x32\x01t"),
        (Request(list_services="*"), b"\x3a\x01*"),
        (
            Response(valid_host="h", original_request=Request(host="h")),
            b"\x0a\x01h\x12\x03\x0a\x01h",
        ),
        (
            Response(file_descriptor_response=FileDescriptorResponse(file_descriptor_proto=[b"f"])),
            b"\x22\x03\x0a\x01f",
        ),
        (
            Response(
                all_extension_numbers_response=ExtensionNumberResponse(
                    base_type_name="t", extension_number=[5]
                )
            ),
            b"\x2a\x06\x0a\x01t\x12\x01\x05",
        ),
        (
            Response(
                list_services_response=ListServiceResponse(service=[ServiceResponse(name="s")])
            ),
            b"\x32\x05\x0a\x03\x0a\x01s",
        ),
        (
            Response(error_response=ErrorResponse(error_code=5, error_message="e")),
            b"\x3a\x05\x08\x05\x12\x01e",
        ),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.ListFields()[0][0].name,
)
def test_messages_are_those_of_the_standard_on_the_wire(
    message: Request | Response, wire: bytes
) -> None:
    assert message.SerializeToString() == wire


@every_version
async def test_services_are_listed_sorted(serve: Any, version: Method[Request, Response]) -> None:
    async with serve(*services(), health=Health()) as served:
        (answer,) = await ask(served, Request(list_services="*"), version=version)
    assert [each.name for each in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        V1,
        V1ALPHA,
        "kratos.api.Metadata",
        "kratos.testing.Echo",
    ]


@every_version
async def test_file_is_found_by_its_name_and_comes_with_its_imports(
    serve: Any, version: Method[Request, Response]
) -> None:
    async with serve(*services()) as served:
        (answer,) = await ask(served, Request(file_by_filename=METADATA_FILE), version=version)
    assert names(answer) == [METADATA_FILE, DESCRIPTOR_FILE]


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("kratos.api.Metadata", METADATA_FILE),
        ("kratos.api.Metadata.ListServices", METADATA_FILE),
        ("kratos.api.ListServicesReply", METADATA_FILE),
        ("kratos.api.ListServicesReply.methods", METADATA_FILE),
        ("google.protobuf.FieldDescriptorProto.Type", DESCRIPTOR_FILE),
        ("google.protobuf.FieldDescriptorProto.TYPE_INT32", DESCRIPTOR_FILE),
        ("kratos.testing.Echo.Chat", "kratos/made/kratos.testing.Echo.proto"),
        ("grpc.health.v1.HealthCheckResponse", "grpc/health/v1/health.proto"),
        (V1, "grpc/reflection/v1/reflection.proto"),
        (V1ALPHA, "grpc/reflection/v1alpha/reflection.proto"),
        ("grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto"),
    ],
)
async def test_file_is_found_by_any_symbol_in_it(serve: Any, symbol: str, file: str) -> None:
    async with serve(*services(), health=Health()) as served:
        (answer,) = await ask(served, Request(file_containing_symbol=symbol))
    assert names(answer)[0] == file


async def test_definitions_can_be_loaded_by_what_asks_for_them(serve: Any) -> None:
    async with serve(*services(), health=Health()) as served:
        (listed,) = await ask(served, Request(list_services="*"))
        wanted = [each.name for each in listed.list_services_response.service]
        answers = await ask(served, *(Request(file_containing_symbol=each) for each in wanted))
    pool = DescriptorPool()
    for answer in answers:
        for file in (*files(answer)[1:], files(answer)[0]):
            pool.AddSerializedFile(file.SerializeToString())
    assert [pool.FindServiceByName(each).full_name for each in wanted] == wanted


async def test_file_is_sent_as_an_import_only_once_but_whenever_it_is_asked_for(
    serve: Any,
) -> None:
    by_name = Request(file_by_filename=METADATA_FILE)
    async with serve(*services()) as served:
        answers = await ask(
            served, by_name, by_name, Request(file_by_filename=DESCRIPTOR_FILE), by_name
        )
    assert list(map(names, answers)) == [
        [METADATA_FILE, DESCRIPTOR_FILE],
        [METADATA_FILE],
        [DESCRIPTOR_FILE],
        [METADATA_FILE],
    ]


@every_version
async def test_extensions_are_found_by_what_they_extend(
    serve: Any, version: Method[Request, Response]
) -> None:
    extended = "google.protobuf.MethodOptions"
    async with serve(*services()) as served:
        (numbers,) = await ask(
            served, Request(all_extension_numbers_of_type=extended), version=version
        )
        found = numbers.all_extension_numbers_response
        wanted = ExtensionRequest(containing_type=extended, extension_number=NUMBER)
        (answer,) = await ask(served, Request(file_containing_extension=wanted), version=version)
    assert found.base_type_name == extended
    assert NUMBER in found.extension_number
    assert list(found.extension_number) == sorted(found.extension_number)
    assert names(answer)[0] == http_pb2.DESCRIPTOR.name


@pytest.mark.parametrize(
    "request_",
    [
        Request(file_by_filename="secret.proto"),
        Request(file_containing_symbol="no.Such"),
        Request(file_containing_symbol="kratos.api.Metadata.NoMethod"),
        Request(file_containing_symbol=""),
        Request(file_containing_extension=ExtensionRequest(containing_type="no.Such")),
        Request(
            file_containing_extension=ExtensionRequest(
                containing_type="google.protobuf.MethodOptions", extension_number=1
            )
        ),
        Request(all_extension_numbers_of_type="no.Such"),
    ],
    ids=str,
)
async def test_what_is_not_there_is_told_and_the_stream_goes_on(
    serve: Any, request_: Request
) -> None:
    request_.host = "here"
    async with serve(*services()) as served:
        missing, listed = await ask(served, request_, Request(list_services=""))
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert "not found" in missing.error_response.error_message
    assert (missing.valid_host, missing.original_request) == ("here", request_)
    assert listed.list_services_response.service


async def test_request_for_nothing_ends_the_stream(serve: Any) -> None:
    async with serve(*services()) as served:
        with pytest.raises(Error, match="asks for nothing") as failure:
            await ask(served, Request(host="here"))
    assert failure.value.code == 400


async def test_what_guards_calls_guards_reflection(serve: Any) -> None:
    async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
        raise Error(401, "UNAUTHORIZED")

    for guard in ({"middleware": [refuse]}, {"use": {"/*": [refuse]}}):
        async with serve(*services(), **guard) as served:
            with pytest.raises(Error, match="UNAUTHORIZED"):
                await ask(served, Request(list_services=""))


@every_version
async def test_reflection_can_be_switched_off(
    serve: Any, version: Method[Request, Response]
) -> None:
    async with serve(*services(), reflection=False) as served:
        with pytest.raises(Error) as failure:
            await ask(served, Request(list_services=""), version=version)
    assert failure.value.code == 501


async def test_reflection_of_the_user_comes_in_place_of_ours(serve: Any) -> None:
    class Own(Service):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (REFLECTION,)

        async def server_reflection_info(
            self, requests: AsyncIterator[Request], /
        ) -> AsyncIterator[Response]:
            async for request in requests:
                yield Response(valid_host=f"own {request.host}")

    async with serve(*services(), Own()) as served:
        (own,) = await ask(served, Request(host="x"))
        (ours,) = await ask(served, Request(host="x", list_services=""), version=REFLECTION_V1ALPHA)
    assert own.valid_host == "own x"
    assert ours.list_services_response.service


async def test_peer_that_keeps_asking_does_not_hold_up_a_stop(serve: Any) -> None:
    async with serve(*services()) as served, served.caller.bidi_stream(REFLECTION) as stream:
        await stream.send(Request(list_services=""))
        await stream.__anext__()
        await asyncio.wait_for(served.server.stop(), 10)
        with pytest.raises(Error) as failure:
            await stream.__anext__()
    assert failure.value.code == 503


async def test_other_calls_go_on_beside_reflection(serve: Any) -> None:
    async with serve(*services()) as served, served.caller.bidi_stream(REFLECTION) as stream:
        await stream.send(Request(list_services=""))
        await stream.__anext__()
        assert (await served.caller.unary(ECHO, text("hello"))).value == "hello"
