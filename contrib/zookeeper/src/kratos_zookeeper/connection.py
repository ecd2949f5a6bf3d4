"""The way to ZooKeeper: a session when one is needed, limits on all waits, errors with advice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeAlias

from kratos.address import endpoints_of
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, KratosError
from kratos.limit import Limit, describe
from kratos.options import require_number
from kratos.tls import ClientTls, client_tls_of
from kratos.url import Options, Url, expand_env, parse_url
from kratos_zookeeper.clients import Words, kazoo, make_clients
from kratos_zookeeper.session import Session, SessionOver

__all__ = ["SESSION_TIMEOUT", "TIMEOUT", "Connection", "Hosts", "KazooClient", "given_by"]

TIMEOUT: Final = 5.0
SESSION_TIMEOUT: Final = 10.0

_PORT: Final = 2181


class KazooClient(Protocol):
    """What tells a ``kazoo.client.KazooClient`` from lists of hosts."""

    @property
    def chroot(self) -> str:
        """What its paths begin with."""
        ...


Hosts: TypeAlias = "Sequence[str] | KazooClient"


class Connection:
    """Opens a session at the first use, and another one when that is over.

    Args:
        hosts: Where servers are, as ``host:port``; or a client of kazoo, which stays its owner's.
        path: What is reached there, for its name.
        user: Who to be, of the scheme ``digest``; ``None``: nobody.
        password: The password.
        tls: What makes the connection TLS.
        session_timeout: Seconds of silence after which ZooKeeper ends a session.
        timeout: Seconds for one operation, connecting included.
        clock: Time for ``timeout``.
        error: What is raised when ZooKeeper does not do what it is asked for.

    Attributes:
        credentials: User and password, if there are any.
        owned: Whether its sessions are its own.
        ttl: Seconds of silence after which ZooKeeper ends a session.

    Raises:
        ConfigError: An option is out of range, or does not fit another one.
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        path: str,
        user: str | None,
        password: str | None,
        tls: ClientTls | None,
        session_timeout: float,
        timeout: float,
        clock: Clock,
        error: type[Exception],
    ) -> None:
        for option, value in (("session_timeout", session_timeout), ("timeout", timeout)):
            require_number(option, value, above=0, finite=True)
        self.credentials = _credentials(user, password)
        self.owned = isinstance(hosts, Sequence)
        self.clock = clock
        self.error = error
        self._timeout = timeout
        self._words = Words()
        auth = ":".join(self.credentials) if self.credentials else None
        if isinstance(hosts, Sequence):
            names: Sequence[str] = endpoints_of(hosts, port=_PORT, option="hosts")
            self.ttl = session_timeout
            self._make = make_clients(
                names, session_timeout=session_timeout, auth=auth, tls=tls, words=self._words
            )
        else:
            if tls is not None or session_timeout != SESSION_TIMEOUT:
                raise ConfigError("tls and session_timeout are matters of the client that is given")
            names, self.ttl, self._make = _taken(hosts, auth)
        self._name = f"zookeeper{'s' if tls else ''}://{','.join(names)}{path}"
        self._session: Session | None = None
        self._old: list[Session] = []
        self._closed = False

    def __str__(self) -> str:
        return self._name

    def session(self) -> Session:
        """Return a session that is not over, connected or not.

        Raises:
            Exception: This is closed; of the class ``error``.
        """
        if self._closed:
            raise self.error(f"{self} is closed")
        if self._session is None or self._session.over:
            self._old = [one for one in self._sessions() if not one.closed]
            self._session = Session(self._make(), timeout=self.ttl, owned=self.owned)
        return self._session

    @asynccontextmanager
    async def asking(self, action: str, session: Session | None = None) -> AsyncGenerator[Session]:
        """Give the block a connected session, a limit of time, and errors that say what to do."""
        errors = kazoo("exceptions")
        limit = Limit(self.clock, self._timeout)
        try:
            async with limit:
                if session is None:
                    session = await self._live()
                else:
                    await session.live()
                yield session
        except KratosError:
            raise
        except TimeoutError as error:
            if not limit.expired:  # of the socket of kazoo
                raise self._failed(action, "the connection was lost") from error
            words = self._words.last if self.owned else "is the client of kazoo started?"
            session = session or self._session
            if not words and not (session and session.number):
                # kazoo waits for what it takes to be coming
                words = "it has never answered: is that a ZooKeeper?"
            raise self._failed(
                action, f"no answer within {self._timeout:g} s{words and f' ({words})'}"
            ) from error
        except SessionOver as error:
            raise self._failed(action, "the session is over") from error
        except errors.NoAuthError as error:
            who = "this user" if self.credentials else "whoever gives no user and password"
            raise self._failed(action, f"{who} may not; see the ACL of the node") from error
        except errors.KazooException as error:
            raise self._failed(action, describe(error)) from error

    async def _live(self) -> Session:
        """Return a connected session, which is another one if the one at hand is found over."""
        at_hand, session = self._session, self.session()
        try:
            await session.live()
        except SessionOver:
            if session is not at_hand:
                raise  # a new one that is refused would be so again
            session = self.session()
            await session.live()
        return session

    async def aclose(self) -> None:
        """End all sessions; idempotent."""
        self._closed = True
        await asyncio.gather(*(one.aclose(timeout=self._timeout) for one in self._sessions()))

    def _sessions(self) -> list[Session]:
        return [*self._old, *([] if self._session is None else [self._session])]

    def _failed(self, action: str, reason: str) -> Exception:
        return self.error(f"{self} did not {action}: {reason}")


def given_by(url: str | Url, *, path: str) -> tuple[str, dict[str, Any]]:
    """Return the path of a URL, and its other parts as options of a ``Connection``.

    Args:
        url: ``zookeeper://[user:password@]host[:port][,host[:port]...][/path]``, ``zookeepers``
            for TLS; with ``session_timeout``, ``timeout`` and PEM files ``ca``, ``certificate``
            and ``key``.
        path: In place of none.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
    """
    parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
    options = Options(parsed)
    if not parsed.hosts:
        raise ConfigError(f"{parsed}: write zookeeper://host:port, with at least one host")
    found = {
        "hosts": parsed.addresses(_PORT),
        "user": parsed.username,
        "password": parsed.password,
        "tls": client_tls_of(parsed, options, scheme="zookeepers"),
        "session_timeout": options.duration("session_timeout", default=SESSION_TIMEOUT),
        "timeout": options.duration("timeout", default=TIMEOUT),
        "clock": SYSTEM_CLOCK,
    }
    options.finish()
    return parsed.path.rstrip("/") or path, found


def _taken(client: Any, auth: str | None) -> tuple[Sequence[str], float, Callable[[], Any]]:
    """Return where a client of kazoo connects to, its timeout, and what returns it."""
    if not callable(getattr(client, "add_listener", None)):
        raise ConfigError(f"hosts={client!r} must be a list of host:port, or a KazooClient")

    def take() -> Any:
        login = ("digest", auth)
        if auth and login not in client.auth_data:
            client.add_auth_async(*login)
        return client

    hosts = [f"{host}:{port}" for host, port in client.hosts]
    if client.chroot:
        hosts[-1] += client.chroot
    return hosts, getattr(client, "_session_timeout", SESSION_TIMEOUT * 1000) / 1000, take


def _credentials(user: str | None, password: str | None) -> tuple[str, str] | None:
    if not user and not password:
        return None
    if not user or not password or ":" in user:
        raise ConfigError("user and password go together, and a user has no colon")
    return user, password
