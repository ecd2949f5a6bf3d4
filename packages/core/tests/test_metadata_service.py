"""The service ``kratos.api.Metadata``, as peers of Go Kratos know it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from kratos.definition import GET_SERVICE_DESC, LIST_SERVICES, MetadataService
from kratos.definition.metadata_pb2 import (
    GetServiceDescReply,
    GetServiceDescRequest,
    ListServicesReply,
    ListServicesRequest,
)
from kratos.errors import ConfigError, Error
from kratos.testing.echo import EchoService
from kratos.transport import Call, ChainCaller, Handler, local

SELF = "kratos.api.Metadata"
ECHO = "kratos.testing.Echo"


@pytest.fixture
def caller() -> ChainCaller:
    return local(MetadataService([EchoService()]))


def test_messages_are_those_of_go_on_the_wire() -> None:
    assert LIST_SERVICES.operation == "/kratos.api.Metadata/ListServices"
    assert GET_SERVICE_DESC.operation == "/kratos.api.Metadata/GetServiceDesc"
    assert GetServiceDescRequest(name="s").SerializeToString() == b"\x0a\x01s"
    listed = ListServicesReply(services=["s"], methods=["m"])
    assert listed.SerializeToString() == b"\x0a\x01s\x12\x01m"
    files = FileDescriptorSet(file=[FileDescriptorProto(name="f")])
    told = GetServiceDescReply(file_desc_set=files)
    assert told.SerializeToString() == b"\x0a\x05\x0a\x03\x0a\x01f"


def test_paths_are_those_of_go() -> None:
    rules = [rule for each in (LIST_SERVICES, GET_SERVICE_DESC) for rule in each.http]
    assert [(rule.verb, rule.path) for rule in rules] == [
        ("GET", "/services"),
        ("GET", "/services/{name}"),
    ]


async def test_services_and_operations_are_listed_sorted(caller: ChainCaller) -> None:
    reply = await caller.unary(LIST_SERVICES, ListServicesRequest())
    assert list(reply.services) == [SELF, ECHO]
    assert list(reply.methods) == [
        f"/{SELF}/GetServiceDesc",
        f"/{SELF}/ListServices",
        f"/{ECHO}/Chat",
        f"/{ECHO}/Collect",
        f"/{ECHO}/Echo",
        f"/{ECHO}/Watch",
    ]


@pytest.mark.parametrize("service", [SELF, ECHO])
async def test_description_can_be_loaded_in_the_order_it_comes_in(
    caller: ChainCaller, service: str
) -> None:
    reply = await caller.unary(GET_SERVICE_DESC, GetServiceDescRequest(name=service))
    pool = DescriptorPool()
    for file in reply.file_desc_set.file:
        pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindServiceByName(service)
    assert found.file.name == reply.file_desc_set.file[-1].name


async def test_own_definition_has_the_names_of_go(caller: ChainCaller) -> None:
    reply = await caller.unary(GET_SERVICE_DESC, GetServiceDescRequest(name=SELF))
    file = reply.file_desc_set.file[-1]
    assert (file.name, file.package) == ("metadata/metadata.proto", "kratos.api")
    types = {(each.input_type, each.output_type) for each in file.service[0].method}
    assert types == {
        (".kratos.api.ListServicesRequest", ".kratos.api.ListServicesReply"),
        (".kratos.api.GetServiceDescRequest", ".kratos.api.GetServiceDescReply"),
    }


async def test_unknown_service_is_not_found(caller: ChainCaller) -> None:
    with pytest.raises(Error, match=r"service no\.Such not found") as failure:
        await caller.unary(GET_SERVICE_DESC, GetServiceDescRequest(name="no.Such"))
    assert failure.value.code == 404


async def test_what_guards_calls_guards_the_description() -> None:
    async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
        raise Error(401, "UNAUTHORIZED")

    guarded = local(MetadataService([EchoService()]), middleware=[refuse])
    with pytest.raises(Error, match="UNAUTHORIZED"):
        await guarded.unary(LIST_SERVICES, ListServicesRequest())


def test_one_service_in_place_of_a_list_is_refused() -> None:
    service: Any = EchoService()
    with pytest.raises(ConfigError, match="services must be a list, not <kratos"):
        MetadataService(service)
