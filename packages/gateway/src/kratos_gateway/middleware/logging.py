"""A record of each attempt (Go: middleware/logging)."""

from __future__ import annotations

from time import perf_counter

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import Error, from_error
from kratos.log import Level, Logger
from kratos.redact import scrubbed
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.logging_pb2 import Logging
from kratos_gateway.backend.websocket import Upgraded
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import Watched
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.streamrecorder import recorded

__all__ = ["build"]


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make the log of attempts, with Go's fields: one record for each, as the answer begins.

    An attempt that was answered is logged at INFO, one that was not at ERROR, with ``error``. Of
    an endpoint that says ``stream``, an answer is logged when it has ended, with ``stream``, and
    with ``stream_body`` if ``streamrecorder`` has recorded it.

    Raises:
        ConfigError: The options are of another type.
    """
    options_of(options, Logging)
    logger = context.logger

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        return _logged(handler, logger, at_end=endpoint.stream)

    return Plain(wrap)


def _logged(handler: Handler, logger: Logger, *, at_end: bool) -> Handler:
    enabled = getattr(logger, "enabled", None)

    async def handle(request: Request, /) -> Answer:
        start = perf_counter()
        # Middleware further in may rewrite the request; what came is what is logged.
        came = (request.host, request.path, request.query)

        def tell(answer: Answer | None, error: BaseException | None) -> None:
            level = Level.INFO if error is None else Level.ERROR
            if enabled is None or enabled(level):
                code = _code(request, error) if answer is None else answer.status
                fields = _fields(request, came, code, perf_counter() - start)
                if error is not None:
                    late = answer is None and request.options.is_late()
                    fields["error"] = "its time is over" if late else _text(error)
                if at_end:
                    fields.update(_stream(request))
                logger.log(level, "request", fields)

        try:
            answer = await handler(request)
        except BaseException as error:
            tell(None, error)
            raise
        if not at_end or isinstance(answer.body, bytes):
            tell(answer, None)
        elif isinstance(answer.body, Upgraded):
            answer.body.on_close.append(lambda: tell(answer, None))
        else:
            answer.body = Watched(answer.body, lambda error: tell(answer, error))
        return answer

    return handle


def _stream(request: Request) -> dict[str, object]:
    stream = recorded(request)
    return {"stream": True} if stream is None else {"stream": True, "stream_body": stream}


def _fields(
    request: Request, came: tuple[str, str, str], code: int, latency: float
) -> dict[str, object]:
    options = request.options
    host, path, query = came
    return {
        "source": "accesslog",
        "host": host,
        "method": request.method,
        "scheme": request.scheme,
        "path": path,
        "query": scrubbed(query) if query else "",
        "code": code,
        "error": "",
        "latency": latency,
        "backend": ",".join(options.backends),
        "backend_code": list(options.upstream_status_code),
        "backend_latency": list(options.upstream_response_time),
        "last_attempt": options.last_attempt,
    }


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _code(request: Request, error: BaseException | None) -> int:
    """Return the status that the client gets for an attempt without an answer."""
    if isinstance(error, TimeoutError) or request.options.is_late():
        return 504
    if isinstance(error, Exception):
        found = from_error(error)
        return found.code if isinstance(found, Error) and found.cause is not error else 502
    return 499  # cancelled: the client has gone
