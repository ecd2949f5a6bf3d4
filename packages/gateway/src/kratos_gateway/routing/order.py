"""The order in which endpoints are asked."""

from __future__ import annotations

from collections.abc import Sequence

from kratos_gateway.api.gateway_pb2 import Endpoint

__all__ = ["in_order"]


def in_order(endpoints: Sequence[Endpoint], /) -> list[tuple[int, Endpoint]]:
    """Return endpoints and their places, the first that is asked first.

    Those with a higher ``priority`` come before others; equal ones stay as they were declared.
    """
    return sorted(enumerate(endpoints), key=lambda each: -each[1].priority)
