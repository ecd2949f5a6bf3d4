"""The registry (Go: ``contrib/registry/zookeeper``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import RegistrationLost, RegistryUnavailable
from kratos.limit import Limit, cancel_and_wait, describe, shielded
from kratos.registry import Registration, Registry, ServiceInstance, Skips
from kratos.tls import ClientTls
from kratos.url import Url
from kratos.watch import Watcher
from kratos_zookeeper import layout
from kratos_zookeeper.clients import kazoo
from kratos_zookeeper.connection import SESSION_TIMEOUT, TIMEOUT, Connection, Hosts, given_by
from kratos_zookeeper.folder import Folder
from kratos_zookeeper.session import Session, SessionOver

__all__ = ["ZooKeeperRegistry"]

_log = logging.getLogger("kratos.zookeeper")

_ROOT: Final = "/microservices"
_TRIES: Final = 4  # others may make and remove the same nodes meanwhile
_SUPERSEDED: Final = 0  # no node was born then
_UNDOING: Final = 1.0  # seconds to take back a publication that its caller has given up


class ZooKeeperRegistry:
    """Registrar and discovery on ZooKeeper, with the nodes of Go Kratos.

    An instance is an ephemeral node: it lives as long as the session of this registry, which
    kazoo's threads keep, and ``session_timeout`` longer if the process dies.

    Args:
        hosts: Where servers are, as ``host:port`` (the port is 2181 if it is left out), all of
            one ensemble; or a client of kazoo, which stays the caller's.
        root: Node below which services are.
        user: Who to be, of the scheme ``digest``. All nodes that are made are then this user's
            alone; without, they are everybody's.
        password: The password.
        tls: What makes connections TLS.
        session_timeout: Seconds without a sign of life after which ZooKeeper takes instances out;
            it has limits of its own, by default 2 and 20 ticks of 2 s.
        timeout: Seconds for one operation, connecting included.
        clock: Time for ``timeout``.

    Raises:
        ConfigError: An option is out of range, or does not fit another one.
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        root: str = _ROOT,
        user: str | None = None,
        password: str | None = None,
        tls: ClientTls | None = None,
        session_timeout: float = SESSION_TIMEOUT,
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._root = layout.absolute(root)
        self._connection = Connection(
            hosts,
            path=self._root,
            user=user,
            password=password,
            tls=tls,
            session_timeout=session_timeout,
            timeout=timeout,
            clock=clock,
            error=RegistryUnavailable,
        )
        self._skips = Skips()
        self._undoing: dict[str, asyncio.Task[None]] = {}

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return a registry: ``zookeeper://[user:password@]host[:port][,host[:port]...][/root]``.

        With the scheme ``zookeepers`` it uses TLS. Options are ``session_timeout``, ``timeout``,
        and for TLS the PEM files ``ca``, ``certificate`` and ``key``. Nothing is connected yet.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        root, given = given_by(url, path=_ROOT)
        return cls(root=root, **given)

    def __str__(self) -> str:
        return str(self._connection)

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance; see ``Registrar``."""
        instance.check()
        path = layout.instance_path(self._root, instance)
        session = self._connection.session()
        await self._leave_undone(path)
        draft = _Draft(path, instance.to_json(), self._acl())
        try:
            async with self._connection.asking(f"register {instance}", session):
                number = await draft.publish(session)
        except BaseException:
            if draft.sent:
                await self._undo(draft, session)
            raise
        return _Publication(self._connection, session, path, number)

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Open a watcher of a service; see ``Discovery``.

        Raises:
            ValueError: No node can have the name.
        """
        path = layout.service_path(self._root, name)

        def decode(child: str, data: bytes, version: object) -> ServiceInstance | None:
            try:
                return layout.decode(data, name=name)
            except ValueError as error:
                self._skips.skip(f"{self}/{name}/{child}", error, version=version)
                return None

        return Folder(self._connection, path, decode)

    async def aclose(self) -> None:
        """End the session, and with it all that was registered; idempotent.

        The session of a client that was given goes on, with what was not withdrawn.
        """
        await cancel_and_wait(*self._undoing.values())
        await self._connection.aclose()

    def _acl(self) -> list[Any] | None:
        if self._connection.credentials is None:
            return None
        security = kazoo("security")
        return [security.make_digest_acl(*self._connection.credentials, all=True)]

    async def _undo(self, draft: _Draft, session: Session) -> None:
        """Take back what may have been published although its caller does not know."""
        clock = self._connection.clock

        async def settle() -> None:
            try:
                async with Limit(clock, _UNDOING):
                    await draft.take_back(session)
            except Exception:
                if self._connection.owned:
                    # It goes with its session. Keepers publish theirs again in a new one.
                    session.close()
                else:
                    self._undo_later(draft, session)

        await shielded(settle(), clock=clock, timeout=2 * _UNDOING)

    def _undo_later(self, draft: _Draft, session: Session) -> None:
        """Take it back when there is a connection again, if the session has not ended before."""
        errors = kazoo("exceptions")

        async def settle() -> None:
            while True:
                try:
                    return await draft.take_back(session)
                except errors.ConnectionLoss:
                    continue  # with the next connection, which take_back waits for
                except SessionOver:
                    return None  # and the node went with it
                except errors.KazooException as error:
                    return _log.warning("%s was not taken back: %s", draft.path, describe(error))

        task = asyncio.create_task(settle(), name=f"kratos-zookeeper {draft.path}")
        self._undoing[draft.path] = task

        def forget(_done: object) -> None:
            if self._undoing.get(draft.path) is task:
                del self._undoing[draft.path]

        task.add_done_callback(forget)

    async def _leave_undone(self, path: str) -> None:
        """Forget what was to be taken back, as something else takes its place."""
        if path in self._undoing:
            await cancel_and_wait(self._undoing[path])


