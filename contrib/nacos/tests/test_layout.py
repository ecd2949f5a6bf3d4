from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import ServiceInstance, same_instances
from kratos_nacos.layout import Reading, entries_of, instances_of, newest, services_of

ONE = ServiceInstance(
    id="5f1b",
    name="orders",
    version="v1",
    metadata={"zone": "a"},
    endpoints=("grpc://10.0.0.1:9000", "http://10.0.0.1:8000"),
)

Listed = Mapping[str, Sequence[Any]]


def written(
    instance: ServiceInstance, *, since: int = 1, weight: float = 100.0
) -> dict[str, list[dict[str, Any]]]:
    return entries_of(instance, cluster="DEFAULT", weight=weight, since=since)


def read(listed: Listed, *, cluster: str = "DEFAULT") -> list[ServiceInstance]:
    def refuse(service: str, error: ValueError) -> None:
        raise AssertionError(f"{service}: {error}")

    how = Reading(cluster=cluster, kind="grpc", weight=100.0, skip=refuse)
    return list(instances_of("orders", listed, how))


def of_go(**changed: Any) -> dict[str, Any]:
    """Return an entry as Nacos tells one that Go Kratos has written."""
    return {
        "ip": "10.0.0.9",
        "port": 9000,
        "weight": 100.0,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "DEFAULT",
        "serviceName": "DEFAULT_GROUP@@orders.grpc",
        "metadata": {"kind": "grpc", "version": "v2", "zone": "b"},
        **changed,
    }


