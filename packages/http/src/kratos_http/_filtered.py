"""Filters around single endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kratos.transport.http import Endpoint, Head, HttpApplication
from kratos_http._choice import Choosing

__all__ = ["Filter", "Filtered"]

Filter: TypeAlias = Callable[[HttpApplication], HttpApplication]
"""Wraps what is served, and returns what is served instead."""


class Filtered(Choosing):
    """An endpoint within filters, which see it as an application that leads nowhere else.

    Args:
        endpoint: What answers in the end.
        filters: The first outermost.
    """

    __slots__ = ("_application",)

    def __init__(self, endpoint: Endpoint, filters: Sequence[Filter]) -> None:
        application: HttpApplication = _Only(endpoint)
        for wrap in reversed(filters):
            application = wrap(application)
        self._application = application

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
