"""What a request has to fulfil besides path, method and host, as an endpoint says."""

from __future__ import annotations

import random
from collections.abc import Sequence

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.routing.match import MatchCondition
from kratos_gateway.routing.particulars import Particulars
from kratos_gateway.routing.share import Draw, Share

__all__ = ["Conditions"]


class Conditions:
    """All conditions of one endpoint.

    Args:
        matches: Each has to fit.
        share: The request has to be in it; ``None`` for all.
    """

    __slots__ = ("_matches", "_preflight", "_share")

    def __init__(self, matches: Sequence[MatchCondition], share: Share | None) -> None:
        self._matches = tuple(matches)
        self._preflight = tuple(each for each in matches if each.preflight)
        self._share = share

    @classmethod
    def of(cls, endpoint: Endpoint, *, draw: Draw = random.random) -> Conditions | None:
        """Return the conditions of an endpoint; ``None`` if it has none.

        Args:
            endpoint: The endpoint.
            draw: Chance, for shares.

        Raises:
            ConfigError: One is none; says which, and what is wrong.
        """
        matches: list[MatchCondition] = []
        for at, each in enumerate(endpoint.match):
            try:
                matches.append(MatchCondition(each))
            except ConfigError as error:
                raise ConfigError(f"match[{at}]: {error}") from error
        share = Share.of(endpoint, draw)
        return cls(matches, share) if matches or share is not None else None

    def fulfilled(self, asked: Particulars, *, draw: bool) -> bool:
        """Tell whether a request fulfils them.

        Args:
            asked: The request.
            draw: Whether a share counts; without it the request is in each that is not empty.
        """
        for match in self._preflight if asked.lenient else self._matches:
            if not match.fits(asked):
                return False
        share = self._share
        if share is None:
            return True
        if not draw or asked.lenient:
            return not share.none
        return share.takes(asked)
