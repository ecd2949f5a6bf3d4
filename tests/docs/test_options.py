"""Tables of options: they have every option there is, no other one, and defaults as in the code."""

from __future__ import annotations

import re
from enum import Enum
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from kratos import App, CallOptions, Client
from kratos.config import Config
from kratos.log import LineLogger, QueuedWriter, setup
from kratos.middleware import (
    authorize,
    cache,
    idempotency,
    idempotency_key,
    localize,
    metrics,
    request_id,
    tracing,
)
from kratos.store import MemoryStore
from kratos_consul import ConsulClient, ConsulRegistry, ConsulSource
from kratos_datadog import DogStatsdMeter
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdSource
from kratos_fluent import FluentLogger
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_http import HttpConnector, HttpServer, StreamOptions
from kratos_http.debug import DebugServer
from kratos_http.sessions import SessionOptions
from kratos_jwt import KeySet
from kratos_jwt import client as jwt_client
from kratos_jwt import server as jwt_server
from kratos_kubernetes import (
    Cluster,
    KubernetesClient,
    KubernetesRegistry,
    KubernetesServices,
    KubernetesSource,
)
from kratos_memcached import MemcachedStore
from kratos_msgpack import MsgpackCodec
from kratos_nacos import NacosClient, NacosRegistry, NacosSource
from kratos_otel import OtelLogger, OtelMeter, OtelTracer, Telemetry
from kratos_redis import RedisRegistry, RedisSource, RedisStore
from kratos_sentry import Sentry
from kratos_sentry import server as sentry_server
from kratos_validate import ModernRules
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource

ROOT = Path(__file__).parents[2]
UNITS = {"KiB": 1024, "MiB": 1024**2, "days": 86400}


def rows(page: str, heading: str) -> dict[str, str]:
    """Return the defaults in the first table after a heading, by option."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    table = text.partition("|---|")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in table.splitlines()[1:]:
        names, default = line.split("|")[1:3]
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip()))
    return found


def number(text: str) -> float | None:
    """Return what a default such as ``64 MiB``, ``5 s`` or ``10,000`` is; ``None`` for words."""
    found = re.fullmatch(r"([\d,.]+)(?: (\w+))?(?:, none)?", text)
    return found and float(found[1].replace(",", "")) * UNITS.get(found[2] or "", 1)


@pytest.mark.parametrize(
    ("made", "page", "headings"),
    [
        (App, "packages/core", ["## Application", "## Workers"]),
        (Client, "packages/core", ["## Client"]),
        (CallOptions, "packages/core", ["### One call"]),
        (HttpServer, "packages/http", ["## Server"]),
        (HttpConnector, "packages/http", ["## Client"]),
        (StreamOptions, "packages/http", ["`StreamOptions`, in seconds:"]),
        (GrpcServer, "packages/grpc", ["## Server"]),
        (GrpcConnector, "packages/grpc", ["## Client"]),
        (Config, "docs/config.md", ["## In a service"]),
        (setup, "docs/logging.md", ["refused, or found when the first record comes round."]),
        (QueuedWriter, "docs/logging.md", ["loses what waits: a few milliseconds' worth."]),
        (
            LineLogger,
            "docs/logging.md",
            ["| `patience` | 2 s | for what waits when the program ends |"],
        ),
        (DebugServer, "docs/debug.md", ["## Options"]),
        (ConsulClient, "contrib/consul", ["## Client"]),
        (ConsulRegistry, "contrib/consul", ["## Registry"]),
        (ConsulSource, "contrib/consul", ["## Configuration"]),
        (EtcdClient, "contrib/etcd/README.md", ["## Client"]),
        (EtcdRegistry, "contrib/etcd/README.md", ["## Registry"]),
        (EtcdSource, "contrib/etcd/README.md", ["## Configuration"]),
        (MemcachedStore, "contrib/memcached", ["Options of `MemcachedStore`:"]),
        (MsgpackCodec, "contrib/msgpack", ["## Options"]),
        (Telemetry, "contrib/otel", ["## Telemetry"]),
        (OtelTracer, "contrib/otel", ["### OtelTracer"]),
        (OtelMeter, "contrib/otel", ["### OtelMeter"]),
        (OtelLogger, "contrib/otel", ["### OtelLogger"]),
        (NacosClient, "contrib/nacos/README.md", ["## Client"]),
        (NacosRegistry, "contrib/nacos/README.md", ["## Registry"]),
        (NacosSource, "contrib/nacos/README.md", ["## Configuration"]),
        (Cluster, "contrib/kubernetes", ["* `Cluster(server=..., ...)`:"]),
        (KubernetesClient, "contrib/kubernetes", ["## Client"]),
        (KubernetesRegistry, "contrib/kubernetes", ["## Registry"]),
        (KubernetesServices, "contrib/kubernetes", ["## Services"]),
        (KubernetesSource, "contrib/kubernetes", ["## Configuration"]),
        (ModernRules, "contrib/validate/README.md", ["Options of `ModernRules`:"]),
        (localize, "docs/errors.md", ["## In the language of the caller"]),
        (metrics, "docs/metrics.md", ["`metrics(...)` takes"]),
        (tracing, "docs/tracing.md", ["`tracing(...)` takes"]),
        (MemoryStore, "docs/store.md", ["Options of `MemoryStore`, in code and in its URL:"]),
        (idempotency, "docs/idempotency.md", ["### Options"]),
        (idempotency_key, "docs/idempotency.md", ["## On the client"]),
        (cache, "docs/caching.md", ["## How long"]),
        (request_id, "docs/logging.md", ["## Request ids"]),
        (RedisRegistry, "contrib/redis", ["`RedisRegistry(client, ...)`:"]),
        (RedisSource, "contrib/redis", ["a name without one is a value of its own."]),
        (RedisStore, "contrib/redis/README.md", ["Options of `RedisStore`:"]),
        (authorize, "docs/auth.md", ["asks\nabout each of them, too."]),
        (jwt_server, "contrib/jwt", ["## Server"]),
        (jwt_client, "contrib/jwt", ["## Client"]),
        (KeySet, "contrib/jwt", ["nobody brings the key of his own token."]),
        (ZooKeeperRegistry, "contrib/zookeeper", ["## Registry"]),
        (ZooKeeperSource, "contrib/zookeeper", ["## Configuration"]),
        (DogStatsdMeter, "contrib/datadog", ["Options of `DogStatsdMeter`:"]),
        (FluentLogger, "contrib/fluent", ["for `setup(logger=FluentLogger(...))`:"]),
        (sentry_server, "contrib/sentry", ["Options of `server`:"]),
        (Sentry, "contrib/sentry", ["Options of `Sentry`:"]),
        (SessionOptions, "docs/sessions.md", ["options=SessionOptions(...))` changes it:"]),
    ],
)
def test_table_has_every_option_and_its_default(made: Any, page: str, headings: list[str]) -> None:
    page = page if page.endswith(".md") else f"{page}/README.md"
    told: dict[str, str] = {}
    for heading in headings:
        told |= rows(page, heading)
    options = signature(made).parameters
    assert told.keys() == options.keys()
    for name, option in options.items():
        if isinstance(option.default, (int, float)) and not isinstance(option.default, bool | Enum):
            assert number(told[name]) == option.default, name
