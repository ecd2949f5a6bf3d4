"""A logger of Kratos that writes by the Fluentd forward protocol (Go: contrib/log/fluent)."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Mapping
from typing import Final

from kratos.errors import ConfigError
from kratos.log import (
    NO_FIELDS,
    Level,
    LineLogger,
    Logger,
    Threshold,
    current_fields,
    ends_in,
)
from kratos.options import require_methods
from kratos.tls import ClientTls
from kratos.url import Url, parse_url
from kratos_fluent._address import arguments_of, endpoint_of
from kratos_fluent._frames import Mode
from kratos_fluent._record import encode_text, encode_typed, event_time, stack_of
from kratos_fluent._writer import Delivery, ForwardWriter

__all__ = ["FluentLogger"]

_NAMES: Final = ("DEBUG", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # by tens
_STACK: Final = "stack"
_STANDARD_ERROR: Final = 2


class FluentLogger:
    """Writes records to Fluentd, Fluent Bit or a collector, without waiting.

    The tag of a record is its level, after the prefix if there is one: ``shop.ERROR``. What is
    sent has the message in ``msg`` and all fields, whose values are text, as Go Kratos' adapter
    sends them; from ``ERROR`` on the exception in ``error`` brings its trace along as ``stack``.
    A field of one of these two names gets an ``_`` after it. Fields of the context are among
    them.

    Records go to a thread, which connects, batches, and tries again while the server is away;
    ``limit_bytes`` of them wait, and further ones are dropped and counted. When records get
    through again, one tells how many did not. Without a record for a minute the connection is
    closed. What waits is delivered when the program ends, for at most ``patience`` seconds.

    Without ``ack``, records that were written when a connection broke may be lost; with it, they
    are sent again, and may arrive twice.

    Args:
        address: ``tcp://host:port``, ``tls://host:port`` or ``unix:///path``; port 24224 by
            default.
        tag_prefix: Before the level in each tag, with a dot in between.
        level: Records below it are dropped.
        mode: How entries are sent: many in a ``packed`` message, many in a ``forward`` one, or
            each in a ``message`` of its own, as Go does.
        ack: Whether the server has to acknowledge what it has taken.
        compress: Whether packed messages are compressed with gzip.
        typed: Whether numbers, booleans, lists and mappings stay what they are, rather than text.
        message_key: Where the message is.
        limit_bytes: Bytes that may wait, at least 1.
        timeout: Seconds to connect, above 0.
        write_timeout: Seconds for a message to be written, above 0.
        ack_timeout: Seconds for it to be acknowledged, above 0.
        retry_wait: Seconds before the second attempt, above 0; each further one waits half as long
            again.
        max_retry_wait: The most of them.
        max_retry: How often a message that was sent may fail before it is dropped, at least 0.
            While nobody listens, records wait for as long as there is room.
        linger: Seconds for which a record may wait for others, 0 for none.
        patience: Seconds for what waits when the program ends, at least 0.
        tls: Certificates for ``tls://``; files that change are read again. The system's roots by
            default.
        shared_key: What the server asks for, if it has one.
        username: Whose ``password`` the server asks for, besides the shared key.
        password: Of the user.
        hostname: How this end calls itself to a server with a shared key; the machine's name by
            default.
        log: Where it is told that the server is away; lines on standard error by default.
        now: Gives seconds since the epoch.

    Attributes:
        threshold: What ``level`` set, and may be changed.

    Raises:
        ConfigError: An option is wrong; the text names it.
    """

    __slots__ = ("_encode", "_key", "_now", "_own", "_tags", "_writer", "threshold")

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:24224",
        *,
        tag_prefix: str = "",
        level: Level = Level.DEBUG,
        mode: Mode = "packed",
        ack: bool = False,
        compress: bool = False,
        typed: bool = False,
        message_key: str = "msg",
        limit_bytes: int = 16 << 20,
        timeout: float = 3.0,
        write_timeout: float = 10.0,
        ack_timeout: float = 60.0,
        retry_wait: float = 0.5,
        max_retry_wait: float = 60.0,
        max_retry: int = 13,
        linger: float = 0.05,
        patience: float = 2.0,
        tls: ClientTls | None = None,
        shared_key: str = "",
        username: str = "",
        password: str = "",
        hostname: str = "",
        log: Logger | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not message_key or message_key == _STACK:
            raise ConfigError(f"message_key cannot be {message_key!r}")
        require_methods("log", log, "a logger", "log")
        if ends_in(log, FluentLogger):
            raise ConfigError("log writes to Fluentd itself: records would go round in circles")
        self.threshold: Final = Threshold(level)
        self._key: Final = message_key
        self._own: Final = frozenset({message_key, _STACK})
        self._encode: Final = encode_typed if typed else encode_text
        self._now: Final = now
        prefix = f"{tag_prefix}." if tag_prefix else ""
        self._tags: Final = tuple(f"{prefix}{name}" for name in _NAMES)
        endpoint = endpoint_of(
            address,
            tls=tls,
            timeout=timeout,
            write_timeout=write_timeout,
            ack_timeout=ack_timeout,
            shared_key=shared_key,
            username=username,
            password=password,
            hostname=hostname,
        )
        delivery = Delivery(
            mode=mode,
            ack=ack,
            compress=compress,
            limit_bytes=limit_bytes,
            retry_wait=retry_wait,
            max_retry_wait=max_retry_wait,
            max_retry=max_retry,
            linger=linger,
            patience=patience,
        )
        delivery.check()
        self._writer: Final = ForwardWriter(
            endpoint,
            delivery,
            log=LineLogger() if log is None else log,
            last_log=LineLogger(_AtOnce()) if log is None else log,
            losses=self._losses,
        )

    @classmethod
    def from_url(cls, url: str | Url, /) -> FluentLogger:
        """Make one of a URL: ``fluent://host:24224?tag_prefix=shop``, or ``fluent:///path``.

        With the scheme ``fluents`` it uses TLS, and the options ``ca``, ``certificate`` and
        ``key`` name files. Other options are those of the constructor that are text, numbers,
        times or ``true`` and ``false``; user name and password are those of the URL.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        return cls(**arguments_of(parse_url(url) if isinstance(url, str) else url))

    @property
    def dropped(self) -> int:
        """Records that were dropped because too many waited, or because nobody takes them."""
        return self._writer.dropped

    @property
    def waiting(self) -> int:
        """Bytes that are not delivered yet."""
        return self._writer.waiting

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level < self.threshold.floor:
            return
        context = current_fields()
        if context:
            fields = {**context, **fields}
        self._writer.write(*self._entry(level, message, fields))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all records so far are delivered; blocks.

        Args:
            timeout: Seconds; ``None`` for as long as it takes.

        Returns:
            Whether they are, or were given up.
        """
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Deliver what waits, for at most ``patience`` seconds, and take no more; blocks.

        Called by itself when the program ends. What was lost is told to ``log``. Idempotent.
        """
        self._writer.close()

    def _entry(self, level: Level, message: str, fields: Mapping[str, object]) -> tuple[str, bytes]:
        record: dict[str, object] = {self._key: message}
        if self._own.isdisjoint(fields):
            record.update(fields)
        else:
            for key, value in fields.items():
                record[f"{key}_" if key in self._own else key] = value
        stack = stack_of(level, fields.get("error"))
        if stack:
            record[_STACK] = stack
        tag = self._tags[level // 10 if 0 <= level < 60 else (0 if level < 0 else 5)]
        return tag, b"\x92" + event_time(self._now()) + self._encode(record)

    def _losses(self, lost: int) -> tuple[str, bytes]:
        return self._entry(Level.WARN, "records of the log were dropped", {"records": lost})


class _AtOnce:
    """Writes to standard error itself, unless that would block."""

    def write(self, line: bytes, /) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is closed, or nobody reads it
            if select.select([], [_STANDARD_ERROR], [], 0)[1]:
                os.write(_STANDARD_ERROR, line)
