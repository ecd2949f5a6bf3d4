from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import kratos_grpc

# Whatever gRPC's core has started does not survive a fork, and belongs to one event loop.
UNTOUCHED = """
import threading
from kratos.selector import Node
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_grpc import ClientTls, GrpcConnector, GrpcServer, ServerTls
server = GrpcServer(":0", tls=ServerTls(certificate=b"", key=b""))
server.mount(Mount(services=[EchoService()]))
connection = GrpcConnector(tls=ClientTls()).connect(Node(scheme="grpc", address="h:1", secure=True))
assert not connection.ready
print(threading.active_count())
"""


def test_package_ships_its_types() -> None:
    assert files(kratos_grpc).joinpath("py.typed").is_file()


def test_servers_and_connections_start_nothing_before_they_are_used() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", UNTOUCHED], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "1\n"
