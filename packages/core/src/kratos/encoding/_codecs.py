"""The table of codecs by name, and the choice among them by header."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

from kratos import plugins
from kratos._built_in import BUILT_IN
from kratos.encoding._codec import Codec
from kratos.encoding._content import candidates, content_type, wishes
from kratos.encoding._text_cache import TextCache
from kratos.errors import ConfigError

__all__ = ["DEFAULT", "Codecs", "Selection"]

_GROUP: Final = "kratos.encoding"
_ANY: Final = "*"  # what a wildcard stands for, among names
_READABLE: Final = ("json", "protojson", "yaml", "xml")  # by everybody, without a definition


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
        return self._found[content_type]

    def select(self, accept: Iterable[str], *, fallback: str = "json") -> Selection:
        """Choose the codec of a reply.

        Args:
            accept: The ``Accept`` header, as one text or as its values. Weights are honoured,
                ``q=0`` and wildcards too, which Go ignores.
            fallback: Name of the codec for a header that is absent, takes anything (``*/*``),
                or takes nothing that there is: Go's servers do not answer 406 either.

        Raises:
            ValueError: There is no codec of the fallback's name.
        """
        cache = self._accepted.get(fallback)
        if cache is None:
            cache = TextCache(partial(self._choose, fallback))
            self._accepted[fallback] = cache
        return cache[accept if isinstance(accept, str) else ",".join(accept)]

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
        """Work out which codec an ``Accept`` header wants most; of equal ones the first.

        What is named has its own weight, whatever a wildcard says of the rest, and of two
        wildcards the narrower one counts. Nothing acceptable is answered in the fallback, as in
        Go: an answer in an unwanted format helps more than 406.
        """
        ranges = wishes(accept)
        weights: dict[str, float] = {}
        narrow = any(wish.is_any and wish.media != "*/*" for wish in ranges)
        for wish in ranges:
            if not wish.is_any:
                codec = self._first(wish.names)
                if codec is not None:
                    weights[codec.name] = max(weights.get(codec.name, 0.0), wish.weight)
            elif wish.media != "*/*" or not narrow:
                weights.setdefault(_ANY, wish.weight)
        for name in sorted(weights, key=weights.__getitem__, reverse=True):
            if weights[name] > 0:
                chosen = self._any_but(weights, fallback) if name is _ANY else self.get(name)
                if chosen is not None:
                    return Selection(codec=chosen, content_type=content_type(chosen.name))
        codec = self.get(fallback)
        if codec is None:
            raise ValueError(f"there is no codec {fallback!r} to fall back on: register it")
        return Selection(codec=codec, content_type=content_type(codec.name))

    def _any_but(self, named: Container[str], fallback: str) -> Codec | None:
        """Return what a wildcard stands for, which is none of those that are named."""
        return self._first(name for name in (fallback, *_READABLE) if name not in named)

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
