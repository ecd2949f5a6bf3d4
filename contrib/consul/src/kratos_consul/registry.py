"""A registry on Consul, which services of Go Kratos share (Go: ``contrib/registry/consul``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.options import require_callable, require_number
from kratos.registry import Registration, Registry, ServiceInstance, Skips, Undoing
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_consul.agent import Agent, Answer, Question
from kratos_consul.attempt import Attempt
from kratos_consul.checks import GrpcCheck, HttpCheck, ServiceCheck, TcpCheck
from kratos_consul.client import ConsulClient, client_of
from kratos_consul.layout import VERSION_TAG, decode_entry, registration
from kratos_consul.publication import Publication
from kratos_consul.threaded import agent_of
from kratos_consul.watch import HERE, BlockingWatcher

__all__ = ["MULTI", "SINGLE", "ConsulRegistry", "Resolver"]

SINGLE: Final = "SINGLE"
"""The datacentre of the agent."""

MULTI: Final = "MULTI"
"""All datacentres that it knows."""

Resolver = Callable[[Mapping[str, Any]], ServiceInstance | None]

_INTERVAL: Final = 10.0
_OFTEN: Final = 1.0  # seconds; agents check no more often
_DEREGISTER_AFTER: Final = 600.0
_WAIT: Final = 55.0
_LONGEST_WAIT: Final = 600.0  # seconds; Consul shortens what is longer


class ConsulRegistry:
    """Registrar and discovery over Consul, in the layout of Go Kratos.

    Args:
        client: Whom it asks: a ``ConsulClient``, or a ``consul.Consul`` of python-consul, which is
            called in threads. It stays the caller's.
        health_check: Whether the agent checks the instance itself: each endpoint by TCP, and what
            ``service_checks`` says.
        service_checks: Further checks: ``HttpCheck``, ``GrpcCheck``, or as the API takes them.
        heartbeat: Whether the instance is critical when it has been silent for two intervals.
        health_check_interval: Seconds between two checks by TCP, and half of what a heartbeat
            lasts.
        deregister_critical_service_after: Seconds after which Consul removes an instance that is
            critical; it takes one minute for the least.
        tags: More tags of each instance.
        datacenter: Where instances are looked for: ``SINGLE``, ``MULTI``, or a name.
        wait: Seconds for which Consul holds back an answer that has not changed.
        resolver: Reads an entry of the health API in place of the layout of Kratos; ``None`` from
            it, or a ``ValueError``, leaves the entry out.
        clock: Time for pauses.

    Raises:
        ConfigError: An option is out of range, or ``client`` is none.
    """

    def __init__(
        self,
        client: ConsulClient | Any,
        *,
        health_check: bool = True,
        service_checks: Sequence[ServiceCheck | Mapping[str, object]] = (),
        heartbeat: bool = True,
        health_check_interval: float = _INTERVAL,
        deregister_critical_service_after: float = _DEREGISTER_AFTER,
        tags: Sequence[str] = (),
        datacenter: str = SINGLE,
        wait: float = _WAIT,
        resolver: Resolver | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_number("health_check_interval", health_check_interval, above=0, finite=True)
        require_number(
            "deregister_critical_service_after",
            deregister_critical_service_after,
            above=0,
            finite=True,
        )
        require_callable("resolver", resolver)
        if not 0 < wait <= _LONGEST_WAIT:
            raise ConfigError(f"wait={wait!r} must be more than 0 and at most {_LONGEST_WAIT:g} s")
        if isinstance(tags, str) or any(tag.startswith(VERSION_TAG) for tag in tags):
            raise ConfigError(f"tags={tags!r} must be a list, in which none begins {VERSION_TAG!r}")
        if service_checks and not health_check:
            raise ConfigError("service_checks are made with health_check=True alone: leave one out")
        if not datacenter:
            raise ConfigError(f"datacenter is {SINGLE}, {MULTI} or the name of one")
        self._agent: Agent = agent_of(client)
        self._checks: tuple[ServiceCheck | Mapping[str, object], ...] = ()
        if health_check:
            self._checks = (TcpCheck(interval=max(_OFTEN, health_check_interval)), *service_checks)
        self._ttl = 2 * health_check_interval if heartbeat else None
        self._deregister_after = deregister_critical_service_after
        self._tags = tuple(tags)
        self._datacenter = datacenter
        self._wait = wait
        self._resolver = resolver
        self._clock = clock
        self._skips = Skips()
        self._mine: dict[str, Publication] = {}  # by id, those that were not withdrawn
        self._undoing = Undoing(str(self._agent), clock=clock)
        self._owned = self._agent is not client

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the registry of a URL: ``consul://host:port?token=...&datacenter=MULTI``.

        Options are those of the constructor and of the client by their names, ``tag`` once for each
        tag, ``http_check`` for the path of an ``HttpCheck``, and ``grpc_check=true``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        interval = options.duration("health_check_interval", default=_INTERVAL)
        checks: list[ServiceCheck] = []
        if path := options.text("http_check", default=""):
            checks.append(HttpCheck(path=path, interval=max(_OFTEN, interval)))
        if options.flag("grpc_check", default=False):
            checks.append(GrpcCheck(interval=max(_OFTEN, interval)))
        if url.path.strip("/"):
            raise ConfigError(f"{url}: a registry on Consul has no path, as its keys have none")
        registry = cls(
            client,
            health_check=options.flag("health_check", default=True),
            service_checks=checks,
            heartbeat=options.flag("heartbeat", default=True),
            health_check_interval=interval,
            deregister_critical_service_after=options.duration(
                "deregister_critical_service_after", default=_DEREGISTER_AFTER
            ),
            tags=options.texts("tag"),
            datacenter=options.text("datacenter", default=SINGLE),
            wait=options.duration("wait", default=_WAIT),
        )
        options.finish()
        registry._owned = True
        return registry

    def __str__(self) -> str:
        return str(self._agent)

    @property
    def skipped(self) -> int:
        """How many different entries could not be decoded so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Register the instance at the agent; one of the same id is replaced in place.

        Cancellation: what may have been registered is taken back, when the agent has done what it
        was asked for; one that stood before its change stays. That takes a second at most; with an
        agent that does not answer within it, it goes on in the background, for a minute, and
        ``aclose`` tries it once more. Likewise if there was no answer.
        """
        instance.check()
        body = registration(
            instance,
            tags=self._tags,
            checks=self._checks,
            ttl=self._ttl,
            deregister_after=self._deregister_after,
        )
        await self._undoing.leave(instance.id)
        publication = Publication(self._agent, body, ttl=self._ttl, gone=self._forget)
        attempt = Attempt(publication, is_held=self._mine.__contains__)
        try:
            await attempt.wait()
        except BaseException:
            if standing := self._mine.get(instance.id):
                standing.may_become(publication)
            await self._undoing.take_back(instance.id, attempt.undo)
            raise
        self._mine[instance.id] = publication
        return publication

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of the passing instances; nothing is asked before its first read."""

        def question(datacenter: str) -> Question:
            query = {"passing": "1", "dc": datacenter}
            return Question(verb="GET", path="/v1/health/service/", name=name, query=query)

        def decode(answer: Answer, datacenter: str) -> tuple[ServiceInstance, ...]:
            return self._decode(name, answer, datacenter)

        return BlockingWatcher(
            self._agent,
            question=question,
            decode=decode,
            datacenters=self._datacenters,
            wait=self._wait,
            clock=self._clock,
            owned=False,
        )

    async def aclose(self) -> None:
        """Take back what was given up, and close threads, or the client of a URL; idempotent."""
        await self._undoing.aclose()
        if self._owned:
            await self._agent.aclose()

    def _forget(self, publication: Publication) -> None:
        if self._mine.get(publication.id) is publication:
            del self._mine[publication.id]

    async def _datacenters(self) -> Sequence[str]:
        if self._datacenter == SINGLE:
            return [HERE]
        if self._datacenter != MULTI:
            return [self._datacenter]
        question = Question(verb="GET", path="/v1/catalog/datacenters")
        answer = await self._agent.ask(question)
        found = [str(each) for each in answer.items()]
        if not found:
            raise answer.failed("it lists no datacentre, not even its own")
        return found

    def _decode(self, name: str, answer: Answer, datacenter: str) -> tuple[ServiceInstance, ...]:
        entries = answer.items()
        if not entries:
            answer.check_sight()
        shown = datacenter if self._datacenter == MULTI else ""
        instances: list[ServiceInstance] = []
        for entry in entries:
            try:
                instance = (
                    self._resolver(entry)
                    if self._resolver is not None
                    else decode_entry(entry, datacenter=shown)
                )
            except (ValueError, AttributeError, LookupError, TypeError) as error:
                self._skips.skip(f"{self}/{name} {_place(entry)}", error, version=_version(entry))
                continue
            if instance is not None and (instance.name == name or self._resolver is not None):
                instances.append(instance)
        return tuple(instances)


def _place(entry: Any) -> str:
    try:
        return f"{entry['Node']['Node']}/{entry['Service']['ID']}"
    except (KeyError, TypeError):
        return "(an entry)"


def _version(entry: Any) -> str:
    try:
        return str(entry["Service"]["ModifyIndex"])
    except (KeyError, TypeError):
        return ""


if TYPE_CHECKING:
    _registry: type[Registry] = ConsulRegistry
