"""Pieces of code that several generated methods have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kratos_cachegen.source.decorators import substituted
from kratos_cachegen.source.model import Cached, Method, Param, Shape, Value

__all__ = ["Local", "arguments", "kept_options", "key_call", "key_parts", "not_null", "signature"]


class Local:
    """Names of variables in a generated method, that its parameters do not have.

    Args:
        method: The method.
    """

    def __init__(self, method: Method) -> None:
        self._taken = {"self", *(each.name for each in method.params)}

    def __call__(self, name: str) -> str:
        """Return the name, or one like it."""
        while name in self._taken:
            name += "_"
        return name


def signature(params: Iterable[Param], *more: str) -> list[str]:
    """Return the parameters of a definition, ``self`` included."""
    given = list(params)
    texts = ["self", *(_declared(each) for each in given if not each.by_name)]
    by_name = [_declared(each) for each in given if each.by_name] + list(more)
    return [*texts, "*", *by_name] if by_name else texts


def arguments(params: Iterable[Param], ignored: Collection[str] = ()) -> list[str]:
    """Return what a call hands on of the parameters."""
    return [each.passed for each in params if each.name not in ignored]


def key_parts(method: Method) -> tuple[Param, ...]:
    """Return the parameters that a key is made of."""
    ignored = method.bts.ignores[0] if method.bts is not None else frozenset[str]()
    extras = tuple(each for each in method.extras if each.name not in ignored)
    if method.key is None:
        return extras
    if method.shape is Shape.MULTI:
        return (Param(name=Local(method)("key"), annotation=method.key_type), *extras)
    return (method.key, *extras)


def key_call(method: Method, one: str = "") -> str:
    """Return the call that makes the key of a value.

    Args:
        method: The method.
        one: The variable with the key of that value, in place of the parameter.
    """
    assert method.cached is not None
    name = method.cached.key or f"key_{method.base}"
    function = f"self.{name}" if name.startswith("key_") else name
    parts = key_parts(method)
    passed = [each.passed for each in parts]
    if one and method.key is not None:
        passed[0] = one
    return f"{function}({', '.join(passed)})"


def not_null(code: str, name: str) -> str:
    """Return the test that a value is no placeholder."""
    return f"not ({substituted(code, name)})"


def kept_options(cached: Cached, name: str, value: Value, check: str, *, marks: bool) -> list[str]:
    """Return the arguments of ``Kept``."""
    options = [
        "self",
        cached.store,
        f'codec({value.text}, "{cached.encode}")',
        f'name="{name}"',
        f"expire={cached.expire}",
        f"jitter={cached.jitter}",
    ]
    if cached.stale:
        options.append(f"stale={cached.stale}")
    if cached.lock:
        options.append(f"lock={cached.lock}")
    if check or marks:
        options.append(f"null_expire={cached.null_expire}")
    if check:
        options.append(f"is_null=lambda value: {substituted(check, 'value')}")
    if marks:
        options.append("marks=True")
    if cached.batch:
        options += [f"batch={cached.batch}", f"max_group={cached.max_group}"]
        if cached.batch_err == "continue":
            options.append("go_on=True")
    return options


def _declared(param: Param) -> str:
    default = f" = {param.default}" if param.default else ""
    return f"{param.name}: {param.annotation}{default}"
