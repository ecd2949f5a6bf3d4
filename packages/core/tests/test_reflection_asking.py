"""Definitions as a server tells them by reflection, file by file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from kratos.definition.reflection import Undefined, files_of, services_of
from kratos.definition.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse


def reply(*files: bytes) -> ServerReflectionResponse:
    made = ServerReflectionResponse()
    made.file_descriptor_response.file_descriptor_proto.extend(files)
    return made


def refusal(text: str) -> ServerReflectionResponse:
    made = ServerReflectionResponse()
    made.error_response.error_message = text
    return made


def file(name: str, *imports: str) -> bytes:
    return FileDescriptorProto(name=name, dependency=imports).SerializeToString()


class Server:
    """Answers by what it knows, one file at a time or with further ones along."""

    def __init__(self, imports: Mapping[str, Iterable[str]], *, along: bool = False) -> None:
        self.imports = imports
        self.along = along
        self.asked: list[str] = []

    async def __call__(self, question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        name = question.file_by_filename or f"{question.file_containing_symbol}.proto"
        self.asked.append(name)
        if name not in self.imports:
            return refusal(f"{name} not found")
        names = [name, *(each for each in self.imports if self.along and each != name)]
        return reply(*(file(each, *self.imports[each]) for each in names))


SHOP = {"Shop.proto": ["a.proto", "b.proto"], "a.proto": ["b.proto"], "b.proto": []}


@pytest.mark.parametrize(("along", "asked"), [(False, 3), (True, 1)])
async def test_imports_are_asked_for_once_each_and_come_first(*, along: bool, asked: int) -> None:
    server = Server(SHOP, along=along)
    found = await files_of(server, ["Shop"])
    assert [each.name for each in found.file] == ["b.proto", "a.proto", "Shop.proto"]
    assert len(server.asked) == asked


async def test_symbols_of_one_file_are_defined_by_it_once() -> None:
    async def ask(_question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        return reply(file("both.proto"))

    assert [each.name for each in (await files_of(ask, ["A", "B"])).file] == ["both.proto"]


@pytest.mark.parametrize(
    ("imports", "problem"),
    [
        ({}, "cannot define it: Shop.proto not found"),
        ({"Shop.proto": ["a.proto"]}, "cannot define it: a.proto not found"),
        ({"Shop.proto": ["a.proto"], "a.proto": ["Shop.proto"]}, "in a circle"),
    ],
)
async def test_what_is_not_defined_as_a_whole_is_refused(
    imports: Mapping[str, Iterable[str]], problem: str
) -> None:
    with pytest.raises(Undefined, match=problem):
        await files_of(Server(imports), ["Shop"])


async def test_server_that_sends_another_file_than_it_was_asked_for_is_refused() -> None:
    async def ask(_question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        return reply(file("Shop.proto", "a.proto"))

    with pytest.raises(Undefined, match=r"no definition of a\.proto"):
        await files_of(ask, ["Shop"])


async def test_what_is_no_file_is_refused() -> None:
    async def ask(_question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        return reply(b"\x0a\xff")

    with pytest.raises(Undefined, match="what is no file"):
        await files_of(ask, ["Shop"])


async def test_server_that_never_comes_to_an_end_is_left() -> None:
    asked = 0

    async def ask(_question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        nonlocal asked
        asked += 1
        return reply(file(f"{asked - 1}.proto", f"{asked}.proto"))

    with pytest.raises(Undefined, match="more than 20 files"):
        await files_of(ask, ["Shop"], most_files=20)
    assert asked == 21


async def test_definitions_of_too_many_bytes_are_refused() -> None:
    with pytest.raises(Undefined, match="10 bytes"):
        await files_of(Server(SHOP), ["Shop"], most_bytes=10)


async def test_services_are_told_in_order() -> None:
    async def ask(question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        assert question.WhichOneof("message_request") == "list_services"
        made = ServerReflectionResponse()
        for name in ("b.B", "a.A"):
            made.list_services_response.service.add(name=name)
        return made

    assert await services_of(ask) == ["a.A", "b.B"]


async def test_server_that_does_not_tell_its_services_says_why() -> None:
    async def ask(_question: ServerReflectionRequest, /) -> ServerReflectionResponse:
        return refusal("not for you")

    with pytest.raises(Undefined, match="not for you"):
        await services_of(ask)
