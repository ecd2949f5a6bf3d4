"""Endpoints of priority configurations come before, or in the place of, those of the main one."""

from __future__ import annotations

from kratos_gateway.api.gateway_pb2 import Endpoint, Gateway, Match, PriorityConfig
from kratos_gateway.config import merge


def main(*paths: str) -> Gateway:
    return Gateway(name="main", endpoints=[Endpoint(path=path) for path in paths])


def priority(*endpoints: Endpoint) -> PriorityConfig:
    return PriorityConfig(name="priority", endpoints=endpoints)


def told(gateway: Gateway) -> list[tuple[str, str]]:
    return [(endpoint.path, endpoint.description) for endpoint in gateway.endpoints]


def new(path: str, *, method: str = "", host: str = "") -> Endpoint:
    return Endpoint(path=path, description="new", method=method, host=host)


def test_a_new_endpoint_comes_first() -> None:
    assert told(merge(main("/a"), [priority(new("/b"))])) == [("/b", "new"), ("/a", "")]


def test_an_endpoint_that_is_there_is_replaced_in_its_place() -> None:
    found = merge(main("/a", "/b", "/c"), [priority(new("/b"))])
    assert told(found) == [("/a", ""), ("/b", "new"), ("/c", "")]


def test_a_replacement_after_a_new_one_meets_its_own() -> None:
    # Go's gateway replaces the one before it.
    found = merge(main("/a", "/b"), [priority(new("/x"), new("/b"))])
    assert told(found) == [("/x", "new"), ("/a", ""), ("/b", "new")]


def test_of_several_new_ones_the_last_comes_first() -> None:
    found = merge(main("/a"), [priority(new("/x"), new("/y")), priority(new("/z"))])
    assert [path for path, _ in told(found)] == ["/z", "/y", "/x", "/a"]


def test_of_two_for_one_endpoint_the_later_counts() -> None:
    later = Endpoint(path="/a", description="newer")
    assert told(merge(main("/a"), [priority(new("/a")), priority(later)])) == [("/a", "newer")]


def test_another_method_is_another_endpoint() -> None:
    found = merge(main("/a"), [priority(new("/a", method="GET"))])
    assert told(found) == [("/a", "new"), ("/a", "")]


def test_of_endpoints_that_differ_in_their_host_the_same_is_replaced() -> None:
    hosts = Gateway(endpoints=[Endpoint(path="/a", host=host) for host in ("x", "y")])
    found = merge(hosts, [priority(new("/a", host="y"))])
    assert [(each.host, each.description) for each in found.endpoints] == [("x", ""), ("y", "new")]


def test_a_single_endpoint_is_replaced_whatever_its_host() -> None:
    hosts = Gateway(endpoints=[Endpoint(path="/a", host="x")])
    assert told(merge(hosts, [priority(new("/a"))])) == [("/a", "new")]


def test_what_is_merged_stays_as_it_was() -> None:
    before = main("/a")
    merge(before, [priority(new("/a"), new("/b"))])
    assert before == main("/a")


def canary(header: str, *, description: str = "new", host: str = "") -> Endpoint:
    match = [Match(header=header, exact="1")]
    return Endpoint(path="/a", match=match, description=description, host=host)


def test_an_endpoint_with_conditions_comes_before_the_one_of_its_path() -> None:
    found = merge(main("/a"), [priority(canary("x"), Endpoint(path="/a", percentage=10))])
    assert [(len(each.match), each.percentage) for each in found.endpoints] == [
        (0, 10),
        (1, 0),
        (0, 0),
    ]


def test_an_endpoint_without_conditions_replaces_none_that_has_some() -> None:
    first = merge(main("/a"), [priority(canary("x"))])
    found = merge(first, [priority(new("/a"))])
    assert [len(each.match) for each in found.endpoints] == [1, 0]
    assert found.endpoints[1].description == "new"


def test_an_endpoint_with_conditions_is_replaced_by_one_with_the_same() -> None:
    first = merge(main("/a"), [priority(canary("x"), canary("y"))])
    found = merge(first, [priority(canary("x", description="newer"))])
    told = [(each.match[0].header, each.description) for each in found.endpoints if each.match]
    assert told == [("y", "new"), ("x", "newer")]
    other = merge(first, [priority(canary("x", host="b.test"))])
    assert len(other.endpoints) == 4


def test_a_share_that_changes_is_that_of_the_same_endpoint() -> None:
    shares = [priority(Endpoint(path="/a", percentage=share)) for share in (10, 20)]
    assert [each.percentage for each in merge(main("/a"), shares).endpoints] == [20, 0]
