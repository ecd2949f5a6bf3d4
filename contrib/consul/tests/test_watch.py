"""How lists are waited for: what is asked, how often, and what is made of odd answers."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from kratos.registry import ServiceInstance, instance_feed
from kratos.testing.clock import FakeClock
from kratos_consul.agent import Answer, ConsulUnavailable, Question
from kratos_consul.registry import MULTI, ConsulRegistry
from kratos_consul.threaded import ThreadedAgent


class Scripted:
    """An agent whose answers a test gives, by datacentre; it is held back until there is one."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, dict[str, str]]] = []
        self.longest_wait = 600.0
        self._answers: dict[str, list[tuple[str, list[str]] | Exception]] = {}
        self._given = asyncio.Event()

    def gives(self, index: str, *ids: str, place: str = "") -> None:
        self._answers.setdefault(place, []).append((index, list(ids)))
        self._given.set()

    def fails(self, *, place: str = "") -> None:
        self._answers.setdefault(place, []).append(ConsulUnavailable(f"{place} is away"))
        self._given.set()

    async def ask(self, question: Question, /) -> Answer:
        if question.path.endswith("datacenters"):
            return self._answer(question, "1", ["near", "far"])
        place = question.query["dc"]
        self.asked.append((self.clock.time(), dict(question.query)))
        while not self._answers.get(place):
            self._given.clear()
            await self._given.wait()
        answer = self._answers[place].pop(0)
        if isinstance(answer, Exception):
            raise answer
        index, ids = answer
        found = [{"Service": {"ID": one, "Service": "orders"}} for one in ids]
        return self._answer(question, index, found)

    def _answer(self, question: Question, index: str, body: Any) -> Answer:
        return Answer(
            agent="fake",
            has_token=True,
            question=question,
            status=200,
            headers={"x-consul-index": index},
            body=json.dumps(body).encode(),
        )

    async def aclose(self) -> None:
        return None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def agent(clock: FakeClock) -> Scripted:
    return Scripted(clock)


@pytest.fixture
def registry(
    agent: Scripted, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ConsulRegistry]:
    def given(_client: object) -> Scripted:
        return agent

    def make(**options: Any) -> ConsulRegistry:
        return ConsulRegistry(agent, clock=clock, **options)

    monkeypatch.setattr("kratos_consul.registry.agent_of", given)

    return make


def ids(state: Any) -> list[str]:
    return [one.id for one in state.value]


