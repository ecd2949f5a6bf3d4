"""A gateway that is soaked before what else is: ``python -m tests.soak.gateway ADDRESS``.

Prints its address as JSON when it serves, under ``http``, and where it tells the number of its
tasks, under ``tasks``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.service import tasks

from kratos import App
from kratos_gateway import Gateway
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.backend import ConnectOptions
from kratos_gateway.config import Configuration, FileReader
from kratos_gateway.proxy import Proxy
from kratos_http import HttpServer

CONFIG = """
endpoints:
  - path: /kratos.testing.Echo/*
    protocol: GRPC
    timeout: 60s
    backends: [{{target: "{address}"}}]
  - path: /*
    protocol: HTTP
    timeout: 60s
    backends: [{{target: "{address}"}}]
"""


# Connections that are kept would be taken for ones that were left.
CONNECT = ConnectOptions(dial_timeout=30.0, idle_timeout=2.0)


async def make(config: pb.Gateway) -> Proxy:
    return await Proxy.opened(config, connect=CONNECT)


def tell(app: App) -> None:
    gateway, own = (url.rpartition("/")[2] for url in app.info.endpoints)
    print(json.dumps({"http": gateway, "tasks": own}), flush=True)


def build(config: Path) -> App:
    gateway = Gateway(Configuration(FileReader(config)), make, addresses=["127.0.0.1:0"])
    own = HttpServer("127.0.0.1:0")
    own.route("GET", "/tasks")(tasks)
    return App(name="soak", servers=[gateway, own], after_start=[tell])


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        path = Path(folder, "gateway.yaml")
        path.write_text(CONFIG.format(address=sys.argv[1]), encoding="utf-8")
        build(path).serve()