def test_each_endpoint_is_an_entry_of_the_service_with_its_scheme() -> None:
    entries = written(ONE, since=7)

    assert list(entries) == ["orders.grpc", "orders.http"]
    assert entries["orders.http"] == [
        {
            "ip": "10.0.0.1",
            "port": 8000,
            "weight": 100.0,
            "enabled": True,
            "healthy": True,
            "ephemeral": True,
            "clusterName": "DEFAULT",
            "serviceName": "orders.http",
            "metadata": {
                "zone": "a",
                "kind": "http",
                "version": "v1",
                "kratos.id": "5f1b",
                "kratos.since": "7",
                "kratos.schemes": "grpc,http",
            },
        }
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = texts.filter(lambda key: not key.startswith("kratos.") and key not in {"kind", "version"})
hosts = st.sampled_from(["10.0.0.1", "[::1]", "host", "h-2.example"])
endpoints = st.builds(
    "{}://{}:{}{}".format,
    st.sampled_from(["grpc", "grpcs", "http", "https"]),
    hosts,
    st.integers(1, 65535),
    st.sampled_from(["", "", "?isSecure=false", "/path"]),
)


@given(
    version=texts,
    metadata=st.dictionaries(keys, texts, max_size=3),
    weight=st.sampled_from([None, "0", "7", "10000", "10001", "-1", "nan", "heavy"]),
    ends=st.lists(endpoints, min_size=1, max_size=4, unique=True),
)
def test_instance_that_was_written_is_read_again(
    version: str, metadata: dict[str, str], weight: str | None, ends: list[str]
) -> None:
    metadata.pop("weight", None)
    if weight is not None:
        metadata["weight"] = weight
    one = replace(ONE, version=version, metadata=metadata, endpoints=tuple(ends))

    assert read(written(one)) == [one]


@pytest.mark.parametrize(
    ("weight", "written_as"),
    [("7", 7.0), ("0", 0.0), ("2.5", 2.5), ("heavy", 100.0), ("-1", 100.0), ("nan", 100.0)],
)
def test_weight_is_the_one_of_the_metadata_where_nacos_takes_it(
    weight: str, written_as: float
) -> None:
    (entry,) = written(replace(ONE, metadata={"weight": weight}))["orders.grpc"]

    assert entry["weight"] == written_as


def test_weight_that_an_operator_set_is_read() -> None:
    entries = written(ONE)
    for listed in entries.values():
        listed[0]["weight"] = 0.5

    (found,) = read(entries)

    assert found.metadata == {"zone": "a", "weight": "1"}


@pytest.mark.parametrize("change", [{"enabled": False}, {"healthy": False}])
def test_entry_that_is_disabled_or_sick_is_left_out(change: dict[str, bool]) -> None:
    entries = written(ONE)
    entries["orders.grpc"][0].update(change)

    (found,) = read(entries)

    assert found.endpoints == ("http://10.0.0.1:8000",)


def test_entries_of_other_clusters_are_left_out() -> None:
    assert read(written(ONE), cluster="HZ") == []


def test_entries_of_go_are_instances_of_their_own() -> None:
    found = read({"orders.grpc": [of_go(), of_go(port=9001)]})

    assert same_instances(
        found,
        [
            ServiceInstance(
                id=f"10.0.0.9#{port}#DEFAULT#DEFAULT_GROUP@@orders.grpc",
                name="orders",
                version="v2",
                metadata={"zone": "b"},
                endpoints=(f"grpc://10.0.0.9:{port}",),
            )
            for port in (9000, 9001)
        ],
    )


def test_entry_without_a_kind_has_the_default_one() -> None:
    (found,) = read({"orders": [of_go(metadata={}, instanceId="7")]})

    assert (found.id, found.endpoints) == ("7", ("grpc://10.0.0.9:9000",))


def test_entry_that_two_connections_have_is_one_instance() -> None:
    (found,) = read({"orders.grpc": [of_go(), of_go()]})

    assert found.endpoints == ("grpc://10.0.0.9:9000",)


@pytest.mark.parametrize("turned", [False, True])
def test_later_publication_of_an_id_counts(turned: bool) -> None:
    later = replace(ONE, version="v2", endpoints=("grpc://10.0.0.2:9000",))
    old, new = written(ONE, since=1), written(later, since=2)
    both = {
        service: sorted(
            [*old.get(service, ()), *new.get(service, ())],
            key=lambda entry: entry["metadata"]["kratos.since"],
            reverse=turned,
        )
        for service in old
    }

    assert read(both) == [later]
    assert newest(ONE.id, both["orders.grpc"]) == 2
    assert newest("other", ["no entry", *both["orders.grpc"]]) == 0


def test_instance_that_is_being_changed_keeps_all_its_endpoints() -> None:
    changed = replace(ONE, metadata={"weight": "0"})
    half = {**written(ONE, since=1), "orders.grpc": written(changed, since=2)["orders.grpc"]}

    assert read(half) == [changed]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("10.0.0.1:9000", "it is no object"),
        (of_go(ip=None), "it has no address"),
        (of_go(port="9000"), "it has no address"),
        (of_go(weight="heavy"), "a weight that is no number"),
        (of_go(weight=10**400), "a weight that is no number"),
    ],
)
def test_entry_that_cannot_be_read_is_left_out_and_told(entry: object, message: str) -> None:
    told: list[str] = []
    how = Reading(
        cluster="DEFAULT",
        kind="grpc",
        weight=100.0,
        skip=lambda service, error: told.append(f"{service}: {error}"),
    )

    found = instances_of("orders", {"orders.grpc": [entry, of_go()]}, how)

    assert len(found) == 1
    assert len(told) == 1
    assert message in told[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endpoints": ()}, "has no endpoint"),
        ({"endpoints": ("10.0.0.1:9000",)}, "must be scheme://host:port"),
        ({"endpoints": ("grpc://10.0.0.1",)}, "missing port"),
        ({"endpoints": ("grpc://:9000",)}, "needs a host and a port"),
        ({"metadata": {"kind": "big"}}, "metadata 'kind'.* is the registry's own"),
        ({"metadata": {"kratos.id": "1"}}, "metadata 'kratos.id'.* is the registry's own"),
        ({"name": "a@@b"}, "must not hold '@@'"),
    ],
)
def test_instance_that_nacos_has_no_place_for_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        written(replace(ONE, **change))


def test_name_is_looked_up_as_it_is_and_with_each_scheme() -> None:
    assert services_of("orders", ["grpc", "http"]) == ("orders", "orders.grpc", "orders.http")
