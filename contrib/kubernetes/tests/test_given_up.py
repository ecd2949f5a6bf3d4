"""Registrations that are given up while the server has them in hand, on one that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kratos.address import split_host_port
from kratos.registry import ServiceInstance
from kratos.testing.proxy import FaultProxy
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, json_reply
from kratos_http.testing import running
from kratos_kubernetes import (
    Cluster,
    KubernetesClient,
    KubernetesRegistry,
    KubernetesUnavailable,
)

PATH = "/api/v1/namespaces/default/pods/one"
ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))


class Pod:
    """A server with one pod: what it is told it does, even if nobody waits for the answer."""

    def __init__(self) -> None:
        self.version = 1
        self.labels: dict[str, str] = {}
        self.annotations: dict[str, str] = {}
        self.is_slow = False  # with the next label
        self.held = asyncio.Event()  # set when it has that in hand
        self.go_on = asyncio.Event()
        self.settled = asyncio.Event()  # when that is done, or refused
        self.withdrawn = asyncio.Event()
        self.seen: Callable[[], None] = lambda: None  # called when the pod was read
        self.tries = 0
        self._late: asyncio.Task[Reply] | None = None

    @property
    def id(self) -> str:
        """The id of the instance that it is for the world; empty for none."""
        return self.labels.get("kratos-service-id", "")

    async def get(self, _request: Request) -> Reply:
        answer = self._answer()
        self.seen()
        return answer

    async def patch(self, request: Request) -> Reply:
        changes = await request.json()
        if request.headers.get("content-type") == "application/json-patch+json":
            return self._withdraw(changes)
        if "labels" in changes["metadata"]:
            self.tries += 1
            if self.is_slow:
                self.is_slow = False
                self._late = asyncio.create_task(self._in_time(changes["metadata"]))
                self.held.set()
                return await asyncio.shield(self._late)
        return self._merge(changes["metadata"])

    def touch(self) -> None:
        """Change something else, as the kubelet does."""
        self.version += 1

    async def _in_time(self, meta: Any) -> Reply:
        await self.go_on.wait()
        try:
            return self._merge(meta)
        finally:
            self.settled.set()

    def _merge(self, meta: Any) -> Reply:
        if meta.get("resourceVersion", str(self.version)) != str(self.version):
            return _refusal(409, "Conflict", "the object has been modified")
        self.labels |= meta.get("labels", {})
        for name, text in meta.get("annotations", {}).items():
            self.annotations.pop(name, None)
            if text is not None:
                self.annotations[name] = text
        self.version += 1
        return self._answer()

    def _withdraw(self, changes: Any) -> Reply:
        members = {"labels": self.labels, "annotations": self.annotations}
        places = [(one["op"], *one["path"].split("/")[2:], one["value"]) for one in changes]
        for action, kind, name, text in places:
            if action == "test" and members[kind].get(name) != text:
                return _refusal(422, "Invalid", "the server rejected our request")
        for action, kind, name, text in places:
            if action == "add":
                members[kind][name] = text
            elif action == "remove":
                del members[kind][name]
        self.version += 1
        self.withdrawn.set()
        return self._answer()

    def _answer(self) -> Reply:
        return json_reply(
            {
                "metadata": {
                    "uid": "u",
                    "resourceVersion": str(self.version),
                    "labels": self.labels,
                    "annotations": self.annotations,
                }
            }
        )


def _refusal(code: int, reason: str, message: str) -> Reply:
    return json_reply({"code": code, "reason": reason, "message": message}, status=code)


@pytest.fixture
async def pod() -> Pod:
    return Pod()


@pytest.fixture
async def proxy(pod: Pod) -> AsyncIterator[FaultProxy]:
    http = HttpServer("127.0.0.1:0")
    http.route("GET", PATH)(pod.get)
    http.route("PATCH", PATH)(pod.patch)
    http.mount(Mount(services=[]))
    async with running(http):
        (bound,) = await http.bind()
        host, port = split_host_port(bound.removeprefix("http://"))
        async with FaultProxy(host, port) as line:
            yield line
            pod.go_on.set()  # else the server would wait for what it has in hand


@pytest.fixture
async def registry(proxy: FaultProxy) -> AsyncIterator[KubernetesRegistry]:
    async with KubernetesClient(Cluster(server=f"http://{proxy.address}")) as client:
        yield KubernetesRegistry(client, namespace="default", pod="one")


@asynccontextmanager
async def in_hand(
    pod: Pod, registry: KubernetesRegistry, instance: ServiceInstance = ONE
) -> AsyncGenerator[asyncio.Task[Any]]:
    """Register, and go on when the server has that in hand."""
    pod.is_slow = True
    registering = asyncio.ensure_future(registry.register(instance))
    await pod.held.wait()
    yield registering
    await asyncio.wait({registering})


async def cancel(registering: asyncio.Task[Any]) -> None:
    registering.cancel()
    await asyncio.wait({registering})
    assert registering.cancelled()


async def settle(pod: Pod) -> None:
    pod.go_on.set()
    await pod.settled.wait()


async def test_what_was_cancelled_cannot_come_late(pod: Pod, registry: KubernetesRegistry) -> None:
    async with in_hand(pod, registry) as registering:
        await cancel(registering)

        await settle(pod)

    assert pod.id == ""


async def test_what_came_before_nobody_waited_any_more_is_taken_back(
    pod: Pod, registry: KubernetesRegistry, proxy: FaultProxy
) -> None:
    async with in_hand(pod, registry) as registering:
        proxy.stall()
        await settle(pod)
        assert pod.id == ONE.id
        registering.cancel()
        proxy.restore()

    assert pod.id == ""


async def test_what_comes_while_its_way_is_barred_is_taken_back(
    pod: Pod, registry: KubernetesRegistry
) -> None:
    async with in_hand(pod, registry) as registering:
        pod.seen = pod.go_on.set
        await cancel(registering)
        await settle(pod)

    assert pod.id == ""
    assert pod.withdrawn.is_set()


async def test_what_was_sent_over_a_line_that_broke_cannot_come_late(
    pod: Pod, registry: KubernetesRegistry, proxy: FaultProxy
) -> None:
    async with in_hand(pod, registry) as registering:
        proxy.reset()
        with pytest.raises(KubernetesUnavailable, match="cannot be reached"):
            await registering

        await settle(pod)

    assert pod.id == ""


async def test_what_cannot_be_taken_back_at_once_is_taken_back_when_the_server_answers(
    pod: Pod, registry: KubernetesRegistry, proxy: FaultProxy
) -> None:
    async with in_hand(pod, registry) as registering:
        proxy.cut()
        await cancel(registering)
        await settle(pod)
        assert pod.id == ONE.id

        proxy.restore()

        await pod.withdrawn.wait()
    assert pod.id == ""


async def test_registry_that_is_closed_takes_back_what_was_given_up(
    pod: Pod, registry: KubernetesRegistry, proxy: FaultProxy
) -> None:
    async with in_hand(pod, registry) as registering:
        proxy.cut()
        await cancel(registering)
        await settle(pod)
        proxy.restore()

        await registry.aclose()

    assert pod.id == ""


async def test_predecessor_stays_when_its_change_was_given_up(
    pod: Pod, registry: KubernetesRegistry
) -> None:
    standing = await registry.register(ONE)
    async with in_hand(pod, registry, replace(ONE, version="v2")) as registering:
        await cancel(registering)
        await settle(pod)

    await standing.renew()
    assert pod.labels["kratos-service-version"] == ONE.version


async def test_next_registration_tidies_up(pod: Pod, registry: KubernetesRegistry) -> None:
    async with in_hand(pod, registry) as registering:
        await cancel(registering)
    assert "kratos-service-barred" in pod.annotations

    registration = await registry.register(ONE)

    await registration.renew()
    assert "kratos-service-barred" not in pod.annotations


async def test_pod_that_somebody_else_changes_meanwhile_is_labelled_all_the_same(
    pod: Pod, registry: KubernetesRegistry
) -> None:
    def disturb() -> None:
        if pod.tries < 3:
            pod.touch()

    pod.seen = disturb

    await registry.register(ONE)

    assert pod.id == ONE.id
    assert pod.tries == 4


async def test_pod_that_changes_all_the_time_is_an_error(
    pod: Pod, registry: KubernetesRegistry
) -> None:
    pod.seen = pod.touch

    with pytest.raises(KubernetesUnavailable, match="has been modified") as refusal:
        await registry.register(ONE)

    assert refusal.value.code == 409
    assert pod.id == ""
