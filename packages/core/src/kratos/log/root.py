"""All that a process logs, by one way: set up when it starts, changed while it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Final

from kratos.errors import ConfigError
from kratos.log._interface import NO_FIELDS, Level, Logger, Threshold
from kratos.log.bridge import LogHandler
from kratos.log.fields import with_
from kratos.log.line import Format
from kratos.log.settings import LogSettings, read
from kratos.log.valuer import worker
from kratos.plugins import load
from kratos.url import expand_env, parse_url

if TYPE_CHECKING:
    from types import TracebackType

    from kratos.config import Config, Prepared, Snapshot

__all__ = ["Following", "RootLogger", "setup"]


class RootLogger:
    """The logger that everything in a process ends in; ``setup`` makes it.

    Attributes:
        threshold: The level in force for whoever has none of its own.
    """

    def __init__(self, settings: LogSettings, back_end: Logger | None = None) -> None:
        self.threshold: Final = Threshold(settings.level)
        self._initial: Final = settings
        self._given: Final = back_end
        self._settings = settings
        self._named: dict[str, _Named] = {}
        self._back_end = self.opened(settings)
        self._to = self._back_end
        self.put(settings, self._back_end)

    @property
    def settings(self) -> LogSettings:
        """What is in force."""
        return self._settings

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level >= self.threshold.floor:
            self._to.log(level, message, fields)

    def pass_on(self, level: Level, message: str, fields: Mapping[str, object], /) -> None:
        """Write a record whose level was looked at before."""
        self._to.log(level, message, fields)

    def named(self, name: str, /) -> Logger:
        """Return the logger of a module: its records have the field ``logger``.

        It has the level that ``levels`` has for the name or for what is before its last dot, and
        so on; else that of all. The same name gives the same logger.

        Args:
            name: Dotted, such as ``__name__``.
        """
        found = self._named.get(name)
        if found is None:
            found = _Named(self, name, Threshold(self._settings.level_of(name)))
            found = self._named.setdefault(name, found)
        return found

    def following(self, config: Config, /, *, key: str = "log") -> Following:
        """Return what lets a part of a configuration decide, from its entry to its exit.

        What ``setup`` was given holds where the configuration says nothing. A change that asks
        for what there is not is refused as a whole, and the old settings stay. Goes behind the
        configuration: ``App(resources=[config, root.following(config)])``.

        Args:
            config: Loaded when this is entered.
            key: Dotted key of the part: ``level``, ``levels``, ``format``, ``fields`` and
                ``logger``, or only the name of a logger.

        Raises:
            ConfigError: On entry: the part asks for what there is not.
        """
        return Following(self, config, key)

    def read(self, snapshot: Snapshot, key: str, /) -> LogSettings:
        """Return the settings that a configuration asks for."""
        return read(snapshot, key, self._initial)

    def opened(self, settings: LogSettings, /) -> Logger:
        """Return a back end for settings: the present one if it will do."""
        if self._given is not None and settings.logger == self._initial.logger:
            return self._given
        now = self._settings
        present: Logger | None = getattr(self, "_back_end", None)
        if present is not None and (now.logger, now.format) == (settings.logger, settings.format):
            return present
        return _made(settings)

    def put(self, settings: LogSettings, back_end: Logger, /) -> None:
        """Put settings in force, for what Kratos writes and for ``logging``."""
        fields = dict(settings.fields)
        if (slot := worker()()) is not None:
            fields.setdefault("worker", slot)
        before, self._settings = self._settings, settings
        self._back_end = back_end
        self._to = with_(back_end, **fields) if fields else back_end
        self.threshold.set(settings.level)
        for name, each in self._named.items():
            each.threshold.set(settings.level_of(name))
        logging.getLogger().setLevel(settings.level)
        for name in before.levels.keys() - settings.levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in settings.levels.items():
            logging.getLogger(name).setLevel(level)


def _made(settings: LogSettings) -> Logger:
    """Return what the plug-in of a name, or of a URL's scheme, makes."""
    name = settings.logger
    if "://" not in name:
        made: Logger = load("kratos.log", name)(format=settings.format)
        return made
    url = parse_url(expand_env(name))
    factory = load("kratos.log", url.scheme)
    try:
        signature(factory).bind(format=settings.format, url=url)
    except TypeError:
        raise ConfigError(f"{url}: the logger {url.scheme} has no URL, only its name") from None
    return factory(format=settings.format, url=url)


