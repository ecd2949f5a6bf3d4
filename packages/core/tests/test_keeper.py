from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from aegis import Backoff
from kratos.errors import RegistrationLost, RegistryUnavailable
from kratos.registry import (
    Keeper,
    Registration,
    RegistrationState,
    RegistrationStatus,
    ServiceInstance,
    unmanaged,
)
from kratos.testing.clock import FakeClock

PENDING = RegistrationState.PENDING
HELD = RegistrationState.HELD
DEGRADED = RegistrationState.DEGRADED
LOST = RegistrationState.LOST
GONE = RegistrationState.GONE

ONE = ServiceInstance(id="1", name="orders", version="v1")


class Publication:
    def __init__(self, bench: Bench, instance: ServiceInstance) -> None:
        self.bench = bench
        self.instance = instance
        self.gone = asyncio.Event()
        self.deaf: BaseException | None = None
        self.listeners = 0
        self.withdrawals = 0

    @property
    def ttl(self) -> float | None:
        return self.bench.ttl

    async def renew(self) -> None:
        self.bench.renewals.append(self.bench.clock.time())
        await self.bench.answer()
        if self.bench.shelf.get(self.instance.id) is not self:
            raise RegistrationLost(f"{self.instance} is not there")

    async def lost(self) -> None:
        self.listeners += 1
        try:
            await self.gone.wait()
            if self.deaf is not None:
                raise self.deaf
        finally:
            self.listeners -= 1

    async def withdraw(self) -> None:
        self.withdrawals += 1
        await self.bench.answer()
        if self.bench.shelf.get(self.instance.id) is self:
            del self.bench.shelf[self.instance.id]


class Bench:
    """A registry on a bench: fails and hangs on demand, and notes the times of all calls."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ttl: float | None = 15.0
        self.failure: BaseException | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.shelf: dict[str, Publication] = {}
        self.made: list[Publication] = []
        self.tries: list[float] = []
        self.renewals: list[float] = []

    def __str__(self) -> str:
        return "bench://"

    async def answer(self) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure

    async def register(self, instance: ServiceInstance, /) -> Registration:
        self.tries.append(self.clock.time())
        await self.answer()
        publication = Publication(self, instance)
        self.shelf[instance.id] = publication
        self.made.append(publication)
        return publication

    def hang(self) -> None:
        self.open.clear()

    def down(self, error: BaseException | None = None) -> None:
        self.failure = error or ConnectionError("registry is down")

    def up(self) -> None:
        self.failure = None
        self.open.set()


class Fixed:
    """A random source that always gives ``value``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock)


@pytest.fixture
def chance() -> Fixed:
    return Fixed(0.5)


@pytest.fixture
def history() -> list[RegistrationStatus]:
    return []


@pytest.fixture
async def keeper(
    bench: Bench, clock: FakeClock, chance: Fixed, history: list[RegistrationStatus]
) -> AsyncIterator[Keeper]:
    keeper = Keeper(bench, ONE, clock=clock, random=chance, on_change=history.append)
    yield keeper
    bench.up()
    await keeper.aclose()


@pytest.fixture
async def held(keeper: Keeper) -> Keeper:
    await keeper.start(require=True)
    return keeper


def states(history: list[RegistrationStatus]) -> list[RegistrationState]:
    """Return the states in order, repetitions dropped."""
    found = [status.state for status in history]
    return [state for i, state in enumerate(found) if i == 0 or found[i - 1] is not state]


# --- starting


async def test_instance_is_registered_at_start(keeper: Keeper, bench: Bench) -> None:
    before = keeper.status.state

    await keeper.start(require=True)

    assert (before, keeper.status.state) == (PENDING, HELD)
    assert bench.shelf["1"].instance == ONE