class _Draft:
    """A node on its way to being published."""

    def __init__(self, path: str, data: bytes, acl: list[Any] | None) -> None:
        self.sent = False
        self.path = path
        self._data = data
        self._acl = acl
        self._before: int | None = None

    async def publish(self, session: Session) -> int:
        """Put the node in place of one of the same name, at once; return the number of its birth.

        ZooKeeper cannot hand a node from one session to another, so it is made anew.
        """
        errors = kazoo("exceptions")
        for left in reversed(range(_TRIES)):
            stat = await session.send("exists_async", self.path)
            self._before = None if stat is None else stat.czxid
            transaction = session.transaction()
            if stat is not None:
                transaction.delete(self.path, version=stat.version)
            transaction.create(self.path, self._data, acl=self._acl, ephemeral=True)
            self.sent = True
            try:
                await session.commit(transaction)
                break
            except (errors.NoNodeError, errors.NodeExistsError, errors.BadVersionError):
                if not left:
                    raise
            await self._make_ancestors(session)
        stat = await session.send("exists_async", self.path)
        if stat is None or stat.ephemeralOwner != session.number:
            return _SUPERSEDED
        return int(stat.czxid)

    async def take_back(self, session: Session) -> None:
        """Remove the node if it was published after all."""
        errors = kazoo("exceptions")
        await session.live()
        stat = await session.send("exists_async", self.path)
        if stat is None or stat.czxid == self._before or stat.ephemeralOwner != session.number:
            return
        with suppress(errors.NoNodeError, errors.BadVersionError):
            await session.send("delete_async", self.path, version=stat.version)

    async def _make_ancestors(self, session: Session) -> None:
        errors = kazoo("exceptions")
        for path in layout.ancestors(self.path):
            if await session.send("exists_async", path) is None:
                with suppress(errors.NodeExistsError):
                    await session.send("create_async", path, b"", acl=self._acl)


class _Publication:
    def __init__(self, connection: Connection, session: Session, path: str, number: int) -> None:
        self._connection = connection
        self._session = session
        self._path = path
        self._number = number

    @property
    def ttl(self) -> float | None:
        return self._connection.ttl

    async def renew(self) -> None:
        # kazoo sends the heartbeats. This finds out whether the node still is the one it made.
        if not await self._stands(self._session):
            raise RegistrationLost(f"{self._path} is gone, or somebody else has taken its place")

    async def lost(self) -> None:
        """Return when the node is gone; raises when the connection is, as nothing is heard then."""
        folder: Folder[None] = Folder(self._connection, self._path, _nothing, own=True)
        try:
            state = await folder.read()  # first, so that no end falls between the two
            while await self._stands(self._session):
                await folder.changed(state.token)
                state = await folder.read()
        finally:
            await folder.aclose()

    async def withdraw(self) -> None:
        errors = kazoo("exceptions")
        async with self._connection.asking(f"withdraw {self._path}") as session:
            stat = await session.send("exists_async", self._path)
            if stat is not None and stat.czxid == self._number:
                with suppress(errors.NoNodeError, errors.BadVersionError):
                    await session.send("delete_async", self._path, version=stat.version)

    async def _stands(self, session: Session) -> bool:
        if session.over:
            return False
        async with self._connection.asking(f"check {self._path}", session):
            stat = await session.send("exists_async", self._path)
        return stat is not None and stat.czxid == self._number


def _nothing(_name: str, _data: bytes, _version: object) -> None:
    return None


if TYPE_CHECKING:
    _registry: type[Registry] = ZooKeeperRegistry
