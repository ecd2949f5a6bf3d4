"""The table of codecs by name, and the choice among them by header."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

from kratos import plugins
from kratos._built_in import BUILT_IN
from kratos.encoding._codec import Codec
from kratos.encoding._content import candidates, content_type, ranked
from kratos.encoding._text_cache import TextCache
from kratos.errors import ConfigError

__all__ = ["DEFAULT", "Codecs", "Selection"]

_GROUP: Final = "kratos.encoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A chosen codec and the content type to announce it by."""

    codec: Codec
    content_type: str


class Codecs:
    """Codecs by name: registered ones, then built-in ones, then those of plug-ins.

    Each is imported when it is first asked for: a gRPC server never loads YAML. What is
    installed is looked at once, when a name is first asked for that is not built in.

    A server with formats or options of its own takes ``DEFAULT.copy()`` and registers
    them there. Choices are remembered per header text, within bounds, so a look-up per
    request is one look-up in a dictionary.
    """

    __slots__ = ("_accepted", "_codecs", "_found", "_installed")

    def __init__(self) -> None:
        self._codecs: dict[str, Codec] = {}
        self._found: TextCache[Codec | None] = TextCache(self._find)
        self._accepted: dict[str, TextCache[Selection]] = {}
        self._installed: frozenset[str] | None = None

    def copy(self) -> Codecs:
        """Return a table with the same codecs, to be changed by itself."""
        other = Codecs()
        other._codecs.update(self._codecs)
        return other

    def register(self, codec: Codec) -> None:
        """Add a codec under its lower-cased name; a later one replaces an earlier one.

        Raises:
            ValueError: There is no codec, or it has no name.
        """
        name = getattr(codec, "name", "")
        if not name:
            raise ValueError(f"{codec!r} cannot be registered: a codec needs a name")
        self._codecs[name.lower()] = codec
        self._found.clear()
        self._accepted.clear()

    def get(self, name: str) -> Codec | None:
        """Return the codec of that name, which must be in lower case as in Go.

        Raises:
            PluginConflict: Two distributions claim the name.
            PluginLoadError: The plug-in of that name failed to import.
            ConfigError: It is no codec of that name.
        """
        codec = self._codecs.get(name)
        if codec is None:
            codec = _built_in(name) or self._plugged_in(name)
            if codec is not None:
                self._codecs[name] = codec
        return codec

    def find(self, content_type: str) -> Codec | None:
        """Return the codec of a ``Content-Type`` value, ``None`` if there is none.

        Go's rule decides where it finds a codec; else capitals, spaces and ``+json``
        suffixes are understood too.
        """
        return self._found(content_type)

    def select(self, accept: Iterable[str], *, fallback: str = "json") -> Selection:
        """Choose the codec of a reply.

        Args:
            accept: The ``Accept`` header, as one text or as its values. Weights are honoured,
                which Go ignores.
            fallback: Name of the codec for a header that is absent, names no codec, or
                takes anything (``*/*``).

        Raises:
            ValueError: There is no codec of the fallback's name.
        """
        cache = self._accepted.get(fallback)
        if cache is None:
            cache = TextCache(partial(self._choose, fallback))
            self._accepted[fallback] = cache
        return cache(accept if isinstance(accept, str) else ",".join(accept))

    def _plugged_in(self, name: str) -> Codec | None:
        # Peers choose the names: one that nobody announces must cost no more than this look-up.
        if self._installed is None:
            self._installed = frozenset(plugin.name for plugin in plugins.find(_GROUP))
        if name not in self._installed:
            return None
        codec = plugins.load(_GROUP, name)
        if getattr(codec, "name", None) != name:
            raise ConfigError(f"the plug-in {name!r} of {_GROUP} is {codec!r}, no codec {name!r}")
        return codec

    def _find(self, content_type: str) -> Codec | None:
        return self._first(candidates(content_type))

    def _choose(self, fallback: str, accept: str) -> Selection:
        codec = None
        for media in ranked(accept):
            name = media.lower()
            if name in ("*/*", "application/*"):
                break
            codec = self._first(candidates(media))
            if codec is not None:
                break
        codec = codec or self.get(fallback)
        if codec is None:
            raise ValueError(f"there is no codec {fallback!r} to fall back on: register it")
        return Selection(codec=codec, content_type=content_type(codec.name))

    def _first(self, names: Iterable[str]) -> Codec | None:
        return next((codec for codec in map(self.get, names) if codec is not None), None)


def _built_in(name: str) -> Codec | None:
    target = BUILT_IN[_GROUP].get(name)
    if target is None:
        return None
    module, _, attribute = target.partition(":")
    codec: Codec = getattr(import_module(module), attribute)
    return codec


DEFAULT: Final = Codecs()
