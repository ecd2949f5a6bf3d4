"""What happens to API servers and pods, and to those who use them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kratos import Client
from kratos.errors import RegistrationLost
from kratos.registry import (
    RegistrationState,
    ServiceInstance,
    get_service,
)
from kratos.testing import convergence
from kratos.testing.convergence import PATIENCE, eventually, following, holds, sees
from kratos.testing.proxy import FaultProxy
from kratos.tls import ClientTls
from kratos_http import HttpClient
from kratos_kubernetes import (
    KubernetesClient,
    KubernetesRegistry,
    KubernetesUnavailable,
)

pytestmark = [pytest.mark.service("kubernetes"), pytest.mark.slow]

ONE = ServiceInstance(
    id="1", name="orders", metadata={"weight": "7"}, endpoints=("grpc://10.0.0.1:9000",)
)
TWO = replace(ONE, id="2")

keeping = partial(convergence.keeping, verify_every=0.2)

Connect = Callable[..., KubernetesClient]


def registry_of(client: KubernetesClient, space: Any, pod: str = "one") -> KubernetesRegistry:
    return KubernetesRegistry(client, namespace=space.name, pod=pod, pod_namespace=space.name)


# --- the API server


async def test_all_converges_after_the_server_was_killed(
    own_server: Any, connected: Connect
) -> None:
    space = own_server.admin.namespace()
    for pod in ("one", "two"):
        space.pod(pod)
    client = connected(own_server.cluster, timeout=1.0)
    registry = registry_of(client, space)
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.kill()
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        with pytest.raises(KubernetesUnavailable, match="cannot be reached"):
            await get_service(registry, ONE.name)
        own_server.launch()
        await asyncio.to_thread(own_server.wait)

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry_of(client, space, "two").register(TWO))
        await sees(states, ONE, TWO)
        assert () not in states[states.index((ONE,)) :]


async def test_all_converges_after_the_server_was_frozen(
    own_server: Any, connected: Connect
) -> None:
    space = own_server.admin.namespace()
    for pod in ("one", "two"):
        space.pod(pod)
    client = connected(own_server.cluster, timeout=0.5, silence=1.0)
    registry = registry_of(client, space)
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.signal(signal.SIGSTOP)
        try:
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            with pytest.raises(KubernetesUnavailable, match="does not answer"):
                await get_service(registry, ONE.name)
        finally:
            own_server.signal(signal.SIGCONT)

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry_of(client, space, "two").register(TWO))
        await sees(states, ONE, TWO)


async def test_all_converges_after_the_cluster_got_another_authority(
    own_server: Any, connected: Connect, tmp_path: Path
) -> None:
    space = own_server.admin.namespace()
    space.pod("one")
    ca = tmp_path / "mounted.pem"  # as a service account has it, which is behind the server's
    ca.write_bytes(own_server.ca.read_bytes())
    client = connected(replace(own_server.cluster, tls=ClientTls(ca=ca)), timeout=1.0)
    registry = registry_of(client, space)
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.kill()
        own_server.certify()
        own_server.launch()
        await asyncio.to_thread(own_server.wait)
        await holds(lambda: "is the ca that of this cluster" in str(keeper.status.last_error))

        ca.write_bytes(own_server.ca.read_bytes())

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await registry.register(replace(ONE, version="v2"))
        await sees(states, replace(ONE, version="v2"))
        assert () not in states[states.index((ONE,)) :]


async def test_watcher_reads_again_when_its_past_was_compacted(
    server_class: Any, tmp_path: Path, connected: Connect
) -> None:
    server = server_class(tmp_path, "--watch-cache=false")
    try:
        server.start()
        space = server.admin.namespace()
        for pod in ("one", "two"):
            space.pod(pod)
        client = connected(server.cluster)
        watcher = await registry_of(client, space).watch(ONE.name)
        state = await watcher.read()
        for version in ("v1", "v2", ONE.version):
            await registry_of(client, space).register(replace(ONE, version=version))
        server.etcd.compact()

        assert await watcher.changed(state.token) is None
        state = await watcher.read()
        assert list(state.value) == [ONE]
        await registry_of(client, space, "two").register(TWO)
        seen = await watcher.changed(state.token)
        assert seen is not None
        assert list(seen.value) == [ONE, TWO]
        await watcher.aclose()
    finally:
        server.stop()


async def test_watches_that_the_server_ends_lose_nothing_and_list_nothing_again(
    server: Any, space: Any, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str) -> None:
        plain = getattr(KubernetesClient, name)

        async def call(*args: Any, **options: Any) -> Any:
            calls.append(name)
            return await plain(*args, **options)

        monkeypatch.setattr(KubernetesClient, name, call)

    for name in ("list", "watch"):
        counted(name)
    space.pod("one")
    client = connected(server.cluster, watch_timeout=1.0)
    registry = registry_of(client, space)
    async with following(registry, ONE.name) as states:
        await holds(lambda: calls.count("watch") >= 4)
        await registry.register(ONE)
        await sees(states, ONE)

    assert calls.count("list") == 1
    assert calls.count("watch") < 10


async def test_watch_that_fell_silent_is_opened_anew(
    server: Any, space: Any, connected: Connect
) -> None:
    space.pod("one")
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        line = replace(server.cluster, server=f"https://{proxy.address}")
        through = connected(line, timeout=0.5, silence=0.5)
        async with following(registry_of(through, space), ONE.name) as states:
            await sees(states)
            proxy.stall()
            await registry_of(connected(server.cluster), space).register(ONE)
            await asyncio.sleep(0)
            proxy.restore()
            await sees(states, ONE)


async def test_wait_that_was_cancelled_goes_on_where_it_was(
    client: KubernetesClient, space: Any
) -> None:
    space.pod("one")
    watcher = await registry_of(client, space).watch(ONE.name)
    state = await watcher.read()
    for number in range(20):
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        for _ in range(number):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await registry_of(client, space).register(ONE)

    async with asyncio.timeout(PATIENCE):
        seen = await watcher.changed(state.token)

    assert seen is not None
    assert list(seen.value) == [ONE]
    await watcher.aclose()


# --- pods


async def test_instance_is_withdrawn_whatever_it_says(client: KubernetesClient, space: Any) -> None:
    registry = registry_of(client, space)
    path = space.pod("one")
    metadata = {"a": "<&>\u2028\u007f", "größe": '\\"\t🙂'}
    registration = await registry.register(replace(ONE, metadata=metadata))
    # Somebody tidied up.
    space.admin.patch(path, {"metadata": {"annotations": {"kratos-service-instance": None}}})

    await registration.withdraw()

    meta = space.admin.call("GET", path)["metadata"]
    assert meta["labels"] == dict.fromkeys(
        ("kratos-service-app", "kratos-service-id", "kratos-service-version"), ""
    )
    assert meta["annotations"] == {
        "kratos-service-metadata": "{}",
        "kratos-service-protocols": "{}",
    }


async def test_withdrawing_leaves_alone_what_go_registered_since(
    client: KubernetesClient, space: Any
) -> None:
    space.pod("one")
    registration = await registry_of(client, space).register(ONE)
    labels = {"kratos-service-id": "go", "kratos-service-app": "orders"}
    path = f"{space.path}/pods/one"
    space.admin.patch(path, {"metadata": {"labels": labels}})

    with pytest.raises(RegistrationLost, match="belong to a later registration"):
        await registration.renew()
    await registration.withdraw()

    assert space.admin.call("GET", path)["metadata"]["labels"].items() >= labels.items()


async def test_pod_that_is_not_ready_or_on_its_way_out_leaves_the_list(
    client: KubernetesClient, space: Any
) -> None:
    registry = registry_of(client, space)
    space.pod("one")
    await registry.register(ONE)
    async with following(registry, ONE.name) as states:
        await sees(states, ONE)
        space.status("one", ready=False)
        await sees(states)
        space.status("one")
        await sees(states, ONE)
        space.status("one", phase="Failed")
        await sees(states)
        space.status("one")
        await sees(states, ONE)
        space.delete("one", grace=30)
        await sees(states)


async def test_pod_that_is_deleted_leaves_the_list_and_its_registration_is_lost(
    client: KubernetesClient, space: Any
) -> None:
    registry = registry_of(client, space)
    space.pod("one")
    registration = await registry.register(ONE)
    async with following(registry, ONE.name) as states:
        await sees(states, ONE)
        space.delete("one")
        await sees(states)

    with pytest.raises(RegistrationLost, match="the pod is gone"):
        await registration.renew()
    await registration.withdraw()
    with pytest.raises(KubernetesUnavailable, match=r"has no pod .*/pods/one: set POD_NAME"):
        await registry.register(ONE)


async def test_running_is_enough_for_those_who_ask_as_go_does(
    client: KubernetesClient, space: Any
) -> None:
    space.pod("one", ready=False)
    await registry_of(client, space).register(ONE)
    lenient = KubernetesRegistry(client, namespace=space.name, ready=False)

    assert list(await get_service(lenient, ONE.name)) == [ONE]
    assert list(await get_service(registry_of(client, space), ONE.name)) == []


async def test_program_of_a_lost_pod_leaves_its_namesake_alone(
    client: KubernetesClient, space: Any
) -> None:
    registry = registry_of(client, space)
    space.pod("one")
    registration = await registry.register(ONE)
    space.delete("one")
    space.pod("one")  # as a StatefulSet does it

    with pytest.raises(RegistrationLost, match="another one by now"):
        await registration.renew()
    with pytest.raises(KubernetesUnavailable, match="is another one by now"):
        await registry.register(ONE)
    await registration.withdraw()

    labels = space.admin.call("GET", f"{space.path}/pods/one")["metadata"].get("labels")
    assert not labels


async def test_labels_that_somebody_took_away_come_back_the_same(
    client: KubernetesClient, space: Any
) -> None:
    registry = registry_of(client, space)
    path = space.pod("one")
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        before = space.admin.call("GET", path)["metadata"]
        gone = dict.fromkeys(before["labels"])
        space.admin.patch(path, {"metadata": {"labels": gone}})
        await holds(lambda: () in states[states.index((ONE,)) :])
        await sees(states, ONE)
        after = space.admin.call("GET", path)["metadata"]

    assert after["labels"] == before["labels"]
    for name in ("kratos-service-metadata", "kratos-service-protocols"):
        assert after["annotations"][name] == before["annotations"][name]


async def test_pods_that_nobody_can_read_hide_no_other_and_are_told_of_once(
    client: KubernetesClient, space: Any, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"kratos-service-app": "orders", "kratos-service-id": "x"}
    for name, text in (("bad", "{"), ("list", "[1]"), ("number", '{"a": 1}')):
        space.pod(name, labels=labels, annotations={"kratos-service-metadata": text})
    space.pod("one")
    registry = registry_of(client, space)
    await registry.register(ONE)
    async with following(registry, ONE.name) as states:
        await sees(states, ONE)
        for name in ("bad", "list", "number"):
            space.status(name, host="10.0.0.7")  # a change, but none of what is wrong
        await registry.register(replace(ONE, version="v2"))
        await sees(states, replace(ONE, version="v2"))

    assert registry.skipped == 3
    assert sum("left out" in record.message for record in caplog.records) == 3
    assert "annotation kratos-service-metadata is no JSON" in caplog.text


PROGRAM = """
import kratos
from kratos import App
from kratos_http import HealthPaths, HttpServer

