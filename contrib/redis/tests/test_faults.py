"""What happens to Redis, and to those who are registered there, on a server of one's own."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from kratos.errors import ConfigError, RegistrationLost, RegistryUnavailable
from kratos.registry import (
    RegistrationState,
    ServiceInstance,
    get_service,
    instance_feed,
)
from kratos.testing.convergence import PATIENCE, QUICK, eventually, following, holds, keeping, sees
from kratos.testing.leaks import LeakCheck
from kratos.testing.proxy import FaultProxy
from kratos_redis import RedisRegistry

pytestmark = [pytest.mark.service("redis"), pytest.mark.slow]

TTL = 2.0
ONE = ServiceInstance(
    id="1", name="orders", metadata={"zone": "a"}, endpoints=("grpc://10.0.0.1:9000",)
)
TWO = replace(ONE, id="2")
Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
CHANGES = "microservices/{orders}:changes"


@pytest.fixture
async def registry(own_server: Any) -> AsyncIterator[RedisRegistry]:
    made = RedisRegistry.from_url(f"{own_server.url}?ttl={TTL}s&timeout=1s")
    yield made
    await made.aclose()


async def asked(client: Any) -> int:
    """Return how many commands the server has had, this one among them."""
    statistics = await client.info("stats")
    return int(statistics["total_commands_processed"])


async def test_all_converges_after_the_server_was_killed_and_came_back_empty(
    own_server: Any, registry: RedisRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.stop()
        await holds(lambda: keeper.status.state is not RegistrationState.HELD)
        own_server.start()

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def test_all_converges_after_the_data_was_lost_and_no_connection_was(
    own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        await own_client.flushall()

        await until(lambda: own_client.exists("microservices/{orders}/1"))
        await registry.register(TWO)
        await sees(states, ONE, TWO)


async def test_instances_stay_known_over_a_restart_that_keeps_the_data(
    serve: Callable[..., Any],
) -> None:
    server = serve("--appendonly", "yes", "--appendfsync", "always")
    registry = RedisRegistry.from_url(f"{server.url}?ttl=30s&timeout=10s")
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        server.stop()
        server.start()
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)
        assert states[states.index((ONE,)) :] == [(ONE,), (ONE, TWO)]
        assert keeper.status.state is RegistrationState.HELD
    await registry.aclose()


async def test_all_converges_after_the_server_was_frozen(
    own_server: Any, registry: RedisRegistry
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE) as keeper:
        await sees(states, ONE)
        own_server.signal(signal.SIGSTOP)
        try:
            await holds(lambda: keeper.status.state is not RegistrationState.HELD)
            with pytest.raises(RegistryUnavailable, match="no answer within 1 s"):
                await get_service(registry, ONE.name)
        finally:
            own_server.signal(signal.SIGCONT)

        await holds(lambda: keeper.status.state is RegistrationState.HELD)
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)


async def ends_at(client: Any) -> float:
    """Return when the instance expires, in milliseconds of Redis' clock; 0 if it is not there."""
    entry = await client.hget("microservices/{orders}", "1")
    return float(entry.split()[0]) if entry else 0.0


async def is_kept(client: Any, *, beyond: float) -> bool:
    return await ends_at(client) > beyond + 1000 * TTL


