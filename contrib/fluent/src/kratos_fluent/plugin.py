"""The plug-in ``fluent`` of the group ``kratos.log``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kratos.log.line import Format

if TYPE_CHECKING:
    from kratos.url import Url
    from kratos_fluent.logger import FluentLogger

__all__ = ["logger"]


def logger(*, format: Format = "auto", url: Url | None = None) -> FluentLogger:  # noqa: A002, ARG001
    """Return a logger that writes all levels to what a URL names, or to a Fluentd on this machine.

    Args:
        format: Of lines, which this does not write.
        url: See ``FluentLogger.from_url``.

    Raises:
        ConfigError: The URL has something that there is not.
    """
    from kratos_fluent.logger import FluentLogger

    return FluentLogger() if url is None else FluentLogger.from_url(url)
