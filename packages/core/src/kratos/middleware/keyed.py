"""Give calls of a client a key, for selectors that keep calls of one key on one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kratos.transport.call import Call, Handler
from kratos.transport.caller import CallOptions
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["keyed"]


def keyed(key: Callable[[Any], str | None]) -> PerMethod:
    """Take the key of calls from their requests, as ``CallOptions.key`` gives it for one call.

        Client(..., selector=ConsistentHash(), subset=0,
               middleware=[keyed(lambda request: getattr(request, "user_id", None))])

    A key that the caller gave stays. Calls whose requests are a stream have no request when
    their node is picked, and so no key.

    Args:
        key: Returns the key of a request message; ``None`` or an empty one for none.
    """
    return _Keyed(key)


class _Keyed:
    def __init__(self, key: Callable[[Any], str | None]) -> None:
        self._key = key

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        if method.arity.client_streams:
            return None
        key_of = self._key

        async def with_key(call: Call, request: Any, next: Handler, /) -> Any:
            options: CallOptions | None = call.options
            if options is None or options.key is None:
                key = key_of(request)
                if key:
                    call.options = replace(options or CallOptions(), key=key)
            return await next(call, request)

        return with_key
