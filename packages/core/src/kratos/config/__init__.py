"""Configuration: where it comes from, what it is, and who follows its changes.

A ``Source`` supplies primitives over one place; the loop over it is ``kratos.watch.Feed``. A
``Config`` merges what all sources say into a ``Snapshot``, which never changes: a change is a new
one, in force everywhere or nowhere.
"""

from kratos.config._from_url import from_url
from kratos.config._interface import KeyValue, Observer, Participant, Prepared, Source, format_of
from kratos.config._secret import Secret
from kratos.config._snapshot import Snapshot
from kratos.config.arguments import ArgumentsSource
from kratos.config.config import Config
from kratos.config.env import EnvSource
from kratos.config.file import FileSource
from kratos.config.memory import MemorySource

__all__ = [
    "ArgumentsSource",
    "Config",
    "EnvSource",
    "FileSource",
    "KeyValue",
    "MemorySource",
    "Observer",
    "Participant",
    "Prepared",
    "Secret",
    "Snapshot",
    "Source",
    "format_of",
    "from_url",
]
