"""Watches against a server that behaves as no good one does."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.testing.clock import FakeClock
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, StreamReply, json_reply
from kratos_http.testing import running
from kratos_kubernetes import Cluster, KubernetesClient, KubernetesUnavailable
from kratos_kubernetes.client import Selection
from kratos_kubernetes.objects import ObjectsWatcher
from kratos_kubernetes.stream import Event, Watch

THINGS = Selection("/things")
GONE = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}


def thing(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **more}


def change(name: str, version: int, kind: str = "MODIFIED") -> dict[str, Any]:
    return {"type": kind, "object": thing(name, version)}


class Fake:
    """A server with pages of things, and a script of what it answers to each watch."""

    def __init__(self) -> None:
        self.pages: list[list[dict[str, Any]]] = [[thing("a", 1)]]
        self.watches: list[list[Any]] = []
        self.asked: list[dict[str, str]] = []
        self.next_page: Callable[[int], str] = lambda at: (
            str(at + 1) if at + 1 < len(self.pages) else ""
        )

    async def things(self, request: Request) -> Reply | StreamReply:
        self.asked.append({name: request.query.get(name, "") for name in request.query})
        if not request.query.get("watch", ""):
            at = int(request.query.get("continue", "0"))
            meta = {"resourceVersion": "7", "continue": self.next_page(at)}
            return json_reply({"items": self.pages[at], "metadata": meta})

        async def lines() -> AsyncIterator[bytes]:
            for entry in self.watches.pop(0):
                yield entry if isinstance(entry, bytes) else json.dumps(entry).encode() + b"\n"

        return StreamReply(pieces=lines())


@pytest.fixture
async def fake() -> Fake:
    return Fake()


@pytest.fixture
async def url(fake: Fake) -> AsyncIterator[str]:
    http = HttpServer("127.0.0.1:0")
    for path in ("/things", "/k8s/clusters/c-1/things"):
        http.route("GET", path, streamed=True)(fake.things)
    http.mount(Mount(services=[]))
    async with running(http):
        (bound,) = await http.bind()
        yield bound


@pytest.fixture
async def client(url: str) -> AsyncIterator[KubernetesClient]:
    async with KubernetesClient(Cluster(server=url)) as opened:
        yield opened


def names_of(
    client: KubernetesClient, *, clock: Clock = SYSTEM_CLOCK
) -> ObjectsWatcher[str, tuple[str, ...]]:
    return ObjectsWatcher(
        client,
        THINGS,
        decode=lambda found: found["metadata"]["name"],
        combine=tuple,
        clock=clock,
    )


async def test_list_is_read_page_by_page(client: KubernetesClient, fake: Fake) -> None:
    fake.pages = [[thing("a", 1)], [thing("c", 2)], [thing("b", 3)]]

    state = await names_of(client).read()

    assert state.value == ("a", "b", "c")
    assert [asked.get("continue", "") for asked in fake.asked] == ["", "1", "2"]
    assert {asked["limit"] for asked in fake.asked} == {"500"}


async def test_cluster_may_be_below_a_path_of_its_server(url: str, fake: Fake) -> None:
    fake.watches = [[change("b", 8)]]
    async with KubernetesClient(Cluster(server=f"{url}/k8s/clusters/c-1")) as client:
        watcher = names_of(client)
        state = await watcher.read()
        state = await watcher.changed(state.token) or state
        await watcher.aclose()

    assert state.value == ("a", "b")


async def test_watch_goes_on_at_the_version_that_was_reached(
    client: KubernetesClient, fake: Fake
) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}
    fake.watches = [[change("b", 9), bookmark], [change("a", 13, "DELETED")]]
    clock = FakeClock()
    watcher = names_of(client, clock=clock)
    state = await watcher.read()
    state = await watcher.changed(state.token) or state
    assert state.value == ("a", "b")
    await clock.advance(1.0)
    state = await watcher.changed(state.token) or state
    assert state.value == ("b",)
    await watcher.aclose()

    assert [asked.get("resourceVersion") for asked in fake.asked[1:]] == ["7", "12"]


async def test_change_of_what_is_not_read_is_none(client: KubernetesClient, fake: Fake) -> None:
    fake.watches = [[change("a", 8), change("a", 9), change("b", 10)]]
    watcher = names_of(client)
    state = await watcher.read()

    changed = await watcher.changed(state.token)

    assert changed is not None
    assert changed.value == ("a", "b")
    await watcher.aclose()


async def test_watches_that_end_as_they_begin_are_a_failure_and_not_a_race(
    client: KubernetesClient, fake: Fake
) -> None:
    fake.watches = [[], []]
    watcher = names_of(client)
    state = await watcher.read()

    with pytest.raises(KubernetesUnavailable, match="ended a watch of /things after 0"):
        await watcher.changed(state.token)

    assert len(fake.watches) == 1
    await watcher.aclose()


async def test_server_that_forgets_all_the_time_is_a_failure_and_not_a_race(
    client: KubernetesClient, fake: Fake
) -> None:
    fake.watches = [[GONE], [GONE], [change("b", 8)], [GONE]]
    watcher = names_of(client)
    state = await watcher.read()
    assert await watcher.changed(state.token) is None
    state = await watcher.read()
    with pytest.raises(KubernetesUnavailable, match="too old"):
        await watcher.changed(state.token)
    state = await watcher.read()
    state = await watcher.changed(state.token) or state
    assert state.value == ("a", "b")
    state = await watcher.read()
    assert await watcher.changed(state.token) is None
    await watcher.aclose()


@pytest.mark.parametrize(
    "line", [b"{\n", b"[]\n", b'{"type": "ADDED"}\n', b"\xff\n", b'"\n', b"[" * 100_000 + b"\n"]
)
async def test_line_that_is_no_event_ends_the_watch(
    client: KubernetesClient, fake: Fake, line: bytes
) -> None:
    fake.watches = [[line]]
    watcher = names_of(client)
    state = await watcher.read()

    with pytest.raises(KubernetesUnavailable, match="no event of a watch"):
        await watcher.changed(state.token)
    await watcher.aclose()


async def test_failure_that_is_told_as_an_event_is_raised(
    client: KubernetesClient, fake: Fake
) -> None:
    failure = {"code": 500, "reason": "InternalError", "message": "etcd is away"}
    fake.watches = [[{"type": "ERROR", "object": failure}]]
    watcher = names_of(client)
    state = await watcher.read()

    with pytest.raises(KubernetesUnavailable, match="500 InternalError etcd is away"):
        await watcher.changed(state.token)
    await watcher.aclose()


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"type": "ERROR", "object": "gone"}, "no event of a watch"),
        ({"type": "ERROR", "object": {"code": "much"}}, "no event of a watch"),
        ({"type": "ADDED", "object": {"metadata": None}}, "does not answer as Kubernetes does"),
        ({"type": "ADDED", "object": 7}, "does not answer as Kubernetes does"),
    ],
)
async def test_event_of_what_is_no_object_is_told(
    client: KubernetesClient, fake: Fake, event: Any, message: str
) -> None:
    fake.watches = [[event]]
    watcher = names_of(client)
    state = await watcher.read()

    with pytest.raises(KubernetesUnavailable, match=message):
        await watcher.changed(state.token)
    await watcher.aclose()


@pytest.mark.parametrize("page", [[7], [{}], [{"metadata": None}], 7, {"a": 1}])
async def test_list_of_what_are_no_objects_is_told(
    client: KubernetesClient, fake: Fake, page: Any
) -> None:
    fake.pages = [page]

    with pytest.raises(KubernetesUnavailable, match="does not answer as Kubernetes does"):
        await names_of(client).read()


async def test_list_that_never_ends_is_a_failure(client: KubernetesClient, fake: Fake) -> None:
    fake.pages = [[thing("a", 1)]] * 2
    fake.next_page = lambda _: "1"

    with pytest.raises(KubernetesUnavailable, match="continues with what it was"):
        await names_of(client).read()


class Pieces:
    """What comes over a connection, cut as it likes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


@asynccontextmanager
async def plainly() -> AsyncGenerator[None]:
    yield


@given(
    names=st.lists(st.text(), max_size=5),
    cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=8),
    blank=st.booleans(),
)
async def test_events_arrive_however_they_are_cut(
    names: list[str], cuts: list[int], blank: bool
) -> None:
    end = b"\n\n" if blank else b"\n"
    sent = b"".join(
        json.dumps(change(name, 1), ensure_ascii=False).encode("utf-8", "surrogatepass") + end
        for name in names
    )
    edges = [0, *sorted(cuts), len(sent)]
    pieces: Any = Pieces(sent[a:b] for a, b in pairwise(edges) if sent[a:b])
    telling: Callable[[], Any] = plainly
    watch = Watch(pieces, pieces, telling=telling, silence=5.0)

    got: list[Event] = []
    while (event := await watch.next()) is not None:
        got.append(event)

    assert [event.object["metadata"]["name"] for event in got] == names
