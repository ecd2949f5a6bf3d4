"""Generated code in the repository is what the generator writes today."""

from __future__ import annotations

from pathlib import Path

import pytest

from kratos_cli.main import main

ROOT = Path(__file__).parents[2]

GATEWAY = (
    "basicauth",
    "bodylimit",
    "cache",
    "circuitbreaker",
    "compression",
    "connect",
    "cors",
    "extauth",
    "fault",
    "gateway",
    "ipfilter",
    "jwt",
    "keyauth",
    "logging",
    "mirror",
    "ratelimit",
    "reflection",
    "requestid",
    "rest",
    "rewrite",
    "streamrecorder",
    "tracing",
    "transcoder",
    "transform",
)

# Definition, the folder that its name starts from, the folder written into.
GENERATED = [
    ("errors/errors.proto", "packages/core/src/kratos", "packages/core/src/kratos"),
    ("kratos/http.proto", "packages/core/src", "packages/core/src"),
    ("kratos_etcd/etcd.proto", "contrib/etcd/proto", "contrib/etcd/src"),
    *(
        (f"kratos_gateway/api/{name}.proto", "packages/gateway/proto", "packages/gateway/src")
        for name in GATEWAY
    ),
    ("kratos_grpc/health.proto", "packages/grpc/proto", "packages/grpc/src"),
    ("kratos_nacos/nacos.proto", "contrib/nacos/proto", "contrib/nacos/src"),
    ("kratos/definition/metadata.proto", "packages/core/proto", "packages/core/src"),
    ("kratos/definition/reflection.proto", "packages/core/proto", "packages/core/src"),
]


@pytest.mark.parametrize(("name", "root", "out"), GENERATED, ids=[row[0] for row in GENERATED])
def test_generated_code_is_up_to_date(name: str, root: str, out: str) -> None:
    arguments = ["-I", str(ROOT / root), "--out", str(ROOT / out), "--regenerate", "--check"]
    assert main(["proto", str(ROOT / root / name), *arguments]) == 0, (
        f"run: kratos proto {root}/{name} -I {root} --out {out} --regenerate"
    )


def test_every_generated_module_is_watched() -> None:
    made = {
        path.relative_to(ROOT).as_posix()
        for folder in ("aegis", "contrib", "packages", "tools")
        for path in (ROOT / folder).glob("**/src/**/*_pb2.py")
    }
    watched = {f"{out}/{name.removesuffix('.proto')}_pb2.py" for name, _, out in GENERATED}
    assert made == watched
