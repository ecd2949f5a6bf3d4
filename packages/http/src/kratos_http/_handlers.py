"""What may stand for a plain handler, told when it is added and not when it is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from types import FunctionType, MethodType
from typing import Final, get_origin

__all__ = ["awaits", "require_handler"]

_LAMBDA: Final = "<lambda>"


def awaits(handler: object) -> bool:
    """Tell whether a handler is an ``async`` function, or an object that is called like one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(_function(handler))


def require_handler(handler: object, where: str) -> None:
    """Refuse what cannot answer a request.

    A function without ``async`` passes if it says, or may hide, that it returns an awaitable: by
    its annotation, as a lambda, or as what a decorator made of an ``async`` function.

    Args:
        handler: What was given.
        where: Of the route, for the error.

    Raises:
        TypeError: It is no function of a request that answers by ``async``.
    """
    name = getattr(handler, "__qualname__", None) or type(handler).__name__
    if isinstance(handler, type):
        raise TypeError(f"{where}: {name} is a class: pass an instance, or an async function")
    if not callable(handler):
        raise TypeError(f"{where}: {handler!r} is no function: pass an async function")
    if awaits(handler):
        return
    function = _function(handler)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{where}: {name} has a yield in it: return a StreamReply(pieces=...) of what yields"
        )
    if isinstance(function, FunctionType) and not _may_await(function):
        raise TypeError(
            f"{where}: {name} is no async function: write async def, and have what blocks done by "
            "kratos.offload"
        )


def _function(handler: object) -> object:
    """Return the function that runs when a handler is called, if there is one in Python."""
    if isinstance(handler, MethodType):
        return handler.__func__
    if isinstance(handler, FunctionType):
        return handler
    found = (vars(kind).get("__call__") for kind in type(handler).__mro__)
    return next((function for function in found if function is not None), None)


def _may_await(function: FunctionType) -> bool:
    if function.__name__ == _LAMBDA or hasattr(function, "__wrapped__"):
        return True
    said = function.__annotations__.get("return")
    if isinstance(said, str):  # annotations may be of a module that evaluates none
        return said.split("[")[0].rpartition(".")[2].strip("'\"") in ("Awaitable", "Coroutine")
    kind = get_origin(said) or said
    return isinstance(kind, type) and issubclass(kind, Awaitable)
