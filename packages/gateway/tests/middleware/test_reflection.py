"""One conversation with a back end about its definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from kratos.definition.reflection import Undefined
from kratos.definition.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Body, Request
from kratos_gateway.middleware.definitions.reflection import told_by
from kratos_gateway.middleware.frames import framed

SHOP = Endpoint(protocol=GRPC)
V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
KIND = (b"content-type", b"application/grpc")


class Answers:
    """The body of an answer: each question is read when its answer is wanted."""

    def __init__(self, node: Node, questions: Body, ends: bytes) -> None:
        self._node = node
        self._questions = questions
        self.trailers = [(b"grpc-status", ends)]
        self.closed = False
        self.ended = False

    async def read(self) -> bytes:
        data = await self._questions.read()
        self.ended = not data
        if not data or not self._node.left:
            return b""
        self._node.left -= 1
        question = ServerReflectionRequest.FromString(data[5:])
        self._node.questions.append(question)
        return framed(self._node.reply(question))

    def close(self) -> None:
        self.closed = True


class Node:
    """Serves reflection, in some versions, for some time.

    Args:
        files: By symbol, or by name.
        versions: Operations that it has.
        left: Questions that it answers; then it ends the call.
        ends: The status with which it does.
    """

    def __init__(
        self,
        files: Mapping[str, FileDescriptorProto],
        *,
        versions: tuple[str, ...] = (V1, V1ALPHA),
        left: int = 100,
        ends: bytes = b"0",
    ) -> None:
        self.files = files
        self.versions = versions
        self.left = left
        self.ends = ends
        self.requests: list[Request] = []
        self.questions: list[ServerReflectionRequest] = []
        self.bodies: list[Answers] = []

    async def __call__(self, request: Request, /) -> Answer:
        self.requests.append(request)
        if request.path not in self.versions:
            return Answer(200, [KIND, (b"grpc-status", b"12")])
        assert not isinstance(request.body, bytes)
        self.bodies.append(Answers(self, request.body, self.ends))
        return Answer(200, [KIND], self.bodies[-1])

    def reply(self, question: ServerReflectionRequest) -> bytes:
        made = ServerReflectionResponse()
        kind = question.WhichOneof("message_request")
        if kind == "list_services":
            for name in ("shop.Shop", "grpc.health.v1.Health", "kratos.api.Metadata"):
                made.list_services_response.service.add(name=name)
            return made.SerializeToString()
        assert kind is not None
        wanted: str = getattr(question, kind)
        file = self.files[wanted].SerializeToString()
        made.file_descriptor_response.file_descriptor_proto.append(file)
        return made.SerializeToString()


def files(*names: str) -> dict[str, FileDescriptorProto]:
    imported = FileDescriptorProto(name="item.proto")
    made = {name: FileDescriptorProto(name=f"{name}.proto") for name in names}
    for file in made.values():
        file.dependency.append("item.proto")
    return {"item.proto": imported, **made}


def named(data: bytes) -> list[str]:
    return [file.name for file in FileDescriptorSet.FromString(data).file]


async def test_all_services_but_those_for_machines_are_told_by_one_call() -> None:
    node = Node(files("shop.Shop"))
    data = await told_by(node, SHOP, (), most=1000)
    assert named(data) == ["item.proto", "shop.Shop.proto"]
    (request,) = node.requests
    assert (request.method, request.path) == ("POST", V1)
    assert request.headers[:2] == [KIND, (b"te", b"trailers")]
    assert len(node.questions) == 3
    assert node.bodies[0].ended  # by the node, which is not left in the middle
    assert node.bodies[0].closed


async def test_services_that_are_named_are_told_and_no_others() -> None:
    node = Node(files("kratos.api.Metadata"))
    data = await told_by(node, SHOP, ["kratos.api.Metadata"], most=1000)
    assert named(data) == ["item.proto", "kratos.api.Metadata.proto"]
    assert [each.WhichOneof("message_request") for each in node.questions] == [
        "file_containing_symbol",
        "file_by_filename",
    ]


async def test_older_version_is_asked_where_there_is_no_newer_one() -> None:
    node = Node(files("shop.Shop"), versions=(V1ALPHA,))
    assert named(await told_by(node, SHOP, (), most=1000)) == ["item.proto", "shop.Shop.proto"]
    assert [request.path for request in node.requests] == [V1, V1ALPHA]


async def unimplemented_at_the_end(_request: Request, /) -> Answer:
    return Answer(200, [KIND], b"", [(b"grpc-status", b"12")])


async def web_server(_request: Request, /) -> Answer:
    return Answer(404, [], b"<html>")


async def forbidding(_request: Request, /) -> Answer:
    return Answer(200, [KIND, (b"grpc-status", b"7"), (b"grpc-message", b"not you")])


async def talking_nonsense(_request: Request, /) -> Answer:
    return Answer(200, [KIND], framed(b"\xff"))


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (unimplemented_at_the_end, "no reflection; serve it, or give descriptorSet"),
        (web_server, "no reflection; serve it, or give descriptorSet"),
        (forbidding, "status 7: not you"),
        (talking_nonsense, "no message"),
        (Node(files("shop.Shop"), left=1), "status 0: it ended the call"),
        (Node(files("shop.Shop"), left=2, ends=b"14"), "status 14"),
    ],
)
async def test_back_end_that_does_not_tell_is_named_with_its_reason(
    node: Callable[..., object], problem: str
) -> None:
    with pytest.raises(Undefined, match=problem):
        await told_by(node, SHOP, (), most=1000)  # type: ignore[arg-type]


async def test_definitions_of_too_many_bytes_are_not_taken() -> None:
    node = Node(files("shop.Shop"))
    with pytest.raises(Undefined, match="10 bytes"):
        await told_by(node, SHOP, (), most=10)
    assert node.bodies[0].closed
