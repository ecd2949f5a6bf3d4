"""Watching a value that lives elsewhere: what adapters supply, and the one loop over it.

An adapter gives a ``Watcher``, three primitives without a loop. ``Feed`` turns it into a value
that is always at hand: it reads, waits for changes, drops what did not change, backs off from
errors while the last good value stays, reads again now and then, and tells its listeners.
Registries and configuration sources share it.
"""

from kratos.watch._feed import Feed
from kratos.watch._sharing import Feeds, Lease
from kratos.watch._watcher import Versioned, Watcher

__all__ = ["Feed", "Feeds", "Lease", "Versioned", "Watcher"]
