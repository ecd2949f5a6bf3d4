"""What a scraper of metrics gets."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

from kratos.errors import ConfigError
from kratos.transport.http import Head, Reply
from kratos_http._endpoints import Function

__all__ = ["Metrics", "Rendering", "metrics_endpoint"]

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


@runtime_checkable
class Rendering(Protocol):
    """What shows its figures as text.

    One that has a ``content_type`` is served as that, else as Prometheus' text format.
    """

    def render(self) -> str | bytes | Awaitable[str | bytes]:
        """Return the present figures; runs on the event loop and must not block."""
        ...


Metrics: TypeAlias = Rendering | Callable[[], str | bytes | Awaitable[str | bytes]]


def metrics_endpoint(metrics: Metrics) -> Function:
    """Return what serves metrics.

    Raises:
        ConfigError: They cannot be rendered.
    """
    render = metrics.render if isinstance(metrics, Rendering) else metrics
    if not callable(render):
        raise ConfigError(
            f"metrics is a function, or an object with render(), and {metrics!r} is neither"
        )
    kind = str(getattr(metrics, "content_type", _PROMETHEUS))
    headers = ((b"content-type", kind.encode("latin-1")), (b"cache-control", b"no-store"))

    async def answer(_head: Head, _body: bytes) -> Reply:
        rendered = render()
        if inspect.isawaitable(rendered):
            rendered = await rendered
        return Reply(200, headers, rendered.encode() if isinstance(rendered, str) else rendered)

    return Function(answer, max_body=0)
