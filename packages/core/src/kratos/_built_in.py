"""The plug-ins that this version knows; a test holds both tables equal to the entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["BUILT_IN", "DISTRIBUTED"]

BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "kratos.encoding": {
        "json": "kratos.encoding.json:JSON",
        "proto": "kratos.encoding.proto:PROTO",
        "protojson": "kratos.encoding.json:PROTOJSON",
        "x-www-form-urlencoded": "kratos.encoding.form:FORM",
        "xml": "kratos.encoding.xml:XML",
        "yaml": "kratos.encoding.yaml:YAML",
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
}

DISTRIBUTED: Final[Mapping[tuple[str, str], str]] = {
    ("kratos.transport", "grpc"): "kratos-grpc",
    ("kratos.transport", "http"): "kratos-http",
}
"""Distributions by group and name of their plug-ins; no others are proposed for installation."""
