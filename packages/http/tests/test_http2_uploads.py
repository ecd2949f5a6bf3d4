"""How much of bodies a connection may have in memory, without one."""

from __future__ import annotations

from typing import Any

from kratos_http._http2_uploads import Uploads


class Body:
    """One that comes in pieces."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def bodies(count: int) -> list[Any]:
    return [Body() for _ in range(count)]


def test_beyond_the_limit_the_oldest_goes_on_alone() -> None:
    uploads, (first, second, third) = Uploads(10), bodies(3)
    assert uploads.add(first, 8)
    assert uploads.add(second, 2)
    assert not uploads.add(third, 1)
    assert not uploads.add(second, 1)
    assert uploads.add(first, 100)
    uploads.finish(first)
    assert (second.released, third.released) == (1, 0)  # it is the oldest now
    uploads.remove(first, 108)
    assert (second.released, third.released) == (1, 1)
    assert uploads.size == 4


def test_body_that_has_gone_is_not_let_go_on() -> None:
    uploads, (first, second) = Uploads(1), bodies(2)
    uploads.add(first, 2)
    assert not uploads.add(second, 2)
    uploads.remove(second, 2)
    uploads.remove(first, 2)
    assert (first.released, second.released, uploads.size) == (0, 0, 0)


def test_end_of_one_body_does_not_look_at_all_others() -> None:
    """A peer may have thousands, and end one after another."""
    uploads, many = Uploads(1_000_000), bodies(1000)
    for each in many:
        assert uploads.add(each, 1)
    uploads.finish(many.pop())
    uploads.remove(many.pop(), 1)
    assert not any(each.released for each in many)
