"""Endpoints that are chosen by more than verb and path."""

from __future__ import annotations

from abc import abstractmethod

from kratos.transport.http import Endpoint, Head

__all__ = ["Choosing"]


class Choosing:
    """Stands for several endpoints; a router asks it for each request which one answers.

    So filters see what they know: an endpoint that is buffered, or streamed, or a WebSocket.
    """

    # No ABC: routers ask for each request whether an endpoint is one, and ABCs answer slowly.
    __slots__ = ()

    @abstractmethod
    def choose(self, head: Head, /) -> Endpoint:
        """Return what answers a request; never raises."""
        raise NotImplementedError
