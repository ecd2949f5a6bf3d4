"""A set of keys that changes while it is used: a JWKS in a file or behind a URL."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait, describe
from kratos.offload import offload
from kratos.periodic import Periodic
from kratos.transport import detached
from kratos.url import mask
from kratos_jwt.fetching import checked_url, fetch, is_url
from kratos_jwt.jwks import KnownKeys, parse
from kratos_jwt.key import Key
from kratos_jwt.keys import choose
from kratos_jwt.token import TokenHeader

__all__ = ["KeySet"]

DEFAULT_INTERVAL: Final = 300.0
DEFAULT_COOLDOWN: Final = 10.0
DEFAULT_TIMEOUT: Final = 5.0
DEFAULT_MAX_SIZE: Final = 256 * 1024

_log = logging.getLogger("kratos.jwt")


class KeySet:
    """Keys of a JWKS (RFC 7517), read again from time to time.

    Give it to ``App(servers=[...])``, which reads it at the start and every ``interval`` seconds.
    Without that it is read when the first token comes, and by tokens that come later than
    ``interval`` seconds after the last time.

    A ``kid`` that is not known has the set read at once, but not within ``cooldown`` seconds of
    the last time, so tokens with invented ones cannot make this service call another. A token
    with a known ``kid`` never waits.

    The last set that could be read stays while its place is away or says nonsense; that is logged.
    A key that leaves the set is not taken any more once the set was read.

    Args:
        location: URL or path. URLs are ``https``, but for this very machine.
        algorithms: Those that are allowed; by default the one that each key names, or the usual
            one of its kind, which for RSA is RS256.
        interval: Seconds from one reading to the next.
        cooldown: Seconds between readings that unknown keys cause.
        timeout: Seconds that a reading may take.
        max_size: Bytes of the longest set.
        allow_http: Take keys unencrypted from other machines.
        fetch: Reads a URL in place of the standard library, with a client of your own say; has
            the same ``timeout``.
        clock: Time for all of that.

    Raises:
        ConfigError: The location cannot be used, or a number is wrong.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        /,
        *,
        algorithms: Sequence[str] = (),
        interval: float = DEFAULT_INTERVAL,
        cooldown: float = DEFAULT_COOLDOWN,
        timeout: float = DEFAULT_TIMEOUT,
        max_size: int = DEFAULT_MAX_SIZE,
        allow_http: bool = False,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        place = os.fspath(location)
        if isinstance(algorithms, str):
            raise ConfigError(f"algorithms={algorithms!r} has to be a list of names")
        if cooldown < 0 or timeout <= 0 or max_size <= 0:
            raise ConfigError(
                f"cooldown={cooldown} must not be negative, timeout={timeout} and "
                f"max_size={max_size} must be positive"
            )
        self._is_url = is_url(place)
        self._place = checked_url(place, allow_http=allow_http) if self._is_url else place
        self._name = f"key set {mask(place)}"
        self._algorithms = tuple(algorithms)
        self._interval = interval
        self._cooldown = cooldown
        self._timeout = timeout
        self._max_size = max_size
        self._fetch = fetch
        self._clock = clock
        self._periodic = Periodic(self.refresh, interval=interval, name=self._name, clock=clock)
        self._known = KnownKeys()
        self._read_at: float | None = None
        self._not_before = clock.time()
        self._reading: asyncio.Task[bool] | None = None
        self._started = False
        self._tried = asyncio.Event()

    def __str__(self) -> str:
        return self._name

    @property
    def size(self) -> int:
        """How many keys are known."""
        return len(self._known)

    @property
    def age(self) -> float | None:
        """Seconds since the set was read; ``None`` if it never was."""
        return None if self._read_at is None else self._clock.time() - self._read_at

    async def find_key(self, header: TokenHeader, /) -> Key | None:
        """Return the key that a token may be signed with; see ``KeySource``.

        Cancellation: leaves a reading that is under way to others that wait for it.
        """
        found = self._choose(header)
        if found is None:
            reading = self._begin_if_cool()
            if reading is not None:
                await asyncio.wait({reading})
                found = self._choose(header)
        elif not self._started and self._is_old():
            self._begin_if_cool()  # for those who come later
        return found

    async def refresh(self) -> bool:
        """Read the set now, or wait for whoever does; return whether it could be read.

        Cancellation: lets the reading go on.
        """
        reading = self._reading or self._begin()
        await asyncio.wait({reading})
        return not reading.cancelled() and reading.result()

    async def start(self) -> None:
        """Read the set every ``interval`` seconds until ``stop``; for the application."""
        self._started = True
        try:
            await self._periodic.start()
        finally:
            self._started = False

    async def ready(self) -> None:
        """Return when the set was tried to be read once, well or not."""
        await self._tried.wait()

    async def stop(self) -> None:
        """End; a reading under way is given up. Idempotent."""
        await self._periodic.stop()
        if self._reading is not None:
            await cancel_and_wait(self._reading)

    def _choose(self, header: TokenHeader) -> Key | None:
        return choose(self._known.named, self._known.unnamed, header)

    def _is_old(self) -> bool:
        age = self.age
        return age is not None and age >= self._interval

    def _begin_if_cool(self) -> asyncio.Task[bool] | None:
        if self._reading is None and self._clock.time() < self._not_before:
            return None
        return self._reading or self._begin()

    def _begin(self) -> asyncio.Task[bool]:
        self._not_before = self._clock.time() + self._cooldown
        with detached():  # it serves everybody, and outlives the call that asked first
            self._reading = asyncio.create_task(self._read(), name=self._name)
        self._reading.add_done_callback(self._ended)
        return self._reading

    def _ended(self, _task: asyncio.Task[bool]) -> None:
        self._reading = None
        self._tried.set()

    async def _read(self) -> bool:
        try:
            async with Limit(self._clock, self._timeout):
                data = await self._bytes()
            known = parse(
                data,
                algorithms=self._algorithms,
                secrets=not self._is_url,
                known=self._known,
                origin=self._name,
            )
        except Exception as error:
            kept = f"its {len(self._known)} keys stay" if self._known else "it has no keys yet"
            _log.error("%s could not be read, %s: %s", self._name, kept, describe(error))
            return False
        if known.named.keys() != self._known.named.keys():
            _log.info("%s: its keys are now %s", self._name, ", ".join(map(repr, known.named)))
        self._known = known
        self._read_at = self._clock.time()
        return True

    async def _bytes(self) -> bytes:
        if not self._is_url:
            return await offload(_read_file, self._place, self._max_size)
        if self._fetch is None:
            return await offload(fetch, self._place, timeout=self._timeout, max_size=self._max_size)
        data = await self._fetch(self._place)
        if len(data) > self._max_size:
            raise ValueError(f"the answer is longer than {self._max_size} bytes")
        return data


def _read_file(place: str, max_size: int) -> bytes:
    with Path(place).open("rb") as file:
        data = file.read(max_size + 1)
    if len(data) > max_size:
        raise ValueError(f"the file is longer than {max_size} bytes")
    return data
