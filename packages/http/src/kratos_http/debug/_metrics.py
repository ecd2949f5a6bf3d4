"""What a scraper of metrics gets."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

from kratos.errors import ConfigError
from kratos.transport.http import Head, Reply
from kratos_http._endpoints import Function

__all__ = ["Metrics", "Negotiating", "Rendering", "metrics_endpoint"]

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


@runtime_checkable
class Rendering(Protocol):
    """What shows its figures as text.

    One that has a ``content_type`` is served as that, else as Prometheus' text format.
    """

    def render(self) -> str | bytes | Awaitable[str | bytes]:
        """Return the present figures; runs on the event loop and must not block."""
        ...


@runtime_checkable
class Negotiating(Protocol):
    """What ``Rendering`` objects have besides if they know several formats; optional."""

    def render_as(self, accept: str, /) -> Awaitable[tuple[str | bytes, str]]:
        """Return the present figures, and their content type.

        Args:
            accept: The header of that name, several of them with commas in between; empty if
                there is none.
        """
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
    shown: object = metrics
    if isinstance(shown, Negotiating):
        return _negotiated(shown)
    kind = str(getattr(shown, "content_type", _PROMETHEUS))

    async def answer(_head: Head, _body: bytes) -> Reply:
        rendered = render()
        return _reply(await rendered if inspect.isawaitable(rendered) else rendered, kind)

    return Function(answer, max_body=0)


def _negotiated(metrics: Negotiating) -> Function:
    async def answer(head: Head, _body: bytes) -> Reply:
        return _reply(*await metrics.render_as(_accept(head)))

    return Function(answer, max_body=0)


def _reply(rendered: str | bytes, kind: str) -> Reply:
    headers = ((b"content-type", kind.encode("latin-1")), (b"cache-control", b"no-store"))
    return Reply(200, headers, rendered.encode() if isinstance(rendered, str) else rendered)


def _accept(head: Head) -> str:
    values = (value for name, value in head.headers if name == b"accept")
    return b",".join(values).decode("latin-1")
