"""The contract of loggers, over a real connection to a fake of Fluentd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kratos.log import Level
from kratos.testing.logger_contract import LoggerContract, Record, Written
from kratos_fluent import FluentLogger


class Read:
    """What the fake has read."""

    def __init__(self, server: Any, logger: FluentLogger) -> None:
        self._server = server
        self.logger = logger

    def lines(self) -> Sequence[str] | None:
        return None

    def records(self) -> Sequence[Record]:
        assert self.logger.flush(10)
        return [
            Record(
                level=Level.parse(tag.rpartition(".")[2]),
                message=record["msg"],
                fields={key: value for key, value in record.items() if key not in ("msg", "stack")},
                text=f"{record}{record.get('stack', '')}",
            )
            for tag, _, record in self._in_order()
        ]

    def _in_order(self) -> list[Any]:
        # Records of one tag go together, so those of others may overtake them.
        return sorted(self._server.records, key=lambda told: float(told[1]))


class Clock:
    """Never tells the same time twice, so that it tells the order."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def read(fluentd: Callable[..., Any], writing: Callable[..., FluentLogger], **how: Any) -> Read:
    server = fluentd()
    # Of which each record is awaited, lest the server is asked before it has read.
    return Read(server, writing(f"tcp://{server.address}", ack=True, now=Clock(), **how))


class TestText(LoggerContract):
    @pytest.fixture
    def written(self, fluentd: Any, writing: Any) -> Written:
        return read(fluentd, writing)


class TestTyped(LoggerContract):
    @pytest.fixture
    def written(self, fluentd: Any, writing: Any) -> Written:
        return read(fluentd, writing, typed=True, mode="forward")


class TestMessages(LoggerContract):
    @pytest.fixture
    def written(self, fluentd: Any, writing: Any) -> Written:
        return read(fluentd, writing, mode="message")
