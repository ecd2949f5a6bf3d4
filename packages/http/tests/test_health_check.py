"""A client that asks a path for the health of a node."""

from __future__ import annotations

import pytest

from kratos.errors import Error
from kratos.health import Health, Kind, Phase
from kratos.selector import Node
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_http import HealthPaths, HttpConnector, HttpServer, health_check
from kratos_http.testing import running


@pytest.mark.parametrize("well", [True, False])
async def test_answer_of_the_path_is_the_health_of_the_node(*, well: bool) -> None:
    health = Health()
    health.add_check("data base", lambda: well, kind=Kind.READY)
    server = HttpServer("127.0.0.1:0", health_paths=HealthPaths(ready="/ready"))
    server.mount(Mount(services=[EchoService()], health=health))
    health.advance(Phase.SERVING)
    async with running(server):
        (url,) = await server.bind()
        node = Node(scheme="http", address=url.partition("://")[2])
        connection = HttpConnector().connect(node)
        if well:
            assert await health_check("/ready")(connection)
        else:
            with pytest.raises(Error) as answer:
                await health_check("/ready")(connection)
            assert answer.value.code == 503
        await connection.aclose()
    await health.aclose()
