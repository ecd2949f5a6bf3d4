"""Layout on pods, the one of Go Kratos: pure functions over labels and annotations.

Go writes ``kratos-service-id``, ``-app`` and ``-version`` as labels, ``-metadata`` and
``-protocols`` as annotations, and takes endpoints from the ports of the pod's containers. Two more
annotations, which Go passes over, hold the instance as it is, as labels cannot hold every version
and ports have one scheme there, and which registration it belongs to. A third one names a
registration that was given up before it was known to be made, until there is another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from kratos.address import join_host_port
from kratos.registry import ServiceInstance
from kratos_kubernetes.json_object import Object, part, parts

__all__ = [
    "APP",
    "BARRED",
    "ID",
    "INSTANCE",
    "OWNER",
    "instance_of",
    "is_ready",
    "published",
    "require_label",
    "withdrawn",
]

ID: Final = "kratos-service-id"
APP: Final = "kratos-service-app"
VERSION: Final = "kratos-service-version"
METADATA: Final = "kratos-service-metadata"
PROTOCOLS: Final = "kratos-service-protocols"
INSTANCE: Final = "kratos-service-instance"
OWNER: Final = "kratos-service-owner"
BARRED: Final = "kratos-service-barred"

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_NO_LABEL: Final = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
_ENDS: Final = "._-"
_LONGEST: Final = 63
_BLANK: Final = frozenset({"", "{}", "null", "nil", "[]"})


def require_label(what: str, text: str) -> None:
    """Refuse what cannot be the value of a label.

    Raises:
        ValueError: It cannot.
    """
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f"{what} {text!r} cannot be a label of Kubernetes: up to {_LONGEST} letters, digits, "
            "'-', '_' and '.', with a letter or a digit at either end"
        )


def published(instance: ServiceInstance, owner: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and annotations of an instance.

    Args:
        instance: The instance.
        owner: Which registration it belongs to.

    Raises:
        ValueError: Its id or name cannot be labels.
    """
    require_label("id", instance.id)
    require_label("service name", instance.name)
    labels = {ID: instance.id, APP: instance.name, VERSION: _as_label(instance.version)}
    annotations = {
        METADATA: _json(dict(sorted(instance.metadata.items()))),
        PROTOCOLS: _json(_protocols(instance)),
        INSTANCE: _json(instance.to_mapping()),
        OWNER: owner,
    }
    return labels, annotations


def withdrawn() -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and annotations that Go leaves behind."""
    return {ID: "", APP: "", VERSION: ""}, {METADATA: "{}", PROTOCOLS: "{}"}


def is_ready(pod: Object) -> bool:
    """Tell whether calls should go to a pod: it is ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = parts(part(pod, "status"), "conditions")
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def instance_of(pod: Object) -> ServiceInstance | None:
    """Return the instance that a pod is; ``None`` if it does not run.

    Raises:
        ValueError: Its annotations cannot be read.
    """
    status = part(pod, "status")
    host = status.get("podIP", "")
    if status.get("phase") != "Running" or not host:
        return None
    meta: Object = pod["metadata"]
    labels, annotations = part(meta, "labels"), part(meta, "annotations")
    name = labels.get(APP, "")
    as_is = _mapping(annotations, INSTANCE)
    if as_is and (as_is.get("id"), as_is.get("name")) == (labels.get(ID), name):
        return ServiceInstance.from_mapping(as_is)
    metadata, protocols = _texts(annotations, METADATA), _texts(annotations, PROTOCOLS)
    return ServiceInstance(
        id=labels.get(ID) or meta["name"],
        name=name,
        version=labels.get(VERSION, ""),
        metadata=metadata,
        endpoints=tuple(_endpoints(pod, host, protocols)),
    )


def _endpoints(pod: Object, host: str, protocols: Mapping[str, str]) -> list[str]:
    """Return the endpoints that Go finds: one for each port of the containers."""
    endpoints: list[str] = []
    for container in parts(pod["spec"], "containers"):
        for port in parts(container, "ports"):
            number: int = port["containerPort"]
            scheme = (
                protocols.get(str(number))
                or port.get("name", "").partition("-")[0]
                or port.get("protocol", "TCP")
            )
            endpoints.append(f"{scheme}://{join_host_port(host, number)}")
    return endpoints


def _protocols(instance: ServiceInstance) -> dict[str, str]:
    protocols: dict[str, str] = {}
    for endpoint in instance.endpoints:
        try:
            parts = urlsplit(endpoint)
            port = parts.port
        except ValueError:
            continue  # Go cannot find it; it is in the instance as it is
        if port:
            protocols[str(port)] = parts.scheme
    return dict(sorted(protocols.items()))


def _as_label(version: str) -> str:
    """Return what of a version a label can hold: ``1.0+5`` is ``1.0_5``."""
    return _NO_LABEL.sub("_", version)[:_LONGEST].strip(_ENDS)


def _texts(annotations: Mapping[str, str], name: str) -> dict[str, str]:
    members = _mapping(annotations, name)
    for key, value in members.items():
        if not isinstance(value, str):
            raise ValueError(f"{key!r} in annotation {name} must be text")
    return cast("dict[str, str]", members)


def _mapping(annotations: Mapping[str, str], name: str) -> dict[str, object]:
    text = annotations.get(name, "").strip()
    if text in _BLANK:
        return {}
    try:
        members: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"annotation {name} is no JSON: {error}") from error
    if not isinstance(members, dict):
        raise ValueError(f"annotation {name} must be a JSON object")
    return cast("dict[str, object]", members)


def _json(members: Mapping[str, object]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