async def test_instance_of_a_killed_process_is_gone_after_its_ttl(
    own_server: Any, own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    program = f"""
import asyncio
from kratos.registry import Keeper, ServiceInstance, from_url

async def main():
    registry = from_url({f"{own_server.url}?ttl={TTL}s"!r})
    keeper = Keeper(registry, ServiceInstance(id="1", name="orders"))
    await keeper.start(require=True)
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"registered\n"
        async with following(registry, ONE.name) as states:
            await sees(states, ServiceInstance(id="1", name="orders"))
            ends = await ends_at(own_client)
            await until(lambda: is_kept(own_client, beyond=ends))
            process.kill()
            await process.wait()
            ends = await ends_at(own_client)
            await sees(states)
        assert await own_client.time() >= (int(ends // 1000), 0)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_whoever_stands_still_asks_little(own_client: Any, registry: RedisRegistry) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        begun, before = time.monotonic(), await asked(own_client)
        await asyncio.sleep(3 * TTL)
        spent, ttls = await asked(own_client) - before, (time.monotonic() - begun) / TTL

    # In each ttl three renewals of up to six commands, with those within scripts, and reads of
    # five; one ttl may hold two of the latter, as an instance is told to end up to a third early.
    assert spent <= (ttls + 1) * (4 * 8 + 2 * 6) + 1


async def test_nothing_is_left_open(own_server: Any, own_client: Any, until: Until) -> None:
    await own_client.ping()
    check = LeakCheck()
    registry = RedisRegistry.from_url(f"{own_server.url}?ttl={TTL}s")
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        own_server.stop()
        own_server.start()
        await eventually(lambda: registry.register(TWO))
        await sees(states, ONE, TWO)
    await registry.aclose()
    await own_client.aclose()

    await check.nothing_left()
    await until(lambda: is_alone(own_client))


async def is_alone(client: Any) -> bool:
    return len(await client.client_list()) == 1


async def test_services_that_are_gone_leave_nothing_behind(
    own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    await registry.register(ONE)
    withdrawn = await registry.register(TWO)
    await withdrawn.withdraw()
    await until(lambda: is_empty(own_client))


async def is_empty(client: Any) -> bool:
    return not await client.dbsize()


async def is_missing(client: Any, key: str) -> bool:
    return not await client.exists(key)


async def has_two(client: Any) -> bool:
    return bool(await client.hlen("microservices/{orders}") == 2)


async def test_dead_instances_do_not_pile_up_beside_one_that_lives(
    own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    for number in range(5):
        await registry.register(replace(ONE, id=f"dead-{number}"))
    async with keeping(registry, ONE):
        await until(lambda: is_missing(own_client, "microservices/{orders}/dead-4"))
        await registry.register(TWO)
        await until(lambda: has_two(own_client))


async def test_renewal_after_the_ttl_is_a_loss(
    own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    registration = await registry.register(ONE)
    await until(lambda: is_missing(own_client, "microservices/{orders}/1"))

    with pytest.raises(RegistrationLost, match="orders-1 has expired"):
        await registration.renew()
    await registration.withdraw()


async def test_key_that_was_deleted_by_hand_is_a_loss_and_is_taken_back(
    own_client: Any, registry: RedisRegistry, until: Until
) -> None:
    async with following(registry, ONE.name) as states, keeping(registry, ONE):
        await sees(states, ONE)
        await own_client.delete("microservices/{orders}/1")

        await until(lambda: own_client.exists("microservices/{orders}/1"))
        await sees(states, ONE)


async def test_entry_that_nobody_can_read_hides_no_other(
    own_client: Any, registry: RedisRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    await registry.register(ONE)
    end = round(time.time() * 1000) + 60_000
    for id_, value in (("bad", b"\xff{"), ("list", b"[]"), ("other", ONE.to_json())):
        await own_client.set(f"microservices/{{orders}}/{id_}", value)
        await own_client.hset("microservices/{orders}", id_, f"{end} x")
    for id_, time_ in (("strange", "no time"), ("late", "9" * 400), ("endless", "9" * 5000)):
        await own_client.hset("microservices/{orders}", id_, time_)

    found = [await get_service(registry, "orders") for _ in range(2)]

    assert [list(each) for each in found] == [[ONE]] * 2
    assert registry.skipped == 3
    assert len(caplog.records) == 3


@pytest.mark.parametrize("protocol", [2, 3])
async def test_change_costs_a_watcher_one_message_and_no_read(
    own_server: Any, own_client: Any, protocol: int
) -> None:
    redis: Any = Redis
    async with redis.from_url(own_server.url, protocol=protocol) as client:
        watcher = await RedisRegistry(client, ttl=60).watch(ONE.name)
        state: Any = await watcher.read()
        other = RedisRegistry(own_client, ttl=60)
        await own_client.config_resetstat()

        registration = await other.register(ONE)
        changed = replace(TWO, version="v2")
        await other.register(TWO)
        await other.register(changed)
        async with asyncio.timeout(PATIENCE):
            while list(state.value) != [ONE, changed]:
                state = await watcher.changed(state.token)
        await registration.withdraw()
        state = await watcher.changed(state.token)
        assert list(state.value) == [changed]

        told = await own_client.info("commandstats")
        assert told["cmdstat_xread"]["calls"] <= 4
        assert "cmdstat_mget" not in told
        await watcher.aclose()


async def test_watcher_that_missed_changes_reads_all(own_client: Any) -> None:
    registry = RedisRegistry(own_client, ttl=60)
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()
    for number in range(40):  # of which the stream keeps the last 32
        await registry.register(replace(ONE, id=f"many-{number:02}"))

    assert await watcher.changed(state.token) is None
    state = await watcher.read()
    assert len(state.value) == 40
    await registry.register(TWO)
    seen = await watcher.changed(state.token)
    assert seen is not None
    assert len(seen.value) == 41
    await watcher.aclose()


@pytest.mark.parametrize(
    "entry",
    [{"x": "y"}, {"after": "{last}", "x": "y"}, {"after": "{last}", "id": "1", "entry": "1 x"}],
)
async def test_what_others_write_into_the_stream_is_a_reason_to_look(
    own_client: Any, entry: dict[str, str]
) -> None:
    registry = RedisRegistry(own_client, ttl=60)
    await registry.register(ONE)
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()
    assert isinstance(state.token, bytes)
    last = state.token.decode()
    await own_client.xadd(CHANGES, {key: text.format(last=last) for key, text in entry.items()})

    assert await watcher.changed(state.token) is None
    assert list((await watcher.read()).value) == [ONE]
    await watcher.aclose()


async def test_only_what_is_new_is_fetched_when_a_watcher_looks_again(own_client: Any) -> None:
    registry = RedisRegistry(own_client, ttl=60)
    await registry.register(ONE)
    watcher = await registry.watch(ONE.name)
    first = await watcher.read()
    await own_client.config_resetstat()

    assert (await watcher.read()).value == first.value
    assert "cmdstat_mget" not in await own_client.info("commandstats")
    await registry.register(TWO)
    assert list((await watcher.read()).value) == [ONE, TWO]
    assert (await own_client.info("commandstats"))["cmdstat_mget"]["calls"] == 1
    changed = replace(TWO, version="v2")
    await registry.register(changed)
    assert list((await watcher.read()).value) == [ONE, changed]
    await watcher.aclose()


async def test_instance_whose_ttl_is_shorter_than_that_of_the_watcher_is_not_seen_longer(
    own_client: Any,
) -> None:
    watcher = await RedisRegistry(own_client, ttl=60).watch(ONE.name)
    state = await watcher.read()
    await RedisRegistry(own_client, ttl=0.5).register(ONE)
    async with asyncio.timeout(PATIENCE):
        seen = await watcher.changed(state.token)
        assert seen is not None
        assert list(seen.value) == [ONE]
        assert await watcher.changed(seen.token) is None
    assert list((await watcher.read()).value) == []
    await watcher.aclose()


async def test_line_that_is_dead_without_a_sign_is_noticed_within_a_ttl(own_server: Any) -> None:
    async with FaultProxy("127.0.0.1", own_server.port) as proxy:
        registry = RedisRegistry.from_url(f"redis://{proxy.address}?ttl=1s&timeout=500ms")
        feed = instance_feed(registry, ONE.name, backoff=QUICK)
        states: list[Sequence[ServiceInstance]] = []
        feed.subscribe(states.append)
        await sees(states)
        proxy.stall()
        begun = time.monotonic()
        await holds(lambda: feed.stale_since is not None)
        assert time.monotonic() - begun < 15  # a busy machine; 1.55 s by itself
        other = RedisRegistry.from_url(f"{own_server.url}?ttl=60s")
        await other.register(ONE)
        proxy.restore()
        await sees(states, ONE)
        await feed.aclose()
        await registry.aclose()
        await other.aclose()


async def test_client_with_a_limit_of_its_own_is_waited_with_for_less(own_server: Any) -> None:
    redis: Any = Redis
    async with redis.from_url(own_server.url, socket_timeout=3) as client:
        registry = RedisRegistry(client, ttl=60)
        watcher = await registry.watch(ONE.name)
        state = await watcher.read()
        async with asyncio.timeout(PATIENCE):
            assert await watcher.changed(state.token) is None  # and no error
        await watcher.aclose()


async def test_client_that_decodes_is_refused(own_server: Any) -> None:
    redis: Any = Redis
    async with redis.from_url(own_server.url, decode_responses=True) as client:
        with pytest.raises(ConfigError, match="without decode_responses"):
            await get_service(RedisRegistry(client), "orders")


class Holding:
    """A client whose first answer does not arrive, though all that is asked for is done."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.held = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def eval(self, *words: Any) -> Any:
        answer = await self._client.eval(*words)
        if not self.held.is_set():
            self.held.set()
            await asyncio.Event().wait()
        return answer


@pytest.mark.parametrize("end", ["cancelled", "timeout"])
async def test_registration_whose_answer_was_lost_is_taken_back(own_client: Any, end: str) -> None:
    client: Any = Holding(own_client)
    timeout = 60.0 if end == "cancelled" else 1.0
    registry = RedisRegistry(client, ttl=60, timeout=timeout)
    registering = asyncio.ensure_future(registry.register(ONE))
    await client.held.wait()
    assert await own_client.exists("microservices/{orders}/1")

    if end == "cancelled":
        registering.cancel()
    await asyncio.wait({registering})

    assert registering.cancelled() or isinstance(registering.exception(), RegistryUnavailable)
    assert not await own_client.exists("microservices/{orders}/1", "microservices/{orders}")


async def test_keys_are_those_of_the_readme(own_client: Any, registry: RedisRegistry) -> None:
    await registry.register(ONE)

    assert await own_client.get("microservices/{orders}/1") == ONE.to_json()
    assert 0 < await own_client.pttl("microservices/{orders}/1") <= TTL * 1000
    assert 0 < await own_client.pttl("microservices/{orders}") <= TTL * 1000
    assert 0 < await own_client.pttl(CHANGES) <= TTL * 1000
    entry = await own_client.hget("microservices/{orders}", "1")
    ((_, told),) = await own_client.xrange(CHANGES)
    assert told == {b"after": b"0-0", b"id": b"1", b"entry": entry, b"instance": ONE.to_json()}
    ends, _, registration = entry.partition(b" ")
    assert abs(int(ends) / 1000 - time.time() - TTL) < 30
    assert len(registration) == 16
