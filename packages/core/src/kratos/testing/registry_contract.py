"""The contract of registry adapters, as a suite that every adapter's tests run.

Derive a test class from ``RegistryContract`` and give it a fixture ``backend``::

    class TestEtcd(RegistryContract):
        @pytest.fixture
        async def backend(self, etcd: Address) -> AsyncIterator[Backend]:
            async with FaultProxy(etcd.host, etcd.port) as proxy:
                yield Backend(make=lambda: EtcdRegistry(...), ..., faults=proxy)

The suite uses real time, but waits for events only. ``pytest.register_assert_rewrite`` on this
module, in a ``conftest.py``, makes failures speak.
"""

from __future__ import annotations

import asyncio
import threading
import unittest
from dataclasses import replace
from typing import ClassVar

from kratos.errors import RegistrationLost
from kratos.registry import RegistrationState, get_service, same_instances
from kratos.testing._registry_tools import (
    Backend,
    RegistryTools,
    Sightings,
    some_instance,
    unique,
)

__all__ = ["Backend", "RegistryContract", "Sightings"]


class RegistryContract(RegistryTools):
    """Tests of everything that the core relies on.

    Attributes:
        patience: Seconds to wait for the back end before a test fails.
        limit: Seconds for one call of the keeper and of the watch loop.
        crowd: How many instances of one service to register at once.
        tells_successors_apart: Whether a superseded publication notices, and leaves its
            successor alone. False where the back end knows nothing but ids.
    """

    crowd: ClassVar[int] = 50
    tells_successors_apart: ClassVar[bool] = True

    # --- publications

    async def test_registered_instance_is_seen_by_others(self, backend: Backend) -> None:
        """Every member arrives."""
        one = some_instance()
        registration = await backend.registry.register(one)

        async with self.watching(backend.peer, one.name) as seen:
            await seen.until(one)
        await registration.withdraw()

    async def test_registering_again_changes_nothing(self, backend: Backend) -> None:
        """``register`` is idempotent: a retry after a lost reply does no harm."""
        one = some_instance()
        await backend.registry.register(one)
        registration = await backend.registry.register(one)

        async with self.watching(backend.peer, one.name) as seen:
            await seen.until(one)
        await registration.withdraw()

    async def test_same_id_is_taken_over(self, backend: Backend) -> None:
        """A restarted process replaces what its predecessor left."""
        old = some_instance()
        new = replace(old, version="v2", endpoints=("grpc://10.0.0.2:9000",))
        await backend.registry.register(old)
        registration = await backend.peer.register(new)

        async with self.watching(backend.peer, old.name) as seen:
            await seen.until(new)
        await registration.withdraw()

    async def test_superseded_publication_leaves_its_successor_alone(
        self, backend: Backend
    ) -> None:
        """A predecessor that ends late does not take its successor down."""
        if not self.tells_successors_apart:
            raise unittest.SkipTest("the back end knows nothing but ids")
        old = some_instance()
        new = replace(old, version="v2")
        early = await backend.registry.register(old)
        late = await backend.peer.register(new)

        await self.raises_lost(early.renew())
        await early.withdraw()

        async with self.watching(backend.peer, old.name) as seen:
            await seen.until(new)
        await late.withdraw()

    async def test_instance_is_changed_in_place(self, backend: Backend) -> None:
        """No moment without the instance: clients would drop their connections."""
        one = some_instance()
        changed = replace(one, metadata={"weight": "7"})
        await backend.registry.register(one)
        async with self.watching(backend.peer, one.name) as seen:
            await seen.until(one)

            registration = await backend.registry.register(changed)
            await seen.until(changed)

            assert all(len(state) == 1 for state in seen.states), seen.states
        await registration.withdraw()

    async def test_renewal_keeps_a_publication(self, backend: Backend) -> None:
        """Renewing what stands raises nothing."""
        one = some_instance()
        registration = await backend.registry.register(one)

        await registration.renew()
        await registration.renew()

        assert same_instances(await get_service(backend.peer, one.name), [one])
        await registration.withdraw()

    async def test_renewal_of_what_is_gone_says_so(self, backend: Backend) -> None:
        """The keeper registers again only if it is told."""
        one = some_instance()
        registration = await backend.registry.register(one)
        successor = await backend.peer.register(one)
        await successor.withdraw()

        await self.raises_lost(registration.renew())

    async def test_withdrawn_instance_disappears(self, backend: Backend) -> None:
        """The empty list is published, and not taken for a failure."""
        one = some_instance()
        registration = await backend.registry.register(one)
        async with self.watching(backend.peer, one.name) as seen:
            await seen.until(one)

            await registration.withdraw()

            await seen.until()

    async def test_withdrawing_twice_is_success(self, backend: Backend) -> None:
        """So is withdrawing what is not there."""
        one = some_instance()
        registration = await backend.registry.register(one)

        await registration.withdraw()
        await registration.withdraw()

        assert await get_service(backend.peer, one.name) in ([], ())

    async def test_silent_publication_expires(self, backend: Backend) -> None:
        """A killed process disappears by itself; a frozen one is back, or learns of its loss."""
        one = some_instance()
        registration = await backend.registry.register(one)
        if backend.lapse is None or registration.ttl is None:
            raise unittest.SkipTest("publications do not expire, or time cannot be moved")
        async with self.watching(backend.peer, one.name) as seen:
            await seen.until(one)

            await backend.lapse(registration.ttl)

            await seen.until()
            try:
                await registration.renew()
            except RegistrationLost:
                return
            await seen.until(one)
        await registration.withdraw()

    async def test_renewed_publication_does_not_expire(self, backend: Backend) -> None:
        """Each renewal counts from its own time."""
        one = some_instance()
        registration = await backend.registry.register(one)
        if backend.lapse is None or registration.ttl is None:
            raise unittest.SkipTest("publications do not expire, or time cannot be moved")

        for _ in range(6):
            await backend.lapse(registration.ttl / 2)
            await registration.renew()

        assert same_instances(await get_service(backend.peer, one.name), [one])
        await registration.withdraw()

    async def test_cancelled_register_leaves_nothing_for_good(self, backend: Backend) -> None:
        """Cancelled at any point, nothing stays, or it expires."""
        lapse = backend.lapse
        for turns in range(20):
            one = some_instance()
            registering = asyncio.ensure_future(backend.registry.register(one))
            for _ in range(turns):
                await asyncio.sleep(0)
            registering.cancel()
            await asyncio.wait({registering})
            if not registering.cancelled():
                await registering.result().withdraw()
            elif lapse is not None:
                await lapse(60.0)
            async with self.watching(backend.peer, one.name) as seen:
                await seen.until()

    # --- watching

    async def test_unknown_service_is_an_empty_list(self, backend: Backend) -> None:
        """A client may start before the first instance of its service."""
        assert await get_service(backend.registry, unique("nobody")) in ([], ())

    async def test_watch_sees_additions_changes_and_removals(self, backend: Backend) -> None:
        """All three reach the watcher without being asked for."""
        one = some_instance()
        two = replace(one, id=unique("two"))
        async with self.watching(backend.registry, one.name) as seen:
            await seen.until()
            first = await backend.peer.register(one)
            await seen.until(one)
            second = await backend.peer.register(two)
            await seen.until(one, two)
            changed = replace(two, metadata={"zone": "b"})
            second = await backend.peer.register(changed)
            await seen.until(one, changed)
            await first.withdraw()
            await seen.until(changed)
            await second.withdraw()
            await seen.until()

    async def test_service_whose_name_begins_alike_is_another(self, backend: Backend) -> None:
        """``orders`` does not list the instances of ``orders2``."""
        one = some_instance()
        other = replace(one, name=f"{one.name}2")
        first = await backend.registry.register(one)
        second = await backend.registry.register(other)

        assert same_instances(await get_service(backend.peer, one.name), [one])
        assert same_instances(await get_service(backend.peer, other.name), [other])
        await first.withdraw()
        await second.withdraw()

    async def test_texts_arrive_as_they_are(self, backend: Backend) -> None:
        """Unicode, spaces and separators survive in metadata and version."""
        one = replace(
            some_instance(),
            version="v1.0.0-größe+ü",
            metadata={"greeting": "你好 <&> \"'\\/", "empty": "", "emoji": "🙂"},
            endpoints=("http://[::1]:8000?isSecure=false", "grpc://host:9000"),
        )
        registration = await backend.registry.register(one)

        (found,) = await get_service(backend.peer, one.name)

        assert found == one
        await registration.withdraw()

    async def test_many_instances_are_all_listed(self, backend: Backend) -> None:
        """No page is forgotten."""
        name = unique("crowd")
        crowd = [replace(some_instance(), name=name, id=f"{name}-{i}") for i in range(self.crowd)]
        registrations = [await backend.registry.register(one) for one in crowd]

        async with self.watching(backend.peer, name) as seen:
            await seen.until(*crowd)
            for registration in registrations:
                await registration.withdraw()
            await seen.until()

    async def test_closing_a_watcher_ends_its_pending_wait(self, backend: Backend) -> None:
        """``changed`` returns or raises; it does not wait for ever."""
        watcher = await backend.registry.watch(unique("quiet"))
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        await asyncio.sleep(0)

        await watcher.aclose()
        await watcher.aclose()

        done, _ = await asyncio.wait({waiting}, timeout=self.patience)
        assert done, "changed() outlived its watcher"
        if not waiting.cancelled():
            waiting.exception()

    async def test_cancelled_wait_leaves_the_watcher_usable(self, backend: Backend) -> None:
        """The core cancels ``changed`` to read again."""
        one = some_instance()
        watcher = await backend.registry.watch(one.name)
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})

        registration = await backend.peer.register(one)

        async with asyncio.timeout(self.patience):
            while not same_instances(state.value, [one]):
                state = await watcher.changed(state.token) or await watcher.read()
        await watcher.aclose()
        await registration.withdraw()

    async def test_nothing_is_left_running(self, backend: Backend) -> None:
        """Neither tasks nor threads."""
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        registry = backend.make()
        one = some_instance()
        registration = await registry.register(one)
        losing = asyncio.ensure_future(registration.lost())
        async with self.watching(registry, one.name) as seen:
            await seen.until(one)
        losing.cancel()
        await asyncio.wait({losing})
        await registration.withdraw()

        await registry.aclose()
        await registry.aclose()

        await self.gone(lambda: asyncio.all_tasks() - tasks)
        assert {thread for thread in threading.enumerate() if thread not in threads} == set()

    # --- the keeper over it

    async def test_keeper_holds_and_withdraws(self, backend: Backend) -> None:
        """The plain life of an instance."""
        one = some_instance()
        async with self.watching(backend.peer, one.name) as seen:
            async with self.keeping(backend.registry, one) as kept:
                await kept.until(RegistrationState.HELD)
                await seen.until(one)
            await seen.until()

    async def test_keeper_takes_back_what_was_removed(self, backend: Backend) -> None:
        """An operator's slip, or an agent that restarted empty."""
        one = some_instance()
        async with self.watching(backend.peer, one.name) as seen:
            async with self.keeping(backend.registry, one) as kept:
                await kept.until(RegistrationState.HELD)
                intruder = await backend.peer.register(replace(one, version="intruder"))
                await intruder.withdraw()
                await seen.until(one)
                await kept.until(RegistrationState.HELD)
            await seen.until()

    async def test_keeper_changes_an_instance_in_place(self, backend: Backend) -> None:
        """For weights, and for draining."""
        one = some_instance()
        changed = replace(one, metadata={"weight": "0"})
        async with self.watching(backend.peer, one.name) as seen:
            async with self.keeping(backend.registry, one) as kept:
                await seen.until(one)
                kept.keeper.update(changed)
                await seen.until(changed)
                assert same_instances([state[0] for state in seen.states if state], [one, changed])
            await seen.until()

    # --- faults

    async def test_registration_converges_after_a_cut_before_it(self, backend: Backend) -> None:
        """The registry is down when the service starts."""
        faults = self.faults(backend)
        one = some_instance()
        faults.cut()
        async with (
            self.watching(backend.peer, one.name) as seen,
            self.keeping(backend.registry, one) as kept,
        ):
            await seen.until()
            faults.restore()
            await kept.until(RegistrationState.HELD)
            await seen.until(one)

    async def test_registration_converges_after_a_reset(self, backend: Backend) -> None:
        """A connection that breaks is made again."""
        faults = self.faults(backend)
        one = some_instance()
        async with (
            self.watching(backend.peer, one.name) as seen,
            self.keeping(backend.registry, one) as kept,
        ):
            await kept.until(RegistrationState.HELD)
            for _ in range(3):
                faults.reset()
                await kept.until(RegistrationState.HELD)
            await seen.until(one)

    async def test_registration_converges_after_silence(self, backend: Backend) -> None:
        """A dead line answers nothing; attempts have limits, and the next one works."""
        faults = self.faults(backend)
        one = some_instance()
        faults.stall()
        async with (
            self.watching(backend.peer, one.name) as seen,
            self.keeping(backend.registry, one) as kept,
        ):
            await kept.until_failure()
            faults.restore()
            await kept.until(RegistrationState.HELD)
            await seen.until(one)

    async def test_registration_works_over_a_slow_line(self, backend: Backend) -> None:
        """Slow is not broken."""
        faults = self.faults(backend)
        one = some_instance()
        faults.delay(0.02)
        async with (
            self.watching(backend.peer, one.name) as seen,
            self.keeping(backend.registry, one) as kept,
        ):
            await kept.until(RegistrationState.HELD)
            await seen.until(one)
        faults.restore()

    async def test_watch_converges_after_a_cut(self, backend: Backend) -> None:
        """What changed meanwhile arrives; what was known stays known."""
        faults = self.faults(backend)
        one = some_instance()
        two = replace(one, id=unique("two"))
        first = await backend.peer.register(one)
        async with self.watching(backend.registry, one.name) as seen:
            await seen.until(one)
            faults.cut()
            second = await backend.peer.register(two)
            await first.withdraw()
            faults.restore()
            await seen.until(two)
            assert () not in seen.states
            assert [] not in seen.states
            await second.withdraw()
            await seen.until()

    async def test_watch_converges_after_resets(self, backend: Backend) -> None:
        """Each broken wait is followed by a fresh read."""
        faults = self.faults(backend)
        one = some_instance()
        async with self.watching(backend.registry, one.name) as seen:
            await seen.until()
            registration = await backend.peer.register(one)
            for version in ("v1", "v2", "v3"):
                faults.reset()
                latest = replace(one, version=version)
                registration = await backend.peer.register(latest)
                await seen.until(latest)
            await registration.withdraw()
            await seen.until()

    async def test_cancelled_call_over_a_dead_line_ends(self, backend: Backend) -> None:
        """Closing a program does not wait for a registry that is gone."""
        faults = self.faults(backend)
        faults.stall()
        calls = [
            asyncio.ensure_future(backend.registry.register(some_instance())),
            asyncio.ensure_future(get_service(backend.registry, unique("quiet"))),
        ]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()

        _, pending = await asyncio.wait(calls, timeout=self.patience)

        faults.restore()
        assert pending == set()
