"""What may be wrong with the conditions of an endpoint, and with what it answers by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.routing.match import MatchCondition
from kratos_gateway.routing.pattern import PathPattern
from kratos_gateway.routing.share import Share

__all__ = ["answers_itself", "condition_troubles", "local_troubles"]

_OF_BACK_ENDS: Final = ("retry", "balancer")


def condition_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with the conditions of an endpoint."""
    for at, each in enumerate(endpoint.match):
        try:
            MatchCondition(each)
        except ConfigError as error:
            yield Trouble(f"match[{at}]", str(error))
    try:
        Share.of(endpoint)
    except ConfigError as error:
        text = str(error)
        yield Trouble("sticky" if text.startswith("sticky") else "percentage", text)


def answers_itself(endpoint: Endpoint) -> bool:
    """Tell whether an endpoint has an answer in place of back ends."""
    return endpoint.HasField("redirect") or endpoint.HasField("respond")


def local_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with what an endpoint answers by itself."""
    if not answers_itself(endpoint):
        return
    # Imported on use: few endpoints have such an answer.
    from kratos_gateway.proxy.local import local_of

    name = "redirect" if endpoint.HasField("redirect") else "respond"
    try:
        local_of(endpoint)
    except ConfigError as error:
        yield Trouble(name, str(error).removeprefix(f"{name}: "))
    else:
        if name == "redirect" and not endpoint.match and _leads_back(endpoint):
            text = (
                "it leads to what it redirects itself, again and again: write a match that where "
                "it leads does not fit, such as scheme: http"
            )
            yield Trouble(name, text, fatal=False)
    for field in _OF_BACK_ENDS:
        if endpoint.HasField(field):
            yield Trouble(field, "nothing reads it: there is no back end", fatal=False)


def _leads_back(endpoint: Endpoint) -> bool:
    told = endpoint.redirect
    if (told.host and told.host != endpoint.host) or endpoint.HasField("percentage"):
        return False
    place = told.path if told.WhichOneof("to") == "path" else f"{told.prefix}x"
    return not told.WhichOneof("to") or PathPattern.parse(endpoint.path).matches(place)
