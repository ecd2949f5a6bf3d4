"""Configuration: where it comes from, what it is, and who follows its changes.

A ``Source`` supplies primitives over one place; the loop over it is ``kratos.watch.Feed``. What
all sources say together is a ``Snapshot``, which never changes: a change is a new one.
"""

from kratos.config._interface import KeyValue, Observer, Participant, Prepared, Source
from kratos.config._snapshot import Snapshot

__all__ = ["KeyValue", "Observer", "Participant", "Prepared", "Snapshot", "Source"]
