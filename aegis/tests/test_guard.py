from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from copy import copy
from typing import ClassVar

import pytest

from aegis import BreakerOpen, Guard, Guarded, Outcome, Refused, outcome_of
from aegis._locked import Lockable
from aegis.guard import guarded


class Gate(Lockable, Guarded):
    """Lets calls in while it is open, and keeps what it heard."""

    __slots__ = ("ends", "inside", "is_open", "unlocked")

    LOCKED: ClassVar[tuple[str, ...]] = ("allow", "done", "entered")

    def __init__(self, *, is_open: bool = True, threadsafe: bool = False) -> None:
        self.is_open = is_open
        self.inside = 0
        self.ends: list[Outcome] = []
        self.unlocked = False

    def allow(self) -> int | None:
        self.unlocked |= not getattr(self, "_lock", threading.Lock()).locked()
        if not self.is_open:
            return None
        self.inside += 1
        return 7

    def done(self, token: int, outcome: Outcome = Outcome.SUCCESS, /) -> None:
        self.unlocked |= not getattr(self, "_lock", threading.Lock()).locked()
        assert token == 7
        self.inside -= 1
        self.ends.append(outcome)

    @property
    def entered(self) -> int:
        self.unlocked |= not getattr(self, "_lock", threading.Lock()).locked()
        return self.inside

    def refusal(self) -> Refused:
        return BreakerOpen("shut", retry_after=2.0)


def test_block_that_ends_well_is_a_success() -> None:
    gate = Gate()

    with gate.guard():
        assert gate.inside == 1

    assert (gate.inside, gate.ends) == (0, [Outcome.SUCCESS])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("down"), Outcome.FAILURE),
        (TimeoutError("late"), Outcome.OVERLOAD),
        (asyncio.CancelledError(), Outcome.IGNORED),
        (KeyboardInterrupt(), Outcome.IGNORED),
        (GeneratorExit(), Outcome.IGNORED),
    ],
)
def test_exception_tells_the_outcome_and_goes_on(error: BaseException, outcome: Outcome) -> None:
    gate = Gate()

    with pytest.raises(type(error)), gate.guard():
        raise error

    assert (gate.inside, gate.ends) == (0, [outcome])


def test_user_decides_what_an_exception_says() -> None:
    gate = Gate()

    with pytest.raises(KeyError), gate.guard(classify=lambda _: Outcome.SUCCESS):
        raise KeyError

    assert gate.ends == [Outcome.SUCCESS]


def test_slot_is_freed_though_classify_raises() -> None:
    def classify(error: BaseException) -> Outcome:
        raise LookupError(str(error))

    gate = Gate()

    with pytest.raises(LookupError), gate.guard(classify=classify):
        raise KeyError

    assert (gate.inside, gate.ends) == (0, [Outcome.IGNORED])


def test_refused_block_does_not_run() -> None:
    gate = Gate(is_open=False)

    with pytest.raises(BreakerOpen, match="shut") as caught, gate.guard():
        pytest.fail("the block ran")

    assert (caught.value.retry_after, gate.ends) == (2.0, [])


async def test_cancelled_coroutine_frees_its_slot_and_says_nothing() -> None:
    gate, entered = Gate(), asyncio.Event()

    async def hold() -> None:
        async with gate.guard():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (gate.inside, gate.ends) == (0, [Outcome.IGNORED])


async def test_decorator_admits_each_call_of_function_and_coroutine_by_itself() -> None:
    gate = Gate()

    @gate.guard()
    def count(depth: int) -> int:
        return gate.inside if depth == 0 else count(depth - 1)

    @gate.guard()
    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        return value + gate.inside

    assert count(2) == 3
    assert sorted(await asyncio.gather(wait(10), wait(20))) == [12, 21]
    assert (gate.inside, gate.ends) == (0, [Outcome.SUCCESS] * 5)
    assert wait.__name__ == "wait"


