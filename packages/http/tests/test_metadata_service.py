"""The service ``kratos.api.Metadata`` on the paths where Go Kratos has it."""

from __future__ import annotations

from kratos.definition import MetadataService
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_http import HttpServer
from kratos_http.testing import OpenPeer


def server() -> HttpServer:
    """Make a server that tells what it serves."""
    made = HttpServer()
    made.mount(Mount(services=[MetadataService([EchoService()])]))
    return made


async def test_services_are_listed(open_peer: OpenPeer) -> None:
    async with open_peer(server()) as peer:
        answer = await peer.request("GET", "/services")
    assert answer.status == 200
    assert answer.json()["services"] == ["kratos.api.Metadata", "kratos.testing.Echo"]
    assert "/kratos.testing.Echo/Echo" in answer.json()["methods"]


async def test_service_is_described_with_its_imports(open_peer: OpenPeer) -> None:
    async with open_peer(server()) as peer:
        answer = await peer.request("GET", "/services/kratos.testing.Echo")
    files = answer.json()["fileDescSet"]["file"]
    assert files[0]["name"] == "google/protobuf/wrappers.proto"
    assert [service["name"] for service in files[-1]["service"]] == ["Echo"]


async def test_unknown_service_is_not_found(open_peer: OpenPeer) -> None:
    async with open_peer(server()) as peer:
        answer = await peer.request("GET", "/services/no.Such")
    assert (answer.status, answer.json()["message"]) == (404, "service no.Such not found")


async def test_paths_are_free_unless_the_service_is_mounted(open_peer: OpenPeer) -> None:
    plain = HttpServer()
    plain.mount(Mount(services=[EchoService()]))
    async with open_peer(plain) as peer:
        assert (await peer.request("GET", "/services")).status == 404