def build():
    return App(
        id="1",
        name="orders",
        version="v1",
        servers=[HttpServer("127.0.0.1:0", health_paths=HealthPaths())],
        registrar="kubernetes://?service_account={account}",
    )

kratos.run(build)
"""


@asynccontextmanager
async def program_in(
    space: Any, server: Any, folder: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a service as its pod would: with a service account, and by the downward API."""
    account = folder / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(server.ca.read_bytes())
    (account / "token").write_text(f"{server.cluster.token}\n", encoding="utf-8")
    (account / "namespace").write_text(space.name, encoding="utf-8")
    pod = space.admin.call("GET", f"{space.path}/pods/one")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(account=account),
        env={
            **os.environ,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "POD_NAME": "one",
            "POD_UID": pod["metadata"]["uid"],
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_service_in_a_pod_registers_itself_and_withdraws_at_its_end(
    client: KubernetesClient, server: Any, space: Any, tmp_path: Path
) -> None:
    space.pod("one")
    async with (
        following(registry_of(client, space), ONE.name) as states,
        program_in(space, server, tmp_path) as process,
    ):
        await holds(lambda: bool(states and states[-1]))
        (found,) = states[-1]
        assert (found.id, found.name, found.version) == ("1", "orders", "v1")
        async with Client("discovery:///orders", discovery=registry_of(client, space)) as caller:
            assert (await HttpClient(caller).request("GET", "/readyz")).status == 200
        process.send_signal(signal.SIGTERM)
        await sees(states)
        assert await process.wait() == 0


async def test_instance_of_a_killed_process_leaves_when_its_pod_is_not_ready(
    client: KubernetesClient, server: Any, space: Any, tmp_path: Path
) -> None:
    space.pod("one")
    async with following(registry_of(client, space), ONE.name) as states:
        async with program_in(space, server, tmp_path) as process:
            await holds(lambda: bool(states and states[-1]))
            process.kill()
            await process.wait()
        space.status("one", ready=False)  # which the kubelet finds out
        await sees(states)
