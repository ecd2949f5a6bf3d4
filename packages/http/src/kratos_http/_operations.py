"""Which endpoint serves which operation, and with whose encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kratos.errors import StartupError
from kratos.transport import Arity, HttpRule, Operation
from kratos.transport.http import Endpoint
from kratos.transport.rule import PathTemplate
from kratos_http.encoders import Encoders
from kratos_http.limits import Limits
from kratos_http.rest import RestEndpoint, RestOptions
from kratos_http.router import Router
from kratos_http.sse import SseEndpoint
from kratos_http.streams import StreamOptions
from kratos_http.websocket import WebSocketEndpoint

__all__ = ["Operations"]


class Operations:
    """Routes the rules of operations.

    Args:
        router: Where to.
        options: Shared by the server's endpoints.
        encoders: In place of the server's, by the name of an operation or of a service.
        streams: How streaming methods are served.
        limits: What peers may do.
    """

    def __init__(
        self,
        router: Router,
        options: RestOptions,
        *,
        encoders: Mapping[str, Encoders],
        streams: StreamOptions,
        limits: Limits,
    ) -> None:
        self._router = router
        self._options = options
        self._encoders = encoders
        self._streams = streams
        self._limits = limits

    def serve(self, operations: Collection[Operation]) -> None:
        """Route all rules of operations.

        Raises:
            StartupError: One cannot be served, or encoders are given for none of them.
        """
        for operation in operations:
            self._route(operation)
        known = {name for each in operations for name in _names_of(each.method.operation)}
        for name in self._encoders:
            if name not in known:
                raise StartupError(f"encoders are given for {name!r}, which is not served")

    def _route(self, operation: Operation) -> None:
        method = operation.method
        for rule in method.http:
            try:
                verb, endpoint = self._endpoint_of(operation, rule)
                self._router.add(verb, rule.path, endpoint)
            except ValueError as error:
                raise StartupError(
                    f"{method.operation} cannot be served at {rule.verb} {rule.path}: {error}"
                ) from error

    def _endpoint_of(self, operation: Operation, rule: HttpRule) -> tuple[str, Endpoint]:
        """Return what serves a rule, and under which verb."""
        options = self._options_of(operation.method.operation)
        variables = PathTemplate.parse(rule.path).variables
        if operation.method.arity is Arity.UNARY:
            return rule.verb, RestEndpoint(operation, rule, variables, options)
        if operation.method.arity.client_streams:
            return "GET", WebSocketEndpoint(
                operation, rule, variables, options, streams=self._streams
            )
        return rule.verb, SseEndpoint(
            operation,
            rule,
            variables,
            options,
            streams=self._streams,
            limits=self._limits,
        )

    def _options_of(self, operation: str) -> RestOptions:
        for name in _names_of(operation):
            if name in self._encoders:
                return self._options.with_encoders(self._encoders[name])
        return self._options


def _names_of(operation: str) -> tuple[str, str]:
    """Return the names by which encoders may be given: of the operation, and of its service."""
    return operation, operation.rpartition("/")[0] + "/"
