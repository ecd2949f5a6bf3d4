"""Which back ends of an endpoint never get a request, as earlier ones have their nodes."""

from __future__ import annotations

from collections.abc import Iterator

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Backend, Endpoint
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.targets import read_target

__all__ = ["node_troubles"]


def node_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell which back ends have no node of their own: a node belongs to the first that names it."""
    addresses: dict[str, int] = {}
    services: dict[str, list[int]] = {}
    for at, backend in enumerate(endpoint.backends):
        try:
            target = read_target(backend.target, secure=backend.tls)
        except ConfigError:
            continue  # which is told of the target itself
        if target.service:
            earlier = services.setdefault(target.service, [])
            taker = next(
                (each for each in earlier if _takes(endpoint.backends[each], backend)), None
            )
            earlier.append(at)
            if taker is not None:
                text = (
                    f"it gets no request: backends[{taker}] comes before it and has all of its "
                    "instances; give both labels that differ, or move this one up"
                )
                yield Trouble(f"backends[{at}]", text, fatal=False)
            continue
        known = [addresses[each] for each in target.addresses if each in addresses]
        if target.addresses and len(known) == len(target.addresses):
            text = (
                f"it gets no request: backends[{known[0]}] has its address already; leave it out, "
                "and give that one the weight of both"
            )
            yield Trouble(f"backends[{at}]", text, fatal=False)
        for address in target.addresses:
            addresses.setdefault(address, at)


def _takes(earlier: Backend, later: Backend) -> bool:
    """Tell whether all instances of a back end are those of an earlier one."""
    return not earlier.subset_size and dict(earlier.labels).items() <= dict(later.labels).items()
