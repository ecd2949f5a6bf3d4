"""A proxy of Toxiproxy between a program and a real server: a process of its own, in its own words.

For processes that are not this one, and to hold adapters to a second opinion on what a bad line is.
Nothing else is needed in this process; the server is `Toxiproxy <https://github.com/Shopify/toxiproxy>`_.
"""

from __future__ import annotations

import json
from contextlib import suppress
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

__all__ = ["ToxiProxy"]

_PATIENCE: Final = 10.0  # seconds for an answer of Toxiproxy
_NOT_FOUND: Final = 404


class ToxiProxy:
    """One proxy of a running Toxiproxy; a ``kratos.testing.faults.Faults``.

    A context manager, plain or async, that removes the proxy at its end. Its methods ask Toxiproxy
    at once and wait for the answer, which takes about a millisecond: they are for tests.

    Stalled, what is sent is lost, and connections that were open then end at ``restore``: they are
    half-open to whoever does not notice.

    Args:
        host: Host of the server, as Toxiproxy sees it.
        port: Port of the server.
        api: Address of Toxiproxy's own API, as ``http://127.0.0.1:8474``.

    Attributes:
        port: Port of the proxy, on the loopback address.

    Raises:
        OSError: Toxiproxy does not answer.
        ValueError: It refuses, and says why.
    """

    def __init__(self, host: str, port: int, *, api: str) -> None:
        self._api = urlsplit(api)
        self._name = f"kratos-{uuid4().hex}"
        self._path = f"/proxies/{self._name}"
        made = self._ask(
            "POST",
            "/proxies",
            {"name": self._name, "listen": "127.0.0.1:0", "upstream": f"{host}:{port}"},
        )
        self.port = int(made["listen"].rpartition(":")[2])

    @property
    def address(self) -> str:
        """``host:port`` to connect to."""
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close all connections, and refuse new ones, until ``restore``."""
        self._ask("POST", self._path, {"enabled": False})

    def reset(self) -> None:
        """Close all connections; new ones work."""
        self.cut()
        self._ask("POST", self._path, {"enabled": True})

    def stall(self) -> None:
        """Lose everything and say nothing, as a dead router does, until ``restore``."""
        self.poison("timeout", timeout=0)

    def delay(self, seconds: float, /) -> None:
        """Hold up everything for so long, each way, until ``restore``."""
        self.poison("latency", latency=round(seconds * 1000))

    def linger(self, seconds: float, /) -> None:
        """Tell either side so much later that the other one has closed, until ``restore``."""
        self.poison("slow_close", delay=round(seconds * 1000))

    def poison(self, kind: str, /, **attributes: int) -> None:
        """Add a toxic to both directions, or change what it does, until ``restore``.

        Args:
            kind: What Toxiproxy calls it, such as ``bandwidth``.
            attributes: Its attributes, in Toxiproxy's units.
        """
        for stream in ("upstream", "downstream"):
            toxic = {"type": kind, "stream": stream, "attributes": attributes}
            try:
                self._ask("POST", f"{self._path}/toxics/{kind}_{stream}", toxic)
            except LookupError:
                self._ask("POST", f"{self._path}/toxics", toxic)  # which gives it that name

    def restore(self) -> None:
        """Be a good line again."""
        for toxic in self._ask("GET", f"{self._path}/toxics"):
            self._ask("DELETE", f"{self._path}/toxics/{toxic['name']}")
        self._ask("POST", self._path, {"enabled": True})

    def close(self) -> None:
        """Remove the proxy and close its connections; idempotent."""
        with suppress(LookupError):
            self._ask("DELETE", self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, verb: str, path: str, said: object = None) -> Any:
        """Return what Toxiproxy answers.

        Raises:
            LookupError: It knows nothing of the kind.
        """
        connection = HTTPConnection(self._api.hostname or "", self._api.port, timeout=_PATIENCE)
        try:
            # It takes browsers for enemies, and who says nothing for one.
            headers = {"User-Agent": "kratos", "Content-Type": "application/json"}
            connection.request(verb, path, None if said is None else json.dumps(said), headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status == _NOT_FOUND:
            raise LookupError(text)
        if not 200 <= answer.status < 300:
            raise ValueError(f"Toxiproxy refuses {verb} {path}: {answer.status} {text.strip()}")
        return json.loads(text) if text else None