async def test_start_does_not_wait_for_a_registry_that_is_away(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down()

    await keeper.start()
    await clock.settle()

    assert keeper.status.state is PENDING
    assert str(keeper.status.last_error) == "registry is down"
    assert not keeper.status.registered


async def test_required_start_fails_at_the_first_error_and_names_the_registry(
    keeper: Keeper, bench: Bench
) -> None:
    bench.down()

    with pytest.raises(RegistryUnavailable, match=r"bench:// .* orders-1 .*registry is down") as e:
        await keeper.start(require=True)

    assert isinstance(e.value.__cause__, ConnectionError)
    assert keeper.status.state is GONE


async def test_required_start_fails_when_the_registry_is_silent(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    before = asyncio.all_tasks()
    starting = asyncio.create_task(keeper.start(require=True))

    await clock.advance(10)

    with pytest.raises(RegistryUnavailable, match="limit 10 s"):
        await starting
    assert asyncio.all_tasks() == before
    assert bench.shelf == {}


async def test_cancelled_start_cleans_up(keeper: Keeper, bench: Bench, clock: FakeClock) -> None:
    bench.hang()
    before = asyncio.all_tasks()
    starting = asyncio.create_task(keeper.start(require=True))
    await clock.settle()

    starting.cancel()
    await asyncio.wait([starting])

    assert starting.cancelled()
    assert asyncio.all_tasks() == before
    assert keeper.status.state is GONE


async def test_keeper_starts_once(held: Keeper) -> None:
    with pytest.raises(RuntimeError, match="once"):
        await held.start()


async def test_closed_keeper_does_not_start(keeper: Keeper) -> None:
    await keeper.aclose()

    with pytest.raises(RuntimeError, match="once"):
        await keeper.start()


@pytest.mark.parametrize(
    "instance", [ServiceInstance(id="", name="n"), ServiceInstance(id="1", name="")], ids=repr
)
def test_instance_without_identity_is_refused(bench: Bench, instance: ServiceInstance) -> None:
    with pytest.raises(ValueError, match="needs an id and a name"):
        Keeper(bench, instance)


# --- registering against failures


async def test_attempts_back_off_to_the_cap_and_never_end(bench: Bench, clock: FakeClock) -> None:
    bench.down()
    backoff = Backoff(base=1, cap=30, jitter="none")
    keeper = Keeper(bench, ONE, clock=clock, backoff=backoff)
    await keeper.start()

    await clock.advance(3600)

    start = bench.tries[0]
    assert [moment - start for moment in bench.tries[:8]] == [0, 1, 3, 7, 15, 31, 61, 91]
    assert bench.tries[-1] - start > 3560
    assert keeper.status.state is PENDING
    assert keeper.status.failures == len(bench.tries)
    await keeper.aclose()


async def test_registry_that_comes_back_after_ten_minutes_gets_the_instance(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down()
    await keeper.start()
    await clock.advance(600)

    bench.up()
    await clock.advance(30)

    assert keeper.status.state is HELD
    assert bench.shelf["1"].instance == ONE


async def test_delays_are_spread_over_the_whole_ceiling(
    keeper: Keeper, bench: Bench, clock: FakeClock, chance: Fixed
) -> None:
    bench.down()
    chance.value = 0.25
    await keeper.start()

    await clock.advance(0.5 * 0.25 + 1 * 0.25)

    start = bench.tries[0]
    assert [moment - start for moment in bench.tries] == [0, 0.125, 0.375]


async def test_attempt_without_an_answer_is_given_up_after_its_limit(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    await keeper.start()

    await clock.advance(10)
    assert isinstance(keeper.status.last_error, TimeoutError)

    bench.up()
    await clock.advance(1)
    assert keeper.status.state is HELD
    assert len(bench.made) == 1


async def test_cancellation_that_an_adapter_makes_up_does_not_end_the_keeper(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down(asyncio.CancelledError())
    await keeper.start()
    await clock.advance(5)

    bench.up()
    await clock.advance(30)

    assert keeper.status.state is HELD


# --- renewing


async def test_publication_is_renewed_three_times_per_ttl(
    held: Keeper, bench: Bench, clock: FakeClock, chance: Fixed
) -> None:
    await clock.advance(60)

    gaps = [b - a for a, b in zip(bench.renewals, bench.renewals[1:], strict=False)]
    assert gaps
    assert all(gap == pytest.approx(5 * 0.95) for gap in gaps)
    assert held.status.state is HELD


@pytest.mark.parametrize(("value", "gap"), [(0.0, 5.0), (0.999999, 4.5)])
async def test_renewals_come_up_to_a_tenth_early(
    bench: Bench, clock: FakeClock, value: float, gap: float
) -> None:
    keeper = Keeper(bench, ONE, clock=clock, random=Fixed(value))
    await keeper.start(require=True)
    start = clock.time()

    await clock.advance(5)

    assert [moment - start for moment in bench.renewals] == pytest.approx([gap], abs=0.01)
    await keeper.aclose()


async def test_publication_without_ttl_is_verified_every_minute(
    keeper: Keeper, bench: Bench, clock: FakeClock, chance: Fixed
) -> None:
    bench.ttl = None
    chance.value = 0.0
    await keeper.start(require=True)
    start = clock.time()

    await clock.advance(180)

    assert [moment - start for moment in bench.renewals] == [60, 120, 180]


async def test_failed_renewal_degrades_and_recovers_within_the_ttl(
    held: Keeper, bench: Bench, clock: FakeClock, history: list[RegistrationStatus]
) -> None:
    bench.down()
    await clock.advance(6)
    degraded = held.status

    bench.up()
    await clock.advance(3)

    assert degraded.state is DEGRADED
    assert degraded.registered
    assert states(history) == [HELD, DEGRADED, HELD]
    assert len(bench.made) == 1
    assert held.status.failures == 0


@pytest.mark.parametrize("length", [6.0, 9.0, 12.0, 14.0, 14.8])
async def test_registry_that_is_back_before_the_ttl_has_passed_finds_the_publication_renewed(
    held: Keeper, bench: Bench, clock: FakeClock, chance: Fixed, length: float
) -> None:
    chance.value = 0.99  # the longest waits
    bench.down()
    await clock.advance(length)

    bench.up()
    await clock.advance(14.95 - length)

    assert held.status.state is HELD
    assert len(bench.made) == 1


async def test_renewals_that_fail_beyond_the_ttl_mean_loss_and_registering_again(
    held: Keeper, bench: Bench, clock: FakeClock, history: list[RegistrationStatus]
) -> None:
    bench.down()
    await clock.advance(14.9)
    assert held.status.state is DEGRADED

    await clock.advance(0.2)
    assert held.status.state is LOST
    assert not held.status.registered

    bench.up()
    await clock.advance(30)
    assert states(history) == [HELD, DEGRADED, LOST, HELD]
    assert len(bench.made) == 2


async def test_silent_renewal_is_given_up_in_time_for_another(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    await clock.advance(9.9)
    assert isinstance(held.status.last_error, TimeoutError)

    bench.up()
    await clock.advance(1)

    assert held.status.state is HELD
    assert len(bench.made) == 1


async def test_failed_checks_of_what_cannot_expire_never_mean_loss(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.ttl = None
    await keeper.start(require=True)
    bench.down()

    await clock.advance(3600)
    assert keeper.status.state is DEGRADED

    bench.up()
    await clock.advance(30)
    assert keeper.status.state is HELD
    assert len(bench.made) == 1


# --- loss


async def test_renewal_that_finds_nothing_registers_again_within_a_second(
    held: Keeper, bench: Bench, clock: FakeClock, history: list[RegistrationStatus]
) -> None:
    bench.shelf.clear()

    await clock.advance(5 + 1)

    assert states(history) == [HELD, LOST, HELD]
    assert bench.shelf["1"].instance == ONE
    assert isinstance(held.status.last_error, RegistrationLost)


async def test_pushed_loss_registers_again_without_waiting_for_a_renewal(
    held: Keeper, bench: Bench, clock: FakeClock, chance: Fixed
) -> None:
    chance.value = 0.4
    lost_at = clock.time()
    bench.made[0].gone.set()

    await clock.advance(1)

    assert held.status.state is HELD
    assert bench.tries[-1] - lost_at == pytest.approx(0.4)
    assert bench.renewals == []


async def test_losses_in_a_row_are_answered_ever_more_slowly(
    held: Keeper, bench: Bench, clock: FakeClock, chance: Fixed
) -> None:
    chance.value = 1.0
    bench.ttl = 1000.0
    for _ in range(8):
        bench.made[-1].gone.set()
        await clock.advance(31)

    gaps = [b - a for a, b in zip(bench.tries, bench.tries[1:], strict=False)]
    assert len(gaps) == 8
    assert gaps[0] == pytest.approx(1.0)
    assert max(gaps) > 30


async def test_loss_after_a_good_renewal_is_answered_quickly_again(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    for count in range(2, 6):
        bench.made[-1].gone.set()
        await clock.advance(1)
        assert len(bench.made) == count
        await clock.advance(6)


@pytest.mark.parametrize("error", [OSError("broke"), asyncio.CancelledError()], ids=repr)
async def test_broken_listener_is_replaced_by_a_check(
    held: Keeper,
    bench: Bench,
    clock: FakeClock,
    history: list[RegistrationStatus],
    error: BaseException,
) -> None:
    bench.made[0].deaf = error
    bench.made[0].gone.set()
    await clock.settle()
    bench.made[0].gone.clear()

    await clock.advance(0.5)

    assert states(history) == [HELD, DEGRADED, HELD]
    assert len(bench.renewals) == 1
    assert bench.made[0].listeners == 1
    assert held.status.last_error is not None


async def test_listener_that_always_breaks_costs_few_checks(bench: Bench, clock: FakeClock) -> None:
    class Deaf(Bench):
        async def register(self, instance: ServiceInstance, /) -> Registration:
            publication = Publication(self, instance)
            publication.deaf = OSError("not supported")
            publication.gone.set()
            self.shelf[instance.id] = publication
            return publication

    deaf = Deaf(clock)
    deaf.ttl = 300.0
    keeper = Keeper(deaf, ONE, clock=clock, random=Fixed(1.0))
    await keeper.start(require=True)

    await clock.advance(600)

    assert keeper.status.registered
    assert 5 < len(deaf.renewals) < 60
    await keeper.aclose()


# --- changing


async def test_changed_instance_replaces_the_old_one_in_place(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    changed = replace(ONE, metadata={"weight": "10"})

    held.update(changed)
    await clock.settle()

    assert bench.shelf["1"].instance == changed
    assert bench.made[0].withdrawals == 0
    assert held.status.state is HELD
    assert held.status.instance == changed


async def test_equal_instance_is_not_registered_again(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    held.update(replace(ONE))
    await clock.settle()

    assert len(bench.made) == 1


async def test_only_the_loss_of_the_newest_publication_counts(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    held.update(replace(ONE, version="v2"))
    await clock.settle()

    bench.made[0].gone.set()
    await clock.advance(2)

    assert len(bench.made) == 2
    assert [publication.listeners for publication in bench.made] == [0, 1]


async def test_old_publication_is_renewed_while_its_replacement_is_refused(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    class Refusing(ConnectionError): ...

    async def refuse(instance: ServiceInstance, /) -> Registration:
        bench.tries.append(clock.time())
        raise Refusing(instance.version)

    accept, bench.register = bench.register, refuse  # type: ignore[method-assign]
    held.update(replace(ONE, version="v2"))

    await clock.advance(60)
    refused = held.status
    bench.register = accept  # type: ignore[method-assign]
    await clock.advance(31)

    assert refused.state is DEGRADED
    assert isinstance(refused.last_error, Refusing)
    assert len(bench.renewals) > 10
    assert held.status.state is HELD
    assert bench.shelf["1"].instance.version == "v2"


async def test_change_taken_back_while_refused_is_well_again(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down()
    held.update(replace(ONE, version="v2"))
    await clock.settle()
    bench.up()

    held.update(ONE)
    await clock.advance(6)

    assert held.status.state is HELD
    assert len(bench.made) == 1


async def test_change_during_an_outage_is_what_gets_registered(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down()
    await keeper.start()
    await clock.advance(10)
    tries = len(bench.tries)

    keeper.update(replace(ONE, version="v2"))
    await clock.settle()
    assert len(bench.tries) == tries

    bench.up()
    await clock.advance(30)
    assert [publication.instance.version for publication in bench.made] == ["v2"]


async def test_change_during_an_attempt_is_registered_after_it(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    await keeper.start()
    await clock.settle()

    keeper.update(replace(ONE, version="v2"))
    bench.up()
    await clock.settle()

    assert [publication.instance.version for publication in bench.made] == ["v1", "v2"]


@pytest.mark.parametrize("other", [replace(ONE, id="2"), replace(ONE, name="carts")], ids=str)
async def test_identity_cannot_change(held: Keeper, other: ServiceInstance) -> None:
    with pytest.raises(ValueError, match="id and name stay"):
        held.update(other)


async def test_closed_keeper_cannot_be_changed(held: Keeper) -> None:
    await held.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        held.update(replace(ONE, version="v2"))


# --- closing


async def test_closing_withdraws_and_ends_everything(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    before = asyncio.all_tasks()
    await keeper.start(require=True)

    await keeper.aclose()
    await clock.advance(600)

    assert bench.shelf == {}
    assert len(bench.tries) == 1
    assert bench.renewals == []
    assert keeper.status.state is GONE
    assert keeper.status.last_error is None
    assert asyncio.all_tasks() == before
    assert clock.sleepers == 0


async def test_closing_twice_withdraws_once(held: Keeper, bench: Bench) -> None:
    await asyncio.gather(held.aclose(), held.aclose())
    await held.aclose()

    assert bench.made[0].withdrawals == 1


async def test_failed_withdrawal_is_shown_and_logged_but_not_raised(
    held: Keeper, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.down()

    await held.aclose()

    assert held.status.state is GONE
    assert str(held.status.last_error) == "registry is down"
    assert "orders-1 is gone at bench://: ConnectionError: registry is down" in caplog.text


async def test_withdrawal_without_an_answer_is_given_up(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    closing = asyncio.create_task(held.aclose())

    await clock.advance(10)
    await closing

    assert isinstance(held.status.last_error, TimeoutError)


async def test_closing_during_an_attempt_cancels_it(
    keeper: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    await keeper.start()
    await clock.settle()

    await keeper.aclose()
    bench.up()
    await clock.settle()

    assert bench.shelf == {}
    assert keeper.status.state is GONE


async def test_publication_lost_in_silence_is_still_withdrawn_at_the_end(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.down()
    await clock.advance(20)
    lost = held.status.state
    bench.up()

    await held.aclose()

    assert lost is LOST
    assert bench.shelf == {}


async def test_cancelled_closing_can_be_repeated(
    held: Keeper, bench: Bench, clock: FakeClock
) -> None:
    bench.hang()
    closing = asyncio.create_task(held.aclose())
    await clock.settle()
    closing.cancel()
    await asyncio.wait([closing])
    bench.up()

    await held.aclose()

    assert closing.cancelled()
    assert bench.shelf == {}
    assert held.status.state is GONE


async def test_registration_that_arrives_with_the_closing_is_withdrawn(
    clock: FakeClock,
) -> None:
    """Whatever the moment of closing, nothing stays published."""
    for turns in range(12):
        bench = Bench(clock)
        keeper = Keeper(bench, ONE, clock=clock)
        await keeper.start()
        for _ in range(turns):
            await asyncio.sleep(0)

        await keeper.aclose()

        assert bench.shelf == {}, turns


# --- telling


async def test_status_tells_the_age_of_its_state(held: Keeper, clock: FakeClock) -> None:
    await clock.advance(12)

    assert held.status.age == 12


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_listener_that_raises_does_not_stop_the_keeper(
    error: type[BaseException], bench: Bench, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(status: RegistrationStatus) -> None:
        raise error

    keeper = Keeper(bench, ONE, clock=clock, on_change=broken)
    await keeper.start(require=True)

    assert keeper.status.state is HELD
    assert "listener for changes failed" in caplog.text
    await keeper.aclose()


async def test_outage_is_logged_with_cause_and_next_attempt(
    keeper: Keeper, bench: Bench, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="kratos.registry")
    bench.down()
    await keeper.start()
    await clock.settle()
    bench.up()
    await clock.advance(1)

    assert (
        "orders-1 is pending at bench://: ConnectionError: registry is down; next attempt in 0.2 s"
    ) in caplog.text
    assert "orders-1 is held at bench://" in caplog.text


# --- registrars with a heartbeat of their own


class GoShaped:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.refuse: Exception | None = None
        self.fail: Exception | None = None

    async def register(self, instance: ServiceInstance, /) -> None:
        self.calls.append(f"register {instance.version}")
        await self.open.wait()
        if self.fail is not None:
            raise self.fail

    async def deregister(self, instance: ServiceInstance, /) -> None:
        self.calls.append(f"deregister {instance.version}")
        if self.refuse is not None:
            raise self.refuse


class InThread:
    """Does what takes time in a thread, which no cancellation reaches."""

    def __init__(self) -> None:
        self.shelf: dict[str, ServiceInstance] = {}
        self.begun = threading.Event()
        self.open = threading.Event()
        self.ended = threading.Event()

    async def register(self, instance: ServiceInstance, /) -> None:
        def put() -> None:
            self.begun.set()
            self.open.wait(10)
            self.shelf[instance.id] = instance
            self.ended.set()

        await asyncio.to_thread(put)

    async def deregister(self, instance: ServiceInstance, /) -> None:
        self.shelf.pop(instance.id, None)


async def test_registrar_with_its_own_heartbeat_is_called_once_each_way(clock: FakeClock) -> None:
    registrar = GoShaped()
    keeper = Keeper(unmanaged(registrar), ONE, clock=clock)
    await keeper.start(require=True)

    await clock.advance(3600)
    assert keeper.status.state is HELD
    await keeper.aclose()

    assert registrar.calls == ["register v1", "deregister v1"]


async def test_registrar_with_its_own_heartbeat_gets_changes_in_place(clock: FakeClock) -> None:
    registrar = GoShaped()
    keeper = Keeper(unmanaged(registrar), ONE, clock=clock)
    await keeper.start(require=True)

    keeper.update(replace(ONE, version="v2"))
    await clock.settle()
    await keeper.aclose()

    assert registrar.calls == ["register v1", "register v2", "deregister v2"]


async def test_cancelled_register_of_a_self_keeping_registrar_is_taken_back(
    clock: FakeClock,
) -> None:
    registrar = GoShaped()
    registrar.open.clear()
    keeper = Keeper(unmanaged(registrar, clock=clock), ONE, clock=clock)
    await keeper.start()
    await clock.settle()

    closing = asyncio.create_task(keeper.aclose())
    await clock.settle()
    await clock.advance(2)
    await closing

    assert registrar.calls == ["register v1", "deregister v1"]


async def test_cancelled_register_ends_before_it_is_taken_back(clock: FakeClock) -> None:
    registrar = InThread()
    registering = asyncio.create_task(unmanaged(registrar, clock=clock).register(ONE))
    await asyncio.to_thread(registrar.begun.wait, 10)

    registering.cancel()
    await clock.settle()
    registrar.open.set()
    await asyncio.wait([registering])
    await asyncio.to_thread(registrar.ended.wait, 10)

    assert registering.cancelled()
    assert registrar.shelf == {}


async def test_register_that_fails_after_its_cancellation_is_taken_back(clock: FakeClock) -> None:
    registrar = GoShaped()
    registrar.open.clear()
    registering = asyncio.create_task(unmanaged(registrar, clock=clock).register(ONE))
    await clock.settle()

    registering.cancel()
    await clock.settle()
    registrar.fail = ConnectionError("no answer")
    registrar.open.set()
    await asyncio.wait([registering])

    assert registering.cancelled()
    assert registrar.calls == ["register v1", "deregister v1"]


async def test_register_that_does_not_end_is_told(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    registrar = InThread()
    registering = asyncio.create_task(unmanaged(registrar, clock=clock).register(ONE))
    await asyncio.to_thread(registrar.begun.wait, 10)

    registering.cancel()
    await clock.settle()
    await clock.advance(2)
    await asyncio.wait([registering])

    assert registering.cancelled()
    assert "orders-1 may still be registered at InThread: that did not end" in caplog.text
    registrar.open.set()


async def test_change_of_a_self_keeping_registration_that_was_given_up_leaves_what_stood(
    clock: FakeClock,
) -> None:
    registrar = GoShaped()
    over = unmanaged(registrar, clock=clock)
    standing = await over.register(ONE)
    registrar.open.clear()
    changing = asyncio.create_task(over.register(replace(ONE, version="v2")))
    await clock.settle()

    changing.cancel()
    await clock.settle()
    registrar.open.set()
    await asyncio.wait([changing])
    await standing.renew()
    await standing.renew()
    await standing.withdraw()

    assert changing.cancelled()
    assert registrar.calls == ["register v1", "register v2", "register v1", "deregister v1"]


async def test_failed_take_back_is_logged_and_stays_a_cancellation(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    registrar = GoShaped()
    registrar.open.clear()
    registrar.refuse = ConnectionError("still down")
    registering = asyncio.create_task(unmanaged(registrar, clock=clock).register(ONE))
    await clock.settle()

    registering.cancel()
    await clock.settle()
    registrar.open.set()
    await asyncio.wait([registering])

    assert registering.cancelled()
    assert "orders-1 may still be registered at GoShaped: ConnectionError" in caplog.text


async def test_withdrawing_from_a_self_keeping_registrar_twice_deregisters_once() -> None:
    registrar = GoShaped()
    registration = await unmanaged(registrar).register(ONE)

    await registration.withdraw()
    await registration.withdraw()

    assert registrar.calls == ["register v1", "deregister v1"]
