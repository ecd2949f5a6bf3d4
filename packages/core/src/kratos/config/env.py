"""Environment variables as a source (Go: ``config/env``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kratos.config._constant import ConstantWatcher
from kratos.config._interface import KeyValue, Source
from kratos.errors import ConfigError
from kratos.url import Options, Url
from kratos.watch import Watcher

__all__ = ["EnvSource", "from_url"]


class EnvSource:
    """The environment variables of the process, as they are when it is asked.

    A name with dots nests, as every key without a format. Few shells can set such names, so
    ``nested`` names another separator: with ``EnvSource("APP_", nested="__")`` the variable
    ``APP_SERVER__HTTP__PORT`` is ``server.http.port``.

    Args:
        prefixes: Only variables that begin with one of them; the first that fits is cut off, and
            one ``_`` after it. Without any, all variables, with their names as they are.
        nested: Stands for the dot in names, which are lower-cased then; empty for neither.
        environ: Variables; by default those of the process.

    Raises:
        ConfigError: A prefix is no text, but a list of them for instance.
    """

    __slots__ = ("_environ", "_nested", "_prefixes")

    def __init__(
        self, *prefixes: str, nested: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        for prefix in prefixes:
            if not isinstance(prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"prefixes are texts: EnvSource('APP_', 'SHOP_'), not {prefix!r}")
        self._prefixes = prefixes
        self._nested = nested
        self._environ = environ

    def __str__(self) -> str:
        return f"environment {'|'.join(self._prefixes)}".rstrip()

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher, which never tells of a change."""
        return ConstantWatcher(self._entries())

    def _entries(self) -> list[KeyValue]:
        environ = os.environ if self._environ is None else self._environ
        entries: list[KeyValue] = []
        for name, value in environ.items():
            key = self._key(name)
            if key:
                # A stranger's variable that is no UTF-8 must not end the start.
                entries.append(KeyValue(key=key, value=value.encode(errors="replace")))
        return entries

    def _key(self, name: str) -> str:
        if self._prefixes:
            prefix = next((one for one in self._prefixes if name.startswith(one)), None)
            if prefix is None or name == prefix:
                return ""
            name = name.removeprefix(prefix).removeprefix("_")
        return name.lower().replace(self._nested.lower(), ".") if self._nested else name


def from_url(url: Url) -> EnvSource:
    """Make the source of a URL: ``env://[?prefix=APP_][&nested=__]``; prefixes may be several.

    Raises:
        ConfigError: An option is unknown, or the URL has more than options.
    """
    options = Options(url)
    prefixes = options.texts("prefix")
    nested = options.text("nested", default="")
    options.finish()
    if url.hosts or url.path.strip("/") or url.username is not None:
        raise ConfigError(f"{url}: write env://?prefix=APP_&nested=__, there is nothing else")
    return EnvSource(*prefixes, nested=nested)


if TYPE_CHECKING:
    _source: type[Source] = EnvSource
