"""The endpoints of a gateway: the first that was declared among those that fit a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kratos.transport.http import Head
from kratos_gateway.routing._paths import ConditionalSearch, Entry, PathIndex, Search
from kratos_gateway.routing.conditions import Conditions
from kratos_gateway.routing.particulars import Particulars, SchemeOf, scheme_of_connection
from kratos_gateway.routing.pattern import HostPattern, PathPattern, without_port

__all__ = ["Found", "Table"]

T = TypeVar("T")

_ANY: Final = ("", "*")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a table knows for a request.

    Attributes:
        value: Of the first route that fits; ``None`` if none does.
        redirect: Whether it fits but for the slash at the end of the path.
        other_method: Whether one fits but for its method.
    """

    value: T | None
    redirect: bool = False
    other_method: bool = False


class Table(Generic[T]):
    """Routes in the order of their declaration, which alone decides among those that fit.

    What a search takes depends on the path, not on the number of routes, but for routes whose
    variables are no whole segments, or whose hosts have variables, and for routes of one path that
    differ in their conditions.

    Args:
        strict_slash: Whether a path that fits but for a slash at its end is found, as a redirect.
        scheme_of: Tells by which scheme a client came, for conditions on it.
    """

    def __init__(
        self, *, strict_slash: bool = False, scheme_of: SchemeOf = scheme_of_connection
    ) -> None:
        self._strict_slash = strict_slash
        self._scheme_of = scheme_of
        self._conditional = False
        self._count = 0
        self._anywhere: PathIndex[T] = PathIndex()
        self._hosts: dict[str, PathIndex[T]] = {}
        self._ported = False
        self._templates: list[tuple[HostPattern, PathIndex[T]]] = []

    def __len__(self) -> int:
        return self._count

    def add(
        self,
        path: str,
        value: T,
        *,
        method: str = "",
        host: str = "",
        conditions: Conditions | None = None,
    ) -> None:
        """Declare a route, after those that there are.

        Args:
            path: Its pattern.
            value: What is found by it.
            method: In upper or lower case; empty or ``*`` for all. ``OPTIONS`` fits besides.
            host: Pattern of its hosts; empty for all.
            conditions: What a request has to fulfil besides; ``None`` for nothing.

        Raises:
            ConfigError: A pattern is none.
        """
        pattern = PathPattern.parse(path)
        index = self._index_of(host)
        methods = None if method in _ANY else frozenset((method.upper(), "OPTIONS"))
        index.add(pattern, Entry(self._count, methods, value, conditions=conditions))
        toggled = pattern.toggled() if self._strict_slash else None
        if toggled is not None:
            entry = Entry(self._count, methods, value, redirect=True, conditions=conditions)
            index.add(toggled, entry)
        self._conditional = self._conditional or conditions is not None
        self._count += 1

    def find(self, path: str, *, method: str, host: str = "", head: Head | None = None) -> Found[T]:
        """Return the first route that fits.

        What a browser asks before a request (CORS) has neither the headers of that nor cookies.
        Where nothing fits it, it finds the first route whose other conditions it fulfils.

        Args:
            path: Decoded and clean.
            method: As it was sent.
            host: With its port, if the request names one.
            head: What conditions look at; needed if there are some.
        """
        search: Search[T]
        if self._conditional:
            assert head is not None, "conditions need something to look at"
            search = ConditionalSearch(path, method, Particulars(head, self._scheme_of))
        else:
            search = Search(path, method)
        while True:
            self._anywhere.find(search)
            if self._hosts or self._templates:
                self._find_by_host(search, host.lower())
            best = search.best
            if best is not None:
                return Found(best.value, redirect=best.redirect)
            if not search.relax():
                return Found(None, other_method=search.other_method)

    def _find_by_host(self, search: Search[T], host: str) -> None:
        bare = without_port(host)
        for name in (bare, host) if self._ported and bare != host else (bare,):
            index = self._hosts.get(name)
            if index is not None:
                index.find(search)
        for pattern, index in self._templates:
            if index.least < search.at and pattern.matches(host):
                index.find(search)

    def _index_of(self, host: str) -> PathIndex[T]:
        if not host:
            return self._anywhere
        pattern = HostPattern.parse(host)
        if pattern.literal is not None:
            self._ported = self._ported or pattern.with_port
            return self._hosts.setdefault(pattern.literal, PathIndex())
        for known, index in self._templates:
            if known.text == host:
                return index
        index = PathIndex[T]()
        self._templates.append((pattern, index))
        return index
