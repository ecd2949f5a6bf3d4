"""A share of the requests to an endpoint: by chance, or the same callers each time."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint, Sticky
from kratos_gateway.routing.particulars import Particulars

__all__ = ["Draw", "Share"]

Draw: TypeAlias = Callable[[], float]
"""Returns a number from 0 up to 1, any as likely as any other."""

_ALL: Final = 100.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WIDTH: Final = 8  # bytes of a digest
_ONE: Final = float(1 << (8 * _WIDTH))


class Share:
    """A share of requests.

    Who has the header or cookie of ``sticky`` is in it or not by the digest of its value, so in
    each process, on each gateway and after each start alike, and stays in it when it grows. Others
    are drawn.

    Args:
        percentage: From 0 to 100.
        sticky: What the draw goes by; ``None`` for chance alone.
        draw: Chance.

    Attributes:
        none: Whether it is empty.

    Raises:
        ConfigError: The percentage is out of its range, or there is no key; says so.
    """

    __slots__ = ("_draw", "_key", "_part", "_salt", "none")

    def __init__(self, percentage: float, sticky: Sticky | None, draw: Draw) -> None:
        if not 0 <= percentage <= _ALL:
            raise ConfigError(f"percentage is from 0 to 100, not {percentage:g}")
        self.none: Final = percentage == 0
        self._part = percentage / _ALL
        self._key = None if sticky is None else _key_of(sticky)
        self._salt = b"" if sticky is None else sticky.salt.encode()
        self._draw = draw

    @classmethod
    def of(cls, endpoint: Endpoint, draw: Draw = random.random) -> Share | None:
        """Return the share of an endpoint; ``None`` for all requests.

        Raises:
            ConfigError: As of the class, or ``sticky`` stands alone.
        """
        sticky = endpoint.sticky if endpoint.HasField("sticky") else None
        if not endpoint.HasField("percentage"):
            if sticky is not None:
                raise ConfigError("sticky is of a percentage: write one")
            return None
        return cls(endpoint.percentage, sticky, draw)

    def takes(self, asked: Particulars) -> bool:
        """Tell whether a request is in it."""
        values = () if self._key is None else self._key(asked)
        if not values or not values[0]:
            return self._draw() < self._part
        value = values[0].encode("utf-8", "surrogateescape")
        digest = blake2b(self._salt + b"\0" + value, digest_size=_WIDTH).digest()
        return int.from_bytes(digest, "big") < self._part * _ONE


def _key_of(sticky: Sticky) -> Callable[[Particulars], Sequence[str]]:
    kind = sticky.WhichOneof("key")
    if kind is None:
        raise ConfigError("sticky needs a key: name a header or a cookie")
    name: str = getattr(sticky, kind)
    if not _TOKEN.fullmatch(name):
        raise ConfigError(f"sticky.{kind}: {name!r} is no name: letters, digits, - and _ are")
    if kind == "cookie":
        return lambda asked: asked.cookie(name)
    key = name.lower().encode()
    return lambda asked: asked.header(key)
