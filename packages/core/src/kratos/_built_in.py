"""The plug-ins that this version knows; a test holds both tables equal to the entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["BUILT_IN", "DISTRIBUTED"]

BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "kratos.config": {
        "env": "kratos.config.env:from_url",
        "file": "kratos.config.file:from_url",
    },
    "kratos.encoding": {
        "json": "kratos.encoding.json:JSON",
        "proto": "kratos.encoding.proto:PROTO",
        "protojson": "kratos.encoding.json:PROTOJSON",
        "x-www-form-urlencoded": "kratos.encoding.form:FORM",
        "xml": "kratos.encoding.xml:XML",
        "yaml": "kratos.encoding.yaml:YAML",
    },
    "kratos.log": {
        "line": "kratos.log.line:build",
    },
    "kratos.registry": {
        "file": "kratos.registry.file:from_url",
        "memory": "kratos.registry.memory:from_url",
    },
    "kratos.selector": {
        "hash": "kratos.selector.hash:build",
        "least": "kratos.selector.least:build",
        "p2c": "kratos.selector.p2c:build",
        "random": "kratos.selector.random:build",
        "wrr": "kratos.selector.wrr:build",
    },
    "kratos.store": {
        "memory": "kratos.store.memory:from_url",
    },
}

DISTRIBUTED: Final[Mapping[tuple[str, str], str]] = {
    ("kratos.cli", "cachegen"): "kratos-cachegen",
    ("kratos.config", "consul"): "kratos-consul",
    ("kratos.config", "consuls"): "kratos-consul",
    ("kratos.config", "etcd"): "kratos-etcd",
    ("kratos.config", "etcds"): "kratos-etcd",
    ("kratos.config", "kubernetes"): "kratos-kubernetes",
    ("kratos.config", "nacos"): "kratos-nacos",
    ("kratos.config", "nacoss"): "kratos-nacos",
    ("kratos.config", "redis"): "kratos-redis",
    ("kratos.config", "redis+cluster"): "kratos-redis",
    ("kratos.config", "redis+sentinel"): "kratos-redis",
    ("kratos.config", "rediss"): "kratos-redis",
    ("kratos.config", "zookeeper"): "kratos-zookeeper",
    ("kratos.config", "zookeepers"): "kratos-zookeeper",
    ("kratos.encoding", "msgpack"): "kratos-msgpack",
    ("kratos.gateway.middleware", "basicauth"): "kratos-gateway",
    ("kratos.gateway.middleware", "bbr"): "kratos-gateway",
    ("kratos.gateway.middleware", "bodylimit"): "kratos-gateway",
    ("kratos.gateway.middleware", "cache"): "kratos-gateway",
    ("kratos.gateway.middleware", "circuitbreaker"): "kratos-gateway",
    ("kratos.gateway.middleware", "compression"): "kratos-gateway",
    ("kratos.gateway.middleware", "cors"): "kratos-gateway",
    ("kratos.gateway.middleware", "extauth"): "kratos-gateway",
    ("kratos.gateway.middleware", "ipfilter"): "kratos-gateway",
    ("kratos.gateway.middleware", "jwt"): "kratos-gateway",
    ("kratos.gateway.middleware", "keyauth"): "kratos-gateway",
    ("kratos.gateway.middleware", "logging"): "kratos-gateway",
    ("kratos.gateway.middleware", "ratelimit"): "kratos-gateway",
    ("kratos.gateway.middleware", "requestid"): "kratos-gateway",
    ("kratos.gateway.middleware", "rest"): "kratos-gateway",
    ("kratos.gateway.middleware", "rewrite"): "kratos-gateway",
    ("kratos.gateway.middleware", "tracing"): "kratos-gateway",
    ("kratos.gateway.middleware", "transcoder"): "kratos-gateway",
    ("kratos.log", "fluent"): "kratos-fluent",
    ("kratos.log", "fluents"): "kratos-fluent",
    ("kratos.log", "loguru"): "kratos-loguru",
    ("kratos.log", "otel"): "kratos-otel",
    ("kratos.log", "structlog"): "kratos-structlog",
    ("kratos.metrics", "datadog"): "kratos-datadog",
    ("kratos.metrics", "otel"): "kratos-otel",
    ("kratos.metrics", "prometheus"): "kratos-prometheus",
    ("kratos.registry", "consul"): "kratos-consul",
    ("kratos.registry", "consuls"): "kratos-consul",
    ("kratos.registry", "etcd"): "kratos-etcd",
    ("kratos.registry", "etcds"): "kratos-etcd",
    ("kratos.registry", "kubernetes"): "kratos-kubernetes",
    ("kratos.registry", "kubernetes-services"): "kratos-kubernetes",
    ("kratos.registry", "nacos"): "kratos-nacos",
    ("kratos.registry", "nacoss"): "kratos-nacos",
    ("kratos.registry", "redis"): "kratos-redis",
    ("kratos.registry", "redis+cluster"): "kratos-redis",
    ("kratos.registry", "redis+sentinel"): "kratos-redis",
    ("kratos.registry", "rediss"): "kratos-redis",
    ("kratos.registry", "zookeeper"): "kratos-zookeeper",
    ("kratos.registry", "zookeepers"): "kratos-zookeeper",
    ("kratos.store", "memcached"): "kratos-memcached",
    ("kratos.store", "memcacheds"): "kratos-memcached",
    ("kratos.store", "redis"): "kratos-redis",
    ("kratos.store", "redis+cluster"): "kratos-redis",
    ("kratos.store", "redis+sentinel"): "kratos-redis",
    ("kratos.store", "rediss"): "kratos-redis",
    ("kratos.tracing", "otel"): "kratos-otel",
    ("kratos.transport", "connect"): "kratos-grpc",
    ("kratos.transport", "grpc"): "kratos-grpc",
    ("kratos.transport", "http"): "kratos-http",
}
"""Distributions by group and name of their plug-ins; no others are proposed for installation."""
