from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

DSN = "http://a-public-key@127.0.0.1:9/1"


class MemoryTransport(Transport):
    """A fake of Sentry: keeps what would be sent, as it would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.logs: list[str] = []
        self.flushed: list[float] = []
        self.takes = 0.0

    def flush(self, timeout: float, callback: Any = None) -> None:
        self.flushed.append(timeout)
        time.sleep(self.takes)

    def capture_envelope(self, envelope: Envelope) -> None:
        self.texts += [item.get_bytes().decode() for item in envelope.items if item.type == "event"]
        self.logs += [item.get_bytes().decode() for item in envelope.items if item.type == "log"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    @property
    def event(self) -> dict[str, Any]:
        (event,) = self.events
        return event


Initialise = Callable[..., MemoryTransport]


@pytest.fixture
def initialise() -> Iterator[Initialise]:
    """Initialise sentry_sdk as programs do, with all that it does by default."""

    def initialised(**options: Any) -> MemoryTransport:
        transport = MemoryTransport()
        sentry_sdk.init(dsn=DSN, transport=transport, **options)
        return transport

    yield initialised
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_isolation_scope().clear()


@pytest.fixture
def transport() -> Iterator[MemoryTransport]:
    """A fake for a program that initialises sentry_sdk itself."""
    yield MemoryTransport()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sent(initialise: Initialise) -> MemoryTransport:
    return initialise()
