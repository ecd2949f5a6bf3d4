"""Reasons and codes of errors that code makes by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from kratos_cli.lint.project import Project
from kratos_cli.lint.scopes import Scopes
from kratos_cli.lint.source import Found, Source

__all__ = ["check_reasons"]

_ERRORS: Final = ("kratos.Error", "kratos.errors.Error")
_KINDS: Final = frozenset(
    f"kratos.errors.{name}"
    for name in (
        "bad_request",
        "client_closed",
        "conflict",
        "forbidden",
        "gateway_timeout",
        "internal_server",
        "not_found",
        "service_unavailable",
        "too_many_requests",
        "unauthorized",
    )
)
_REASON: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_FAILURES: Final = range(400, 600)


def check_reasons(source: Source, scopes: Scopes, project: Project) -> Iterator[Found]:
    """Yield reasons that are not UPPER_SNAKE, and codes that tell no failure.

    Args:
        source: The file.
        scopes: Its names.
        project: What it belongs to.
    """
    for node, scope in scopes.of.items():
        if not isinstance(node, ast.Call):
            continue
        name = project.resolved(node.func, scope)
        is_error = name in _ERRORS
        if not is_error and name not in _KINDS:
            continue
        reason = _given(node, 1 if is_error else 0, "reason")
        if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
            yield from _check_reason(source, reason, reason.value)
        code = _given(node, 0, "code") if is_error else None
        if isinstance(code, ast.Constant) and isinstance(code.value, int):
            yield from _check_code(source, code, code.value)


def _given(node: ast.Call, place: int, name: str) -> ast.expr | None:
    named = next((each.value for each in node.keywords if each.arg == name), None)
    return node.args[place] if named is None and len(node.args) > place else named


def _check_reason(source: Source, node: ast.expr, reason: str) -> Iterator[Found]:
    if _REASON.fullmatch(reason) is None:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason)
        better = re.sub(r"\W+|_+", "_", words).strip("_").upper()
        hint = f", for instance {better}" if _REASON.fullmatch(better) else ""
        message = f"the reason {reason!r} is not UPPER_SNAKE; write what programs match{hint}"
        yield source.found(node, "KR401", message)


def _check_code(source: Source, node: ast.expr, code: int) -> Iterator[Found]:
    if code not in _FAILURES:
        message = f"the code {code} tells no failure; use 400 to 599"
        yield source.found(node, "KR402", message)
