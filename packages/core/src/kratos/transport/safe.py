"""Which methods change nothing."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from kratos.transport.method import Method

__all__ = ["is_safe"]

_VERBS: Final = frozenset({"GET", "HEAD"})


def is_safe(method: Method[Any, Any], /) -> bool:
    """Tell whether a definition says that a call changes nothing.

    It does by ``idempotency_level = NO_SIDE_EFFECTS``, or by the HTTP verb of the main binding:
    GET, HEAD.
    """
    if method.http and method.http[0].verb in _VERBS:
        return True
    if not method.idempotent:
        return False
    try:
        service = descriptor_pool.Default().FindServiceByName(method.service)
    except KeyError:
        return False
    found = service.methods_by_name.get(method.operation.rpartition("/")[2])
    if found is None:
        return False
    level = found.GetOptions().idempotency_level
    return bool(level == MethodOptions.NO_SIDE_EFFECTS)
