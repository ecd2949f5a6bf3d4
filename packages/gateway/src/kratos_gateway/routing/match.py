"""Conditions on headers, query, cookies and scheme of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Match
from kratos_gateway.expressions import NoExpressionError, compiled
from kratos_gateway.routing.particulars import Particulars

__all__ = ["MatchCondition"]

_Look: TypeAlias = "Callable[[Particulars], Sequence[str]]"
_Test: TypeAlias = "Callable[[str], bool]"

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SCHEMES: Final = ("http", "https")


class MatchCondition:
    """One condition of an endpoint, understood.

    Of several values, as of a header that stands there twice, one has to fit. An inverted
    condition fits where none of them does, so that a second value cannot hide the first.

    Args:
        told: As the configuration has it.

    Attributes:
        preflight: Whether it holds for what a browser asks before a request (CORS), too: that has
            neither the headers of the request nor cookies.

    Raises:
        ConfigError: It is none; says what is wrong.
    """

    __slots__ = ("_absent", "_invert", "_look", "_test", "preflight")

    def __init__(self, told: Match) -> None:
        self.preflight: Final = told.WhichOneof("of") in ("query", "scheme")
        self._look = _look_of(told)
        self._test = _test_of(told)
        self._absent = told.WhichOneof("test") == "present" and not told.present
        self._invert = told.invert

    def fits(self, asked: Particulars) -> bool:
        """Tell whether a request fulfils it."""
        values = self._look(asked)
        test = self._test
        found = bool(values) if test is None else any(test(value) for value in values)
        return found != (self._invert != self._absent)


def _look_of(told: Match) -> _Look:
    kind = told.WhichOneof("of")
    if kind == "scheme":
        if told.scheme not in _SCHEMES:
            raise ConfigError(f"scheme is http or https, not {told.scheme!r}")
        return lambda asked: (asked.scheme,)
    if kind is None:
        raise ConfigError("it names nothing: write a header, a query, a cookie or a scheme")
    name: str = getattr(told, kind)
    if not name:
        raise ConfigError(f"{kind} is empty: write its name")
    if kind == "query":
        return lambda asked: asked.query(name)
    if not _TOKEN.fullmatch(name):
        raise ConfigError(f"{kind}: {name!r} is no name: letters, digits, - and _ are")
    if kind == "cookie":
        return lambda asked: asked.cookie(name)
    key = name.lower().encode()
    return lambda asked: asked.header(key)


def _test_of(told: Match) -> _Test | None:
    """Return what tells whether a value fits; ``None`` if all do."""
    kind = told.WhichOneof("test")
    if told.WhichOneof("of") == "scheme":
        if kind is not None:
            raise ConfigError(f"scheme takes no {kind}: it is compared as it is")
        return told.scheme.__eq__
    if kind is None or kind == "present":
        return None
    wanted: str = getattr(told, kind)
    if kind == "exact":
        return wanted.__eq__
    if not wanted:
        raise ConfigError(f"{kind} is empty, so all fits: write present: true")
    if kind == "regex":
        try:
            return compiled(wanted).fits
        except NoExpressionError as error:
            raise ConfigError(f"regex {wanted!r} is no expression: {error}") from error
    if kind == "prefix":
        return lambda value: value.startswith(wanted)
    return lambda value: value.endswith(wanted)
