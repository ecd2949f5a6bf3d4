"""Filters around single endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from kratos.transport.chain import listed
from kratos.transport.http import Endpoint, Head, HttpApplication
from kratos_http._choice import Choosing

__all__ = ["Filter", "Filtered", "filtered"]

Filter: TypeAlias = Callable[[HttpApplication], HttpApplication]
"""Wraps what is served, and returns what is served instead."""


def filtered(application: HttpApplication, filters: Sequence[Filter]) -> HttpApplication:
    """Return an application within filters, the first outermost.

    Raises:
        TypeError: One is no filter, for instance the class of one.
        ConfigError: They are no list.
    """
    for wrap in reversed(listed(filters, option="filters")):
        try:
            application = _whole(wrap(application), wrap)
        except TypeError as error:
            if isinstance(wrap, type):
                name = wrap.__name__
                raise TypeError(f"the filter {name} is a class: write {name}(...)") from error
            raise
    return application


def _whole(candidate: object, wrap: Filter) -> HttpApplication:
    if not callable(getattr(candidate, "route", None)):
        raise TypeError(
            f"{wrap!r} is no filter: it takes an application, and returns one, not {candidate!r}"
        )
    return cast("HttpApplication", candidate)


class Filtered(Choosing):
    """An endpoint within filters, which see it as an application that leads nowhere else.

    Args:
        endpoint: What answers in the end.
        filters: The first outermost.
    """

    __slots__ = ("_application",)

    def __init__(self, endpoint: Endpoint, filters: Sequence[Filter]) -> None:
        self._application = filtered(_Only(endpoint), filters)

    def choose(self, head: Head, /) -> Endpoint:
        """See ``Choosing``."""
        return self._application.route(head)


class _Only:
    """An application of one endpoint."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def route(self, head: Head, /) -> Endpoint:
        """Return it."""
        return self._endpoint
