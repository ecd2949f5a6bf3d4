"""Objects that are kept up to date: what registries and sources have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import describe
from kratos.watch import Versioned
from kratos_kubernetes.client import KubernetesClient, Selection
from kratos_kubernetes.failure import GONE, KubernetesUnavailable
from kratos_kubernetes.json_object import Object
from kratos_kubernetes.stream import BOOKMARK, DELETED, Event, Watch

__all__ = ["ObjectsWatcher"]

T = TypeVar("T")
V = TypeVar("V")

_AT_LEAST: Final = 0.5  # seconds that a watch without an event has to last


class ObjectsWatcher(Generic[T, V]):
    """A ``kratos.watch.Watcher`` of a selection of objects.

    All are listed once; then each change alone comes over the wire and is decoded. Servers end
    watches all the time: the next one goes on at the version that was reached.

    Args:
        client: Who is asked.
        selection: What is watched.
        decode: Returns what an object says; ``None`` leaves it out.
        combine: Makes the value of what the objects say, in the order of their names.
        owned: Whether to close the client, too.
        clock: Time for how long watches last.
    """

    def __init__(
        self,
        client: KubernetesClient,
        selection: Selection,
        *,
        decode: Callable[[Object], T | None],
        combine: Callable[[Iterable[T]], V],
        owned: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._client = client
        self._selection = selection
        self._decode = decode
        self._combine = combine
        self._owned = owned
        self._clock = clock
        self._held: dict[tuple[str, str], T] = {}
        self._token = 0  # of the state
        self._version = ""  # that was reached
        self._forgotten = False  # by the server, and nothing heard since
        self._watch: Watch | None = None
        self._opened = 0.0  # clock time
        self._closed = False

    async def read(self) -> Versioned[V]:
        """Return everything."""
        self._check_open()
        await self._end_watch()
        listing = await self._client.list(self._selection)
        self._held = {}
        with self._understanding():
            for found in listing.objects:
                self._put(found)
        self._version = listing.version
        self._token += 1
        return self._state()

    async def changed(self, since: object, /) -> Versioned[V] | None:
        """Return everything after the next change."""
        while self._token == since:
            self._check_open()
            try:
                watch = self._watch or await self._begin_watch()
                self._check_open()
                event = await watch.next()
            except KubernetesUnavailable as error:
                await self._end_watch()
                if error.code != GONE or self._forgotten:
                    raise
                self._forgotten = True
                return None
            except BaseException:
                await self._end_watch()
                raise
            if event is None:
                await self._go_on()
                continue
            with self._understanding():
                self._apply(event)
        return self._state()

    async def aclose(self) -> None:
        """End a pending wait."""
        self._closed = True
        await self._end_watch()
        if self._owned:
            await self._client.aclose()

    async def _begin_watch(self) -> Watch:
        self._opened = self._clock.time()
        self._watch = await self._client.watch(self._selection, since=self._version)
        return self._watch

    async def _go_on(self) -> None:
        """Let another watch follow one that ended, unless they end as fast as they begin."""
        await self._end_watch()
        lasted = self._clock.time() - self._opened
        if lasted < _AT_LEAST:
            raise KubernetesUnavailable(
                f"{self._client} ended a watch of {self._selection.path} after {lasted:.3f} s"
            )

    def _apply(self, event: Event) -> None:
        self._forgotten = False
        self._version = event.object["metadata"]["resourceVersion"]
        if event.kind == BOOKMARK:
            return
        if event.kind == DELETED:
            changed = self._held.pop(_key(event.object), None) is not None
        else:
            changed = self._put(event.object)
        self._token += changed

    def _put(self, found: Object) -> bool:
        """Hold what an object says, and tell whether that is something new."""
        key, decoded = _key(found), self._decode(found)
        if decoded is None:
            return self._held.pop(key, None) is not None
        before, self._held[key] = self._held.get(key), decoded
        return before != decoded

    def _state(self) -> Versioned[V]:
        value = self._combine(self._held[key] for key in sorted(self._held))
        return Versioned(value=value, token=self._token)

    async def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.aclose()

    @contextmanager
    def _understanding(self) -> Generator[None]:
        """Let objects that are none be told in words, as they are no fault of the program."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise KubernetesUnavailable(
                f"{self._client} does not answer as Kubernetes does "
                f"({self._selection.path}): {describe(error)}"
            ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise KubernetesUnavailable(
                f"{self._client}: the watcher of {self._selection.path} is closed"
            )


def _key(found: Object) -> tuple[str, str]:
    meta = found["metadata"]
    return meta.get("namespace", ""), meta["name"]
