"""What of options and types does not go together."""

from __future__ import annotations

import ast

from kratos_cachegen.source.model import Bts, Cached, Method, Shape
from kratos_cachegen.source.problems import SourceProblem

__all__ = ["check"]


def check(method: Method) -> None:
    """Refuse what would make a cache that does not work.

    Raises:
        SourceProblem: It says what to write in place of it.
    """
    if method.bts is not None:
        _check_null(method, method.bts)
        _check_groups(method, method.bts)
        _check_paging(method, method.bts)
        _check_ignores(method, method.bts)
        _check_custom(method, method.bts)
    if method.cached is not None:
        _check_groups(method, method.cached)
        _check_cached(method, method.cached)


def _check_null(method: Method, bts: Bts) -> None:
    value, node = method.value, method.node
    assert value is not None
    if bts.is_mark:
        if method.cached is None:
            raise SourceProblem(
                "nullcache=MARK is for caches that are generated: add @redis() or another one, or "
                "give a placeholder",
                node,
            )
        return
    if bts.check_null_code and not bts.nullcache:
        raise SourceProblem("check_null_code tells the placeholder that nullcache gives", node)
    if not bts.nullcache:
        exempt = method.cached is not None or (value.is_number and method.shape is Shape.MULTI)
        if value.is_basic and not value.optional and not exempt:
            raise SourceProblem(
                f"an absent {value.text} looks like {value.zero}: give nullcache, a value that "
                "does not occur",
                node,
            )
        return
    if _normal(bts.nullcache) in {"None", value.zero, value.kind.value, "''", "b''", "()"}:
        raise SourceProblem(
            f"nullcache={bts.nullcache} is what an absent value looks like; take another", node
        )
    if value.optional and not value.is_basic and not bts.check_null_code:
        raise SourceProblem(
            f"say by check_null_code which {value.text} is the placeholder, such as '$.id == -1'",
            node,
        )


def _check_groups(method: Method, options: Bts | Cached) -> None:
    if not options.batch and not options.max_group:
        return
    if method.shape is not Shape.MULTI:
        raise SourceProblem("batch and max_group are for methods of many keys", method.node)
    if not (options.batch and options.max_group):
        raise SourceProblem("batch and max_group go together", method.node)


def _check_paging(method: Method, bts: Bts) -> None:
    if bts.prefetch and method.shape is not Shape.MULTI:
        raise SourceProblem("prefetch is for methods of many keys", method.node)
    if not bts.paging:
        return
    if method.shape is not Shape.SINGLE:
        raise SourceProblem("paging is for methods of one key", method.node)
    if method.cached is not None:
        raise SourceProblem(
            "paging needs a cache that cuts pages: write cache_ and add_cache_ yourself",
            method.node,
        )


def _check_ignores(method: Method, bts: Bts) -> None:
    known = {each.name for each in method.extras}
    for part in bts.ignores:
        if part - known:
            raise SourceProblem(
                f"ignores names {', '.join(sorted(part - known))}; further parameters are "
                f"{', '.join(sorted(known)) or 'none'}",
                method.node,
            )
    if method.cached is not None and bts.ignores[2] not in (frozenset(), bts.ignores[0]):
        raise SourceProblem(
            "what is written has the key of what is read: ignore the same for both", method.node
        )


def _check_custom(method: Method, bts: Bts) -> None:
    if method.cached is not None and (bts.custom_method[0] or bts.custom_method[2]):
        raise SourceProblem(
            "the cache is generated, so custom_method names the source alone: '|load'", method.node
        )


def _check_cached(method: Method, cached: Cached) -> None:
    if cached.lock and (method.bts is None or method.shape is Shape.MULTI):
        raise SourceProblem("lock is for methods with @bts(), of at most one key", method.node)
    if method.bts is None:
        if cached.stale:
            raise SourceProblem("stale is for methods with @bts(), which load anew", method.node)
        if (cached.batch or cached.max_group) and method.verb != "get":
            raise SourceProblem("batch is for methods that read", method.node)
        if method.verb in ("replace", "only_add") and method.shape is Shape.MULTI:
            raise SourceProblem(f"{method.verb} is for one key", method.node)
    elif cached.check_null_code:
        raise SourceProblem("check_null_code is an option of bts here", method.node)


def _normal(text: str) -> str:
    return ast.unparse(ast.parse(text, mode="eval")).replace('"', "'")