class _Named:
    """What one module logs to."""

    __slots__ = ("_name", "_root", "threshold")

    def __init__(self, root: RootLogger, name: str, threshold: Threshold) -> None:
        self.threshold: Final = threshold
        self._root: Final = root
        self._name: Final = name

    def enabled(self, level: Level, /) -> bool:
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        if level >= self.threshold.floor:
            self._root.pass_on(level, message, {"logger": self._name, **fields})


class _Whatever:
    """Where records of ``logging`` go, which has looked at their level."""

    def __init__(self, root: RootLogger) -> None:
        self._root: Final = root

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        self._root.pass_on(level, message, fields)


class Following:
    """Takes part in changes of a configuration while entered; ``RootLogger.following`` makes it."""

    def __init__(self, root: RootLogger, config: Config, key: str) -> None:
        self._root: Final = root
        self._config: Final = config
        self._key: Final = key
        self._leave = _nothing

    async def __aenter__(self) -> None:
        (await self.prepare(self._config.snapshot, self._config.snapshot)).commit()
        self._leave = self._config.join(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def prepare(self, old: Snapshot, new: Snapshot, /) -> Prepared:
        """Read what a change asks for, and open it.

        Raises:
            ConfigError: It asks for what there is not.
        """
        settings = self._root.read(new, self._key)
        return _Change(self._root, settings, self._root.opened(settings))


class _Change:
    """Settings that may be put in force."""

    def __init__(self, root: RootLogger, settings: LogSettings, back_end: Logger) -> None:
        self._root: Final = root
        self._settings: Final = settings
        self._back_end: Final = back_end

    def commit(self) -> None:
        self._root.put(self._settings, self._back_end)

    async def rollback(self) -> None:
        """Do nothing: a back end holds nothing that it would have to give back."""


def setup(
    *,
    level: Level = Level.INFO,
    format: Format = "auto",  # noqa: A002 - what everybody calls it
    levels: Mapping[str, Level] | None = None,
    fields: Mapping[str, object] | None = None,
    logger: Logger | str = "line",
) -> RootLogger:
    """Let everything that this process logs come out alike, by default as lines on standard error.

    Kratos, the program and all libraries that use ``logging`` write to one logger, which is
    returned, for a ``Helper`` or for ``App(log=...)``. Handlers that the root logger has are taken
    away. To be called once, when the program starts. In a worker, records have its number in
    the field ``worker``.

    Args:
        level: Records below it are dropped.
        format: As of ``LineLogger``.
        levels: Those of modules, by dotted name: of loggers of ``logging``, and of
            ``RootLogger.named``. They hold for what is below the name, too.
        fields: What every record has; a ``Valuer`` is computed for each.
        logger: Where to: the name of a plug-in (``line``, or an installed one such as
            ``structlog``), a URL whose scheme names one that writes to other machines, or a
            logger. A logger of yours has a format of its own, and what is below its level is
            dropped, whatever is asked for here.

    Raises:
        TypeError: ``level`` is no level; the name of one is read by ``Level.parse``.
        ValueError: There is no such format, or the logger writes to ``logging`` itself.
        ConfigError: The URL is none, or the plug-in refuses it.
        PluginNotFound: There is no such plug-in; the text says what to install.
    """
    settings = LogSettings(
        level=level,
        format=format,
        levels={} if levels is None else dict(levels),
        fields={} if fields is None else dict(fields),
        logger=logger if isinstance(logger, str) else "",
    )
    handler = None if isinstance(logger, str) else LogHandler(logger)  # finds circles
    root = RootLogger(settings, None if isinstance(logger, str) else logger)
    del handler
    logging.getLogger().handlers[:] = [LogHandler(_Whatever(root))]
    return root


def _nothing() -> None:
    """Do nothing."""
