"""The instances of a service, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kratos.clock import Clock
from kratos.registry import ServiceInstance
from kratos.watch import Versioned
from kratos_redis import layout
from kratos_redis.asking import Changes, Line

__all__ = ["InstancesWatcher"]

_DIGITS: Final = 15  # of milliseconds: for some 30 000 years


class InstancesWatcher:
    """Reads all once, then applies each change that it is told of.

    It reads again when the earliest registration that it knows may have ended, and fetches only
    the instances of registrations that it does not know.

    Args:
        line: Who is asked.
        service: The key of the service.
        decode: Returns the instance of an id, of what its key holds, and of a registration;
            ``None`` leaves it out.
        longest: Seconds after which it reads again in any case.
        apart: Gives seconds to wait longer than that, so that not all look at once.
        clock: Time for waiting.
    """

    def __init__(
        self,
        line: Line,
        service: bytes,
        decode: Callable[[bytes, bytes, bytes], ServiceInstance | None],
        *,
        longest: float,
        apart: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._line = line
        self._service = service
        self._changes = Changes(line, service, layout.changes_of(service))
        self._decode = decode
        self._longest = longest
        self._apart = apart
        self._clock = clock
        self._held: dict[bytes, _Held] = {}
        self._reached = b""  # in the stream
        self._look_at = 0.0  # though nothing is heard until then
        self._ahead = 0.0  # of our clock, to that of the server, in seconds

    async def read(self) -> Versioned[Sequence[ServiceInstance]]:
        """Return all instances; see ``Watcher``."""
        now, reached, entries = await self._changes.read()
        live = {id_: (end, of) for id_, (end, of) in _parsed(entries) if end > now}
        known = {id_: self._held[id_] for id_ in live if id_ in self._held}
        held = {id_: one for id_, one in known.items() if one.registration == live[id_][1]}
        missing = [id_ for id_ in live if id_ not in held]
        if missing:
            held |= await self._fetch(missing, live)
        self._held = held
        # What is not renewed until then has ended. And however long that is: keys may have been
        # changed by hand, or the stream may have been lost with a primary.
        time = self._clock.time()
        self._ahead = time - now / 1000
        self._look_at = time + self._longest + self._apart()
        for end, _ in live.values():
            self._look_after(end)
        return self._state(reached)

    async def changed(self, since: object, /) -> Versioned[Sequence[ServiceInstance]] | None:
        """Return all instances after the next change; see ``Watcher``."""
        assert isinstance(since, bytes), "a token of read()"
        wait = max(0.0, self._look_at - self._clock.time())
        entries = await self._changes.wait(since, wait)
        if not entries or since != self._reached:
            return None
        for place, told in entries:
            is_next = told.get(b"after") == self._reached and b"id" in told
            if not is_next or (b"entry" in told) is not (b"instance" in told):
                return None  # some are missing, or somebody else has written there
            self._apply(told)
            self._reached = place
        return self._state(self._reached)

    async def aclose(self) -> None:
        """End a pending wait."""
        self._changes.close()

    def _apply(self, told: dict[bytes, bytes]) -> None:
        id_ = told[b"id"]
        if b"entry" not in told:
            self._held.pop(id_, None)
            return
        end, registration = _entry(told[b"entry"])
        self._look_after(end)
        instance = self._decode(id_, told[b"instance"], registration)
        self._held[id_] = _Held(registration, instance)

    def _look_after(self, end: int) -> None:
        """Look again after a time of the server, in milliseconds."""
        self._look_at = min(self._look_at, end / 1000 + self._ahead + self._apart())

    async def _fetch(
        self, missing: Sequence[bytes], live: Mapping[bytes, tuple[int, bytes]]
    ) -> dict[bytes, _Held]:
        keys = [layout.instance_key(self._service, id_) for id_ in missing]
        found = await self._line.ask("tell instances", self._line.client.mget, keys)
        held: dict[bytes, _Held] = {}
        for id_, data in zip(missing, found, strict=True):
            if data is not None:  # else it is gone by now, and that is told behind the token
                registration = live[id_][1]
                held[id_] = _Held(registration, self._decode(id_, data, registration))
        return held

    def _state(self, reached: bytes) -> Versioned[Sequence[ServiceInstance]]:
        self._reached = reached
        held = (self._held[id_].instance for id_ in sorted(self._held))
        return Versioned(value=tuple(one for one in held if one is not None), token=reached)


class _Held(NamedTuple):
    """An instance, ``None`` if nobody can read it, and which registration it is of."""

    registration: bytes
    instance: ServiceInstance | None


def _parsed(entries: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    for id_, value in entries.items():
        yield id_, _entry(value)


def _entry(value: bytes) -> tuple[int, bytes]:
    """Return when a registration ends, and its name; what is no such entry has ended long ago."""
    end, _, registration = value.partition(b" ")
    return int(end) if end.isdigit() and len(end) <= _DIGITS else 0, registration
