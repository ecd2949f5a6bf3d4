"""What the clients of one process share: watches, and registries made from URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from weakref import WeakKeyDictionary

from kratos.registry import Discovery, Registry, ServiceInstance, from_url, instance_feed
from kratos.watch import Feeds, Lease

__all__ = ["lease_instances", "open_registry"]


class _Opened:
    def __init__(self, url: str) -> None:
        self.registry: Registry = from_url(url)
        self.users = 0


class _Shared:
    def __init__(self) -> None:
        self.feeds: Feeds[Sequence[ServiceInstance]] = Feeds()
        self.registries: dict[str, _Opened] = {}


# Nothing of this outlives the run of its event loop.
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


def lease_instances(discovery: Discovery, service: str) -> Lease[Sequence[ServiceInstance]]:
    """Return the instances of a service; clients of one discovery share one watch."""
    return _shared().feeds.lease(
        (id(discovery), service), lambda: instance_feed(discovery, service)
    )


def open_registry(url: str, stack: AsyncExitStack) -> Registry:
    """Return the registry of a URL, the same for equal URLs; ``stack`` gives it back.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
        PluginNotFound: No adapter for the scheme is installed; the text says what to install.
    """
    registries = _shared().registries
    opened = registries.get(url)
    if opened is None:
        opened = registries[url] = _Opened(url)
    opened.users += 1

    async def release() -> None:
        opened.users -= 1
        if not opened.users:
            del registries[url]
            await opened.registry.aclose()

    stack.push_async_callback(release)
    return opened.registry


def _shared() -> _Shared:
    loop = asyncio.get_running_loop()
    shared = _by_loop.get(loop)
    if shared is None:
        shared = _by_loop[loop] = _Shared()
    return shared
