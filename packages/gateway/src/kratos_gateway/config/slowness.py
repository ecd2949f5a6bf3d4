"""Expressions whose time grows with more than the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint, Middleware
from kratos_gateway.expressions import NoExpressionError, compiled
from kratos_gateway.routing.pattern import HostPattern, PathPattern

__all__ = ["slow_expressions"]


def slow_expressions(
    endpoints: Sequence[Endpoint], middlewares: Sequence[Middleware] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the place of each expression that may be slow, and what may happen.

    What is no expression is passed over.

    Args:
        endpoints: Of a configuration.
        middlewares: Around all of them.
    """
    yield from _of_middleware("", middlewares)
    for at, endpoint in enumerate(endpoints):
        place = f"endpoints[{at}]."
        for field, text in _of_endpoint(endpoint):
            yield f"{place}{field}", text
        yield from _of_middleware(place, endpoint.middlewares)


def _of_endpoint(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    for field, pattern in (("path", endpoint.path), ("host", endpoint.host)):
        if ":" in pattern and (text := _of_pattern(field, pattern)) is not None:
            yield field, text
    for at, match in enumerate(endpoint.match):
        if match.regex and (text := _of_expression(match.regex)) is not None:
            yield f"match[{at}].regex", text


def _of_pattern(field: str, text: str) -> str | None:
    try:
        pattern = PathPattern.parse(text) if field == "path" else HostPattern.parse(text)
    except ConfigError:
        return None
    return None if pattern.expression is None else pattern.expression.slow


def _of_expression(text: str, *, anywhere: bool = False) -> str | None:
    try:
        return compiled(text, anywhere=anywhere).slow
    except NoExpressionError:
        return None


def _of_middleware(place: str, listed: Sequence[Middleware]) -> Iterator[tuple[str, str]]:
    # Imported on use: few configurations have such middleware.
    from kratos_gateway.api.rewrite_pb2 import Rewrite
    from kratos_gateway.middleware.options import options_of

    kind = Rewrite.DESCRIPTOR.full_name
    for at, each in enumerate(listed):
        if each.options.TypeName() != kind:
            continue
        try:
            pattern = options_of(each.options, Rewrite).regex_rewrite.pattern
        except ConfigError:
            continue
        if pattern and (text := _of_expression(pattern, anywhere=True)) is not None:
            yield f"{place}middlewares[{at}].options.regex_rewrite.pattern", text
