from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

import kratos_grpc

# Whatever gRPC's core has started does not survive a fork, and belongs to one event loop. Our own
# engine has no need of it, and it takes longer to import than all the rest.
UNTOUCHED = """
import sys
import threading
from kratos.selector import Node
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_grpc import ClientTls, GrpcConnector, GrpcServer, ServerTls
engine = sys.argv[1]
server = GrpcServer(":0", tls=ServerTls(certificate=b"", key=b""), engine=engine)
server.mount(Mount(services=[EchoService()]))
node = Node(scheme="grpc", address="h:1", secure=True)
connection = GrpcConnector(tls=ClientTls(), engine=engine).connect(node)
assert not connection.ready
print(threading.active_count(), "grpc" in sys.modules)
"""


def test_package_ships_its_types() -> None:
    assert files(kratos_grpc).joinpath("py.typed").is_file()


@pytest.mark.parametrize(("engine", "told"), [("kratos", "1 False\n"), ("grpcio", "1 True\n")])
def test_servers_and_connections_start_nothing_before_they_are_used(engine: str, told: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", UNTOUCHED, engine], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == told
