"""Where middleware has definitions from, for each endpoint that it is around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from google.protobuf.descriptor import ServiceDescriptor

from kratos.errors import ConfigError
from kratos_gateway.api.connect_pb2 import Connect
from kratos_gateway.api.gateway_pb2 import Backend, Endpoint
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.definitions.defined import (
    Defined,
    Given,
    Pace,
    Reflected,
    given_definitions,
)
from kratos_gateway.middleware.definitions.reflection import told_by
from kratos_gateway.middleware.definitions.schema import linked

__all__ = ["Source"]

T = TypeVar("T")


class Source(Generic[T]):
    """Definitions of a middleware, and what it makes of them.

    Args:
        told: Its options.
        services: Full names; all if there are none.
        make: Makes something of services; raises ``ConfigError`` for what is no good.
        context: What the middleware is made with.

    Raises:
        ConfigError: The definitions cannot be used, there are none, or a time is out of range.
    """

    def __init__(
        self,
        told: Rest | Connect,
        services: Sequence[str],
        make: Callable[[Sequence[ServiceDescriptor]], T],
        context: Context,
    ) -> None:
        self._services: Final = services
        self._make: Final = make
        self._context: Final = context
        self._given: Given[T] | None = None
        self._pace: Pace | None = None
        self._made: list[Reflected[T]] = []
        self._upstreams: list[Upstream] = []
        kind = told.WhichOneof("definitions")
        if kind is None:
            raise ConfigError(
                "there are no definitions: give descriptorSet, the path of a file, descriptors, or "
                "reflection: {} for those that the back ends tell"
            )
        if kind == "reflection":
            self._pace = Pace(told.reflection)
        else:
            data = given_definitions(told.descriptor_set, told.descriptors)
            self._given = Given(self._of_files(data))

    def of(self, endpoint: Endpoint, /) -> Defined[T]:
        """Return what is made of the definitions of an endpoint's back ends.

        Raises:
            ConfigError: A back end cannot be asked.
        """
        if self._given is not None:
            return self._given
        assert self._pace is not None, "one of both is there"
        asked = _asked(endpoint)
        back_ends = self._back_ends(asked)
        tell = partial(told_by, back_ends, asked, self._services, most=self._pace.most)
        made = Reflected(
            tell,
            self._of_files,
            pace=self._pace,
            clock=self._context.clock,
            logger=self._context.logger,
            key=(asked.SerializeToString(deterministic=True), tuple(self._services)),
        )
        self._made.append(made)
        return made

    async def aclose(self) -> None:
        """Ask no more."""
        for made in self._made:
            await made.aclose()
        for upstream in self._upstreams:
            await upstream.aclose()

    def _of_files(self, data: bytes) -> T:
        return self._make(linked(data, self._services))

    def _back_ends(self, endpoint: Endpoint) -> Handler:
        if self._context.upstream is None:
            return _nobody
        self._upstreams.append(self._context.upstream(endpoint))
        return self._upstreams[-1]


def _asked(endpoint: Endpoint) -> Endpoint:
    """Return what is asked for definitions: the same back ends, without what concerns requests."""
    asked = Endpoint(path=endpoint.path, protocol=endpoint.protocol)
    for backend in endpoint.backends:
        added: Backend = asked.backends.add()
        added.CopyFrom(backend)
        added.ClearField("health_check")
    return asked


async def _nobody(_request: Request, /) -> Answer:
    raise ConnectionError("there are no back ends here")
