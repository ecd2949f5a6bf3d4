"""The instances of services, each watched once, however many endpoints and configurations ask."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from kratos.registry import Discovery, ServiceInstance, instance_feed
from kratos.watch import Feeds, Lease

__all__ = ["lease_instances"]

# Nothing of this outlives the run of its event loop.
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Feeds[Sequence[ServiceInstance]]] = (
    WeakKeyDictionary()
)


def lease_instances(discovery: Discovery, service: str) -> Lease[Sequence[ServiceInstance]]:
    """Return the instances of a service; give the lease back. The last one ends the watch.

    A configuration takes its leases before the one that it replaces gives its own back, so no
    change of configuration interrupts a watch.
    """
    feeds = _by_loop.setdefault(asyncio.get_running_loop(), Feeds())
    return feeds.lease((id(discovery), service), lambda: instance_feed(discovery, service))