async def test_first_question_has_no_index_and_later_ones_wait(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry(wait=55.0).watch("orders")
    agent.gives("7", "a")
    state = await watcher.read()
    agent.gives("9", "a", "b")

    changed = await watcher.changed(state.token)

    assert ids(changed) == ["a", "b"]
    assert [query for _, query in agent.asked] == [
        {"passing": "1", "dc": ""},
        {"passing": "1", "dc": "", "index": "7", "wait": "55000ms"},
    ]


async def test_index_that_goes_back_asks_for_a_fresh_read(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry().watch("orders")
    agent.gives("700", "a")
    state = await watcher.read()
    agent.gives("5", "b")

    assert await watcher.changed(state.token) is None

    agent.gives("5", "b")
    assert ids(await watcher.read()) == ["b"]
    assert "index" not in agent.asked[-1][1]


async def test_index_that_goes_back_and_forth_keeps_nobody_busy(
    agent: Scripted, registry: Callable[..., ConsulRegistry], clock: FakeClock
) -> None:
    feed = instance_feed(registry(), "orders", clock=clock)
    for _ in range(1000):  # as two clusters behind one address do
        agent.gives("700", "a")
        agent.gives("5", "b")
    feed.subscribe(lambda _: None)
    for _ in range(100):
        await clock.advance(0.1)
    await feed.aclose()

    assert len(agent.asked) <= 32, "ten seconds, two questions each time"


async def test_index_of_nought_is_not_asked_with(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry().watch("orders")
    agent.gives("0", "a")  # with which Consul would answer at once, again and again
    state = await watcher.read()
    agent.gives("1", "a")
    await watcher.changed(state.token)

    assert agent.asked[-1][1]["index"] == "1"


async def test_answers_that_tell_nothing_are_asked_for_less_and_less(
    agent: Scripted, registry: Callable[..., ConsulRegistry], clock: FakeClock
) -> None:
    watcher = await registry().watch("orders")
    agent.gives("1", "a")
    token = (await watcher.read()).token

    async def follow() -> None:
        nonlocal token
        while True:
            changed = await watcher.changed(token)
            assert changed is not None
            token = changed.token

    following = asyncio.ensure_future(follow())
    for index in range(2, 5000):  # neighbours change all the time
        agent.gives(str(index), "a")
    await clock.advance(10.0)
    assert len(agent.asked) <= 16
    await clock.advance(2000.0)
    assert not following.done()
    following.cancel()
    await asyncio.wait({following})

    times = [time for time, _ in agent.asked]
    assert 1990 <= len(times) <= 2016
    assert times[-1] - times[-2] >= 1.0


async def test_news_after_a_pause_is_not_late_for_the_next(
    agent: Scripted, registry: Callable[..., ConsulRegistry], clock: FakeClock
) -> None:
    watcher = await registry().watch("orders")
    agent.gives("1", "a")
    state: Any = await watcher.read()
    agent.gives("2", "a")
    state = await watcher.changed(state.token)
    agent.gives("3", "b")
    agent.gives("4", "c")

    waiting = asyncio.ensure_future(watcher.changed(state.token))
    await clock.settle()
    assert not waiting.done()
    await clock.advance(0.05)
    state = await waiting

    assert ids(state) == ["b"]
    assert ids(await watcher.changed(state.token)) == ["c"]


async def test_one_answer_of_many_datacentres_is_enough(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry(datacenter=MULTI).watch("orders")
    agent.gives("100", "a", place="near")
    agent.gives("7", "b", place="far")
    state: Any = await watcher.read()
    assert [(one.id, one.metadata) for one in state.value] == [
        ("a", {"dc": "near"}),
        ("b", {"dc": "far"}),
    ]

    agent.gives("8", "c", place="far")
    state = await watcher.changed(state.token)

    assert ids(state) == ["a", "c"]
    assert state.token == {"near": 100, "far": 8}
    assert {query["dc"]: query["index"] for _, query in agent.asked[2:]} == {
        "near": "100",
        "far": "7",
    }


async def test_far_datacentre_that_fails_ends_no_wait_and_no_list(
    agent: Scripted, registry: Callable[..., ConsulRegistry], clock: FakeClock
) -> None:
    watcher = await registry(datacenter=MULTI).watch("orders")
    agent.gives("100", "a", place="near")
    agent.gives("7", "b", place="far")
    state: Any = await watcher.read()

    agent.fails(place="far")
    waiting = asyncio.ensure_future(watcher.changed(state.token))
    await clock.settle()
    assert not waiting.done()
    agent.gives("101", "c", place="near")
    state = await waiting
    assert ids(state) == ["c", "b"]

    agent.gives("9", "d", place="far")
    state = await watcher.changed(state.token)
    assert ids(state) == ["c", "d"]


async def test_near_datacentre_that_fails_is_an_error(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry(datacenter=MULTI).watch("orders")
    agent.fails(place="near")
    agent.gives("7", "b", place="far")

    with pytest.raises(ConsulUnavailable, match="near is away"):
        await watcher.read()


async def test_failed_read_leaves_the_next_watcher_alone(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    made = registry()
    agent.fails()
    with pytest.raises(ConsulUnavailable):
        await (await made.watch("orders")).read()
    agent.gives("1", "a")

    assert ids(await (await made.watch("orders")).read()) == ["a"]


async def test_closed_watcher_asks_nothing(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    watcher = await registry().watch("orders")
    await watcher.aclose()

    with pytest.raises(ConsulUnavailable, match="the watcher is closed"):
        await watcher.read()
    assert agent.asked == []


async def test_entries_are_read_as_the_resolver_says(
    agent: Scripted, registry: Callable[..., ConsulRegistry]
) -> None:
    def resolve(entry: Any) -> ServiceInstance | None:
        one = entry["Service"]["ID"]
        if one == "bad":
            raise ValueError("no")
        if one == "odd":
            return ServiceInstance(id=entry["Service"]["Meta"]["id"], name="renamed")
        return None if one == "hidden" else ServiceInstance(id=one, name="renamed")

    made = registry(resolver=resolve)
    agent.gives("1", "a", "bad", "odd", "hidden")

    state = await (await made.watch("orders")).read()

    assert list(state.value) == [ServiceInstance(id="a", name="renamed")]
    assert made.skipped == 1  # they have no names here


class Blocking:
    """The HTTP layer of a client that blocks, and notes how many threads it is in."""

    base_uri = "http://fake:8500"

    def __init__(self) -> None:

        self.opened = threading.Event()
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def get(self, callback: Callable[[Any], Any], path: str, params: Any = None) -> Any:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        if params:
            self.opened.wait(10.0)
        with self._lock:
            self.inside -= 1
        return callback(Response())

    def put(self, callback: Any, path: str, params: Any = None, data: str = "") -> Any:
        return callback(Response())


async def test_list_that_waits_for_its_thread_does_not_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(Blocking):
        def get(self, callback: Callable[[Any], Any], path: str, params: Any = None) -> Any:
            self.opened.wait(0.035)
            return callback(Response())

    class Client:
        http = Slow()

    # The last one waits for two seconds and more, and would have 1.1 if all had the same.
    monkeypatch.setattr("kratos_consul.threaded._TIMEOUT", 1.0)
    agent = ThreadedAgent(Client())
    question = Question(verb="GET", path="/v1/kv/", query={"index": "1"}, wait=0.1)

    answers = await asyncio.gather(*(agent.ask(question) for _ in range(1000)))

    assert {answer.status for answer in answers} == {200}
    await agent.aclose()


async def test_token_in_the_query_of_a_client_is_not_told() -> None:
    class Broken(Blocking):
        def get(self, callback: Callable[[Any], Any], path: str, params: Any = None) -> Any:
            raise ConnectionError(f"Max retries exceeded with url: {path}?{urlencode(params)}")

    class Client:
        http = Broken()
        token = "hunter 2"

    agent = ThreadedAgent(Client())

    with pytest.raises(ConsulUnavailable, match=r"retries exceeded .*token=\*\*\*") as refused:
        await agent.ask(Question(verb="GET", path="/v1/kv/", query={"dc": "a"}))

    assert "hunter" not in "".join(traceback.format_exception(refused.value))
    await agent.aclose()


class Response:
    code = 200
    headers: ClassVar[dict[str, str]] = {"X-Consul-Index": "1"}
    body = "[]"


async def test_client_that_blocks_is_called_in_few_threads_and_heartbeats_have_their_own() -> None:
    class Client:
        http = Blocking()
        token = None

    agent = ThreadedAgent(Client())
    slow = Question(verb="GET", path="/v1/kv/", query={"index": "1"}, wait=4.0)
    quick = Question(verb="PUT", path="/v1/agent/check/update/", query={})
    waiting = [asyncio.ensure_future(agent.ask(slow)) for _ in range(100)]
    await asyncio.sleep(0)

    assert (await agent.ask(quick)).status == 200

    assert Client.http.most <= 16
    Client.http.opened.set()
    await asyncio.gather(*waiting)
    assert Client.http.most == 16
    await agent.aclose()
