"""The layout on pods: what Go writes is read, and what is written Go reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance
from kratos_kubernetes.pods import instance_of, is_ready, published, require_label

ONE = ServiceInstance(
    id="5f1b",
    name="orders",
    version="v1.0",
    metadata={"b": "2", "a": "1"},
    endpoints=("http://10.0.0.1:8000", "grpc://10.0.0.1:9000?isSecure=false"),
)
LABELS = {
    "kratos-service-id": "5f1b",
    "kratos-service-app": "orders",
    "kratos-service-version": "v1.0",
}
ANNOTATIONS = {
    "kratos-service-metadata": '{"a":"1","b":"2"}',
    "kratos-service-protocols": '{"8000":"http","9000":"grpc"}',
}


def pod(
    *,
    labels: Mapping[str, str] | None = LABELS,
    annotations: Mapping[str, str] | None = ANNOTATIONS,
    ports: Sequence[Mapping[str, Any]] = (),
    **status: Any,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "orders-x",
            "namespace": "shop",
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {"containers": [{"ports": list(ports)}, {}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def test_labels_and_annotations_are_those_of_go() -> None:
    labels, annotations = published(ONE, "owner")

    assert labels == LABELS
    assert annotations.pop("kratos-service-instance")
    assert annotations.pop("kratos-service-owner") == "owner"
    assert annotations == ANNOTATIONS


def test_pod_of_go_is_an_instance_by_its_containers_ports() -> None:
    ports: list[dict[str, Any]] = [
        {"containerPort": 8000, "name": "web"},
        {"containerPort": 9000, "protocol": "TCP"},
        {"containerPort": 9100, "name": "debug-http", "protocol": "TCP"},
        {"containerPort": 53, "protocol": "UDP"},
        {"containerPort": 54},
    ]

    found = instance_of(pod(ports=ports))

    assert found == replace(
        ONE,
        endpoints=(
            "http://10.0.0.1:8000",
            "grpc://10.0.0.1:9000",
            "debug://10.0.0.1:9100",
            "UDP://10.0.0.1:53",
            "TCP://10.0.0.1:54",
        ),
    )


def test_address_of_ipv6_stands_in_brackets() -> None:
    found = instance_of(pod(ports=[{"containerPort": 9000}], podIP="fd00::1"))

    assert found is not None
    assert found.endpoints == ("grpc://[fd00::1]:9000",)


@pytest.mark.parametrize("blank", ["", " ", "{}", "null", "nil", "[]"])
def test_what_go_takes_for_empty_is_empty(blank: str) -> None:
    annotations = dict.fromkeys(ANNOTATIONS, blank)

    found = instance_of(pod(annotations=annotations, ports=[{"containerPort": 1, "name": "grpc"}]))

    assert found == replace(ONE, metadata={}, endpoints=("grpc://10.0.0.1:1",))


def test_pod_without_annotations_is_an_instance_by_its_name() -> None:
    labels = {"kratos-service-app": "orders"}

    assert instance_of(pod(labels=labels, annotations=None)) == ServiceInstance(
        id="orders-x", name="orders"
    )


@pytest.mark.parametrize(
    "status", [{"phase": "Pending"}, {"phase": "Succeeded"}, {"podIP": ""}, {"phase": None}]
)
def test_pod_that_does_not_run_is_no_instance(status: dict[str, Any]) -> None:
    assert instance_of(pod(**status)) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata", "{", "kratos-service-metadata is no JSON"),
        ("metadata", "[" * 100_000, "is no JSON"),
        ("protocols", "[1]", "kratos-service-protocols must be a JSON object"),
        ("metadata", '{"a": 1}', "'a' in annotation kratos-service-metadata must be text"),
        ("instance", "7", "kratos-service-instance must be a JSON object"),
        ("instance", '{"id": "5f1b", "name": "orders", "metadata": 1}', "must be an object"),
    ],
)
def test_annotation_that_cannot_be_read_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        instance_of(pod(annotations={**ANNOTATIONS, f"kratos-service-{name}": text}))


def test_what_another_registration_left_behind_is_passed_over() -> None:
    _, annotations = published(replace(ONE, id="before"), "owner")

    found = instance_of(pod(annotations={**annotations, **ANNOTATIONS}))

    assert found == replace(ONE, endpoints=())


@pytest.mark.parametrize(
    ("version", "label"),
    [
        ("", ""),
        ("v1.0.0-rc.1", "v1.0.0-rc.1"),
        ("1.0+5", "1.0_5"),
        ("größe", "gr__e"),
        ("+++", ""),
        ("-1-", "1"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + "+y", "x" * 62),
    ],
)
def test_version_is_told_to_go_as_far_as_a_label_holds_it(version: str, label: str) -> None:
    labels, annotations = published(replace(ONE, version=version), "owner")

    assert labels["kratos-service-version"] == label
    assert json.loads(annotations["kratos-service-instance"])["version"] == version


@given(
    version=st.text(),
    metadata=st.dictionaries(st.text(), st.text()),
    endpoints=st.lists(st.text()),
)
def test_every_instance_is_read_as_it_was_written(
    version: str, metadata: dict[str, str], endpoints: list[str]
) -> None:
    one = replace(ONE, version=version, metadata=metadata, endpoints=tuple(endpoints))

    labels, annotations = published(one, "owner")

    if labels["kratos-service-version"]:
        require_label("version", labels["kratos-service-version"])
    assert instance_of(pod(labels=labels, annotations=annotations)) == one


@pytest.mark.parametrize("text", ["", "a b", "größe", "-a", "a-", "x" * 64, "a\n", "a/b"])
def test_names_that_cannot_be_labels_are_refused(text: str) -> None:
    for one in (replace(ONE, id=text), replace(ONE, name=text)):
        with pytest.raises(ValueError, match="cannot be a label of Kubernetes"):
            published(one, "owner")


@pytest.mark.parametrize("text", ["a", "A.b-c_d", "9", "x" * 63])
def test_names_that_can_be_labels_are_taken(text: str) -> None:
    require_label("name", text)


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        (None, False),
        ([], False),
        ([{"type": "Ready", "status": "True"}], True),
        ([{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}], False),
        ([{"type": "Ready", "status": "Unknown"}], False),
    ],
)
def test_pod_is_ready_when_the_kubelet_says_so(conditions: Any, *, ready: bool) -> None:
    assert is_ready(pod(conditions=conditions)) is ready


def test_pod_on_its_way_out_is_not_ready() -> None:
    leaving = pod(conditions=[{"type": "Ready", "status": "True"}])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert not is_ready(leaving)