async def test_decorated_call_that_is_refused_does_not_run() -> None:
    gate = Gate(is_open=False)

    @gate.guard()
    def call() -> None:
        pytest.fail("the function ran")

    @gate.guard()
    async def call_later() -> None:
        pytest.fail("the coroutine ran")

    with pytest.raises(BreakerOpen, match="shut"):
        call()
    with pytest.raises(BreakerOpen, match="shut"):
        await call_later()
    assert gate.ends == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("down"), Outcome.FAILURE),
        (TimeoutError("late"), Outcome.OVERLOAD),
        (asyncio.CancelledError(), Outcome.IGNORED),
        (LookupError("classify raises"), Outcome.IGNORED),
    ],
)
async def test_error_of_a_decorated_call_tells_the_outcome_and_goes_on(
    error: BaseException, outcome: Outcome
) -> None:
    def classify(error: BaseException) -> Outcome:
        if isinstance(error, LookupError):
            raise error
        return outcome_of(error)

    gate = Gate()

    @gate.guard(classify=classify)
    def call() -> None:
        raise error

    @gate.guard(classify=classify)
    async def call_later() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call()
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        await call_later()
    assert caught.value is error
    assert (gate.inside, gate.ends) == (0, [outcome] * 2)


@pytest.mark.parametrize("decorate", ["guard", "admit"])
async def test_object_whose_call_is_a_coroutine_is_admitted_until_that_ends(decorate: str) -> None:
    gate = Gate()

    class Fetch:
        async def __call__(self) -> int:
            return gate.inside

    fetch = Fetch()
    inside = gate.guard()(fetch) if decorate == "guard" else guarded(gate.guard, fetch)

    assert await inside() == 1
    assert gate.inside == 0


def test_generator_functions_are_refused_as_their_call_runs_nothing() -> None:
    gate = Gate()

    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"numbers is a generator function"):
        gate.guard()(numbers)
    with pytest.raises(TypeError, match=r"later is a generator function"):
        gate.guard()(later)


def test_admission_is_used_again_but_neither_nested_nor_left_twice() -> None:
    gate = Gate()
    admission = gate.guard()

    for _ in range(2):
        with admission, pytest.raises(RuntimeError, match="ask the guard for another"):
            admission.__enter__()

    with pytest.raises(RuntimeError, match="without being entered"):
        admission.__exit__(None, None, None)
    assert (gate.inside, len(gate.ends)) == (0, 2)


def test_threadsafe_variant_holds_its_lock_in_methods_and_properties() -> None:
    gate = Gate(is_open=True, threadsafe=True)

    with gate.guard():
        assert gate.entered == 1

    assert not gate.unlocked
    assert isinstance(gate, Gate)
    assert isinstance(gate, Guard)


def test_threadsafe_variant_takes_arguments_as_the_plain_class_does() -> None:
    class Notes(Lockable):
        LOCKED: ClassVar[tuple[str, ...]] = ("one", "two", "named", "many")

        def one(self, a: int, /) -> list[int]:
            return [a]

        def two(self, a: int, b: int = 2, /) -> list[int]:
            return [a, b]

        def named(self, a: int, b: int = 2) -> list[int]:
            return [a, b]

        def many(self, *a: int, b: int = 2) -> list[int]:
            return [*a, b]

    def calls(notes: Notes) -> list[list[int]]:
        return [
            notes.one(5),
            notes.two(5),
            notes.two(5, 6),
            notes.named(b=6, a=5),
            notes.many(5, 6, b=7),
        ]

    assert calls(Notes(threadsafe=True)) == calls(Notes())


def test_copy_of_a_threadsafe_object_has_a_lock_too() -> None:
    gate = Gate(threadsafe=True)

    for other in (copy(gate), type(gate)()):
        with other.guard():
            assert other.entered == 1
        assert not other.unlocked


def test_plain_variant_has_no_lock() -> None:
    gate = Gate()

    gate.allow()

    assert gate.unlocked
    assert not hasattr(gate, "_lock")


def test_each_threadsafe_object_has_its_own_lock() -> None:
    first, second = Gate(threadsafe=True), Gate(threadsafe=True)

    assert type(first) is type(second)
    assert vars(type(first))["_lock"].__get__(first) is not vars(type(first))["_lock"].__get__(
        second
    )
