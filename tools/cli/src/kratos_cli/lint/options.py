"""Options of Kratos' own classes and functions that there are not."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Collection, Iterator
from typing import Any

from kratos_cli.lint.project import Project
from kratos_cli.lint.scopes import Scopes
from kratos_cli.lint.source import Edit, Found, Source

__all__ = ["check_options"]


def check_options(source: Source, scopes: Scopes, project: Project) -> Iterator[Found]:
    """Yield keyword arguments that what is installed of Kratos does not take.

    Args:
        source: The file.
        scopes: Its names.
        project: What it belongs to.
    """
    for node, scope in scopes.of.items():
        if not isinstance(node, ast.Call) or not any(each.arg for each in node.keywords):
            continue
        name = project.resolved(node.func, scope)
        known = None if name is None else _options(project.installed.find(name))
        if known is None:
            continue
        given = {each.arg for each in node.keywords}
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in known:
                yield _unknown(source, node, keyword, sorted(known - given))


def _options(called: Any) -> set[str] | None:
    """Return what may be given by name; None if that cannot be said."""
    if not callable(called):
        return None
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return {each.name for each in parameters if each.kind in (each.KEYWORD_ONLY, _either(each))}


def _either(parameter: inspect.Parameter) -> Any:
    return parameter.POSITIONAL_OR_KEYWORD


def _unknown(source: Source, node: ast.Call, keyword: ast.keyword, left: Collection[str]) -> Found:
    option = keyword.arg or ""
    called = ast.unparse(node.func)
    near = difflib.get_close_matches(option, left, n=2)
    edits: list[Edit] = []
    if near:
        hint = f"did you mean {near[0]}?"
        start = source.index(keyword.lineno, keyword.col_offset)
        # Of two it would be a guess; and Python before 3.12 tells other places within f-strings.
        if len(near) == 1 and source.text.startswith(option, start):
            edits.append(Edit(start=start, end=start + len(option), text=near[0]))
    else:
        hint = f"what is left to give is {', '.join(left)}" if left else "it takes no more"
    return source.found(keyword, "KR301", f"{called} has no option {option}; {hint}", *edits)
