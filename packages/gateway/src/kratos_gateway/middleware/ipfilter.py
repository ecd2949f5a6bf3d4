"""Let some addresses in, and others not."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.ipfilter_pb2 import IpFilter
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.addresses import Clients, Networks
from kratos_gateway.middleware.callers import not_for_others
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse

__all__ = ["build"]


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what answers 403 to clients whose address is denied, or not among those allowed.

    Raises:
        ConfigError: There is neither, or one is no address.
    """
    told = options_of(options, IpFilter)
    allowed, denied = Networks("allow", told.allow), Networks("deny", told.deny)
    if not (allowed or denied):
        raise ConfigError("ipfilter needs addresses to allow or to deny")
    clients = Clients(Networks("trustedProxies", told.trusted_proxies))

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            not_for_others(request)
            address = clients.address(request)
            if address in denied or (allowed and address not in allowed):
                message = "this address is not let in"
                return refuse(request, 403, reason="FORBIDDEN", message=message)
            return await handler(request)

        return handle

    return Plain(wrap)
