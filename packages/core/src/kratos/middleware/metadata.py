"""Pass metadata on from call to call (Go: middleware/metadata)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kratos.errors import ConfigError
from kratos.metadata import SERVER_METADATA, Metadata, client_metadata, server_metadata
from kratos.options import require_instance
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

__all__ = ["metadata"]

_CLIENT: Final = Side.CLIENT  # members of enumerations are slow to look up

SERVER_PREFIXES = ("x-md-",)
CLIENT_PREFIXES = ("x-md-global-",)


def metadata(
    *, constants: Metadata | None = None, prefixes: Sequence[str] | None = None
) -> Middleware:
    """Read metadata from request headers on servers, write it to them on clients.

    On a server, headers with one of the prefixes become the server metadata of the call. On a
    client, headers are the constants, all of the client metadata, and what the inbound call's
    metadata holds under one of the prefixes: ``x-md-global-*`` flows through every hop,
    ``x-md-local-*`` reaches only the next one.

    Args:
        constants: Entries that every call gets.
        prefixes: In place of ``x-md-`` on servers and ``x-md-global-`` on clients.

    Raises:
        ConfigError: The prefixes are no list, or the constants no ``Metadata``.
    """
    if isinstance(prefixes, str):
        raise ConfigError(f"prefixes is a list of texts, not {prefixes!r}: write [{prefixes!r}]")
    require_instance("constants", constants, Metadata)
    server_prefixes = tuple(p.lower() for p in (prefixes or SERVER_PREFIXES))
    client_prefixes = tuple(p.lower() for p in (prefixes or CLIENT_PREFIXES))
    fixed = constants or Metadata()
    has_fixed = len(fixed) > 0

    async def carry(call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is _CLIENT:
            _write(call, fixed, client_prefixes)
            return await next(call, request)
        found = fixed.copy() if has_fixed else Metadata()
        for name, value in call.headers.starting_with(server_prefixes):
            found.add(name, value)
        token = SERVER_METADATA.set(found)
        try:
            return await next(call, request)
        finally:
            SERVER_METADATA.reset(token)

    return carry


def _write(call: Call, fixed: Metadata, prefixes: tuple[str, ...]) -> None:
    for source, every in ((fixed, True), (client_metadata(), True), (server_metadata(), False)):
        if source is None:
            continue
        for name, values in source.items():
            if every or name.startswith(prefixes):
                for value in values:
                    call.headers.add(name, value)
