"""Configuration from the keys of Consul (Go: ``contrib/config/consul``)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_consul.agent import Agent, Answer, Question
from kratos_consul.client import ConsulClient, client_of
from kratos_consul.threaded import agent_of
from kratos_consul.watch import HERE, BlockingWatcher

__all__ = ["ConsulSource"]

_WAIT: Final = 55.0
_LONGEST_WAIT: Final = 600.0
_NOT_FOUND: Final = 404


class ConsulSource:
    """The document at a key, and those below it in the order of their keys.

    The ending of a key is the format of its document: json, yaml, toml and so on. A key without an
    ending is one value, under what of it is behind the path. Nothing need be there yet.

    Args:
        client: Whom it asks: a ``ConsulClient``, or a ``consul.Consul`` of python-consul, which is
            called in threads. It stays the caller's.
        path: The key, or the folder.
        datacenter: Whose keys; empty for those of the agent's own.
        wait: Seconds for which Consul holds back an answer that has not changed.
        clock: Time for pauses.

    Raises:
        ConfigError: An option is out of range, or ``client`` is none.
    """

    def __init__(
        self,
        client: ConsulClient | Any,
        path: str,
        *,
        datacenter: str = "",
        wait: float = _WAIT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not path.strip("/"):
            raise ConfigError("path is empty: name a key of Consul, or a folder of keys")
        if path.startswith("/"):
            raise ConfigError(f"path {path!r}: keys of Consul do not begin with a slash")
        if not 0 < wait <= _LONGEST_WAIT:
            raise ConfigError(f"wait={wait!r} must be more than 0 and at most {_LONGEST_WAIT:g} s")
        agent = agent_of(client)
        self._name = str(agent)
        self._agent: Callable[[], Agent] = lambda: agent_of(client)
        self._owned = agent is not client
        self._path = path.rstrip("/")
        self._datacenter = datacenter or HERE
        self._wait = wait
        self._clock = clock

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the source of a URL: ``consul://host:port/config/orders?token=...``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        source = cls(
            client,
            url.path.lstrip("/"),
            datacenter=options.text("datacenter", default=""),
            wait=options.duration("wait", default=_WAIT),
        )
        options.finish()
        source._agent = lambda: client_of(url, Options(url))
        source._owned = True
        return source

    def __str__(self) -> str:
        return f"{self._name}/{self._path}"

    def __repr__(self) -> str:
        return f"ConsulSource({str(self)!r})"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Return a watcher of the keys; nothing is asked before its first read."""

        def question(datacenter: str) -> Question:
            query = {"recurse": "true", "dc": datacenter}
            return Question(verb="GET", path="/v1/kv/", name=self._path, query=query)

        async def datacenters() -> Sequence[str]:
            return [self._datacenter]

        return BlockingWatcher(
            self._agent(),
            question=question,
            decode=self._decode,
            datacenters=datacenters,
            wait=self._wait,
            clock=self._clock,
            owned=self._owned,
        )

    def _decode(self, answer: Answer, _datacenter: str) -> tuple[KeyValue, ...]:
        if answer.status == _NOT_FOUND:
            answer.check_sight()
            return ()
        found = (self._document(entry, answer) for entry in answer.items())
        return tuple(document for document in found if document is not None)

    def _document(self, entry: Any, answer: Answer) -> KeyValue | None:
        try:
            key, value = str(entry["Key"]), b64decode(entry["Value"] or "", validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise answer.failed(f"it is no list of keys ({error!r}): {answer.text}") from error
        folder = f"{self._path}/"
        if key != self._path and not key.startswith(folder):
            return None  # it begins alike, and is a neighbour
        if key.endswith("/") and not value:
            return None  # a folder, as the pages of Consul make them
        format_ = format_of(key)
        if key != self._path:
            key = key.removeprefix(folder)
        elif not format_:
            key = key.rpartition("/")[2]
        return KeyValue(key=key, value=value, format=format_)


if TYPE_CHECKING:
    _source: type[Source] = ConsulSource
