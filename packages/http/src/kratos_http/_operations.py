"""Which endpoint serves which operation, and with whose encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from kratos.errors import StartupError
from kratos.transport import Arity, HttpRule, Method, Operation
from kratos.transport.http import Endpoint
from kratos.transport.naming import require_known
from kratos.transport.rule import PathTemplate
from kratos_http._transfers import download_part, upload_part
from kratos_http.decoders import Decoders
from kratos_http.encoders import Encoders
from kratos_http.limits import Limits
from kratos_http.rest import RestEndpoint, RestOptions
from kratos_http.router import Router
from kratos_http.sse import SseEndpoint
from kratos_http.streams import StreamOptions
from kratos_http.transfer import TransferEndpoint
from kratos_http.websocket import WebSocketEndpoint

__all__ = ["Operations", "by_name"]

_REST: Final = "*"


class Operations:
    """Routes the rules of operations.

    Args:
        router: Where to.
        options: Shared by the server's endpoints.
        encoders: In place of the server's, by the name of an operation or of a service.
        decoders: Of requests, by the name of an operation or of a service, ``*`` for the rest.
        streams: How streaming methods are served.
        limits: What peers may do.
    """

    def __init__(
        self,
        router: Router,
        options: RestOptions,
        *,
        encoders: Mapping[str, Encoders],
        decoders: Mapping[str, Decoders],
        streams: StreamOptions,
        limits: Limits,
    ) -> None:
        self._router = router
        self._options = options
        self._encoders = encoders
        self._decoders = decoders
        self._streams = streams
        self._limits = limits

    def serve(self, operations: Collection[Operation]) -> None:
        """Route all rules of operations.

        Raises:
            StartupError: One cannot be served, or encoders are given for none of them.
        """
        rules = [(operation, rule) for operation in operations for rule in operation.method.http]
        for operation, rule in rules:
            self._add(operation, rule, sockets=False)
        # After all others: a WebSocket is a GET, which may be another method at the same path.
        for operation, rule in rules:
            self._add(operation, rule, sockets=True)
        known = {name for each in operations for name in _names_of(each.method.operation)}
        require_known("encoders", self._encoders, known)
        require_known("decoders", self._decoders, known | {_REST})

    def _add(self, operation: Operation, rule: HttpRule, *, sockets: bool) -> None:
        """Route a rule, either as a WebSocket or as whatever else serves it."""
        method = operation.method
        if sockets and not method.arity.client_streams:
            return
        try:
            if sockets:
                self._router.add("GET", rule.path, self._socket(operation, rule))
                return
            endpoint = self._endpoint(operation, rule)
            if endpoint is not None:
                self._router.add(rule.verb, rule.path, endpoint)
        except ValueError as error:
            raise StartupError(
                f"{method.operation} cannot be served at {rule.verb} {rule.path}: {error}"
            ) from error

    def _socket(self, operation: Operation, rule: HttpRule) -> Endpoint:
        options = self._options_of(operation.method)
        variables = PathTemplate.parse(rule.path).variables
        return WebSocketEndpoint(operation, rule, variables, options, streams=self._streams)

    def _endpoint(self, operation: Operation, rule: HttpRule) -> Endpoint | None:
        """Return what serves a rule but for WebSockets, if anything does."""
        method = operation.method
        options = self._options_of(method)
        variables = PathTemplate.parse(rule.path).variables
        if method.arity is Arity.UNARY:
            return RestEndpoint(operation, rule, variables, options)
        uploads = upload_part(method, rule) is not None
        if method.arity.client_streams and not uploads:
            return None
        kind = TransferEndpoint if uploads or download_part(method, rule) else SseEndpoint
        limits = self._limits_of(method)
        return kind(operation, rule, variables, options, streams=self._streams, limits=limits)

    def encoders_of(self, method: Method[Any, Any]) -> Encoders | None:
        """Return what was given for a method by name, which is over what its definition says."""
        names = _names_of(method.operation)
        return next((self._encoders[name] for name in names if name in self._encoders), None)

    def _options_of(self, method: Method[Any, Any]) -> RestOptions:
        names = _names_of(method.operation)
        options = self._options.for_method(method, self.encoders_of(method))
        decoders = (self._decoders[name] for name in (*names, _REST) if name in self._decoders)
        own = next(decoders, None)
        return options if own is None else replace(options, decoders=own)

    def _limits_of(self, method: Method[Any, Any]) -> Limits:
        max_body = method.http_options.max_body if method.http_options is not None else 0
        if not max_body:
            return self._limits
        return replace(self._limits, max_body=max_body, max_upload=max_body)


def by_name(decoders: Decoders | Mapping[str, Decoders] | None) -> Mapping[str, Decoders]:
    """Return decoders by the names of operations and services, as ``HttpServer`` takes them."""
    if decoders is None:
        return {}
    return {_REST: decoders} if isinstance(decoders, Decoders) else dict(decoders)


def _names_of(operation: str) -> tuple[str, str]:
    """Return the names by which encoders may be given: of the operation, and of its service."""
    return operation, operation.rpartition("/")[0] + "/"
