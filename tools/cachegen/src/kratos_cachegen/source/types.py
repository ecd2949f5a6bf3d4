"""What annotations say, without evaluating them."""

from __future__ import annotations

import ast

from kratos_cachegen.source.model import Kind, Value
from kratos_cachegen.source.problems import SourceProblem

__all__ = ["items_of", "mapping_of", "text_of", "unquoted", "value_of"]

_BASIC = {
    "bool": Kind.BOOL,
    "bytes": Kind.BYTES,
    "float": Kind.FLOAT,
    "int": Kind.NUMBER,
    "str": Kind.TEXT,
}
_MANY = frozenset({"Collection", "Iterable", "List", "Sequence", "list"})
_LISTS = frozenset({"List", "list"})
_MAPS = frozenset({"Dict", "Mapping", "dict"})


def text_of(node: ast.AST, source: str) -> str:
    """Return code as it is written, or in one line where it is in several."""
    written = ast.get_source_segment(source, node) if hasattr(node, "lineno") else None
    return written if written and "\n" not in written else ast.unparse(node)


def unquoted(node: ast.expr) -> ast.expr:
    """Return the expression of an annotation that is a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            told = ast.parse(node.value, mode="eval").body
        except SyntaxError as error:
            raise SourceProblem(f"{node.value!r} is no type", node) from error
        for each in ast.walk(told):
            if isinstance(each, ast.expr):  # problems are where the text is, which has no lines
                each.lineno, each.end_lineno = node.lineno, None
        return told
    return node


def items_of(node: ast.expr) -> ast.expr | None:
    """Return the type of the items of a list or alike; ``None`` for other types."""
    node = unquoted(node)
    if isinstance(node, ast.Subscript) and _name(node.value) in _MANY:
        return node.slice
    return None


def mapping_of(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """Return the types of keys and values of a mapping; ``None`` for other types."""
    node = unquoted(node)
    if (
        isinstance(node, ast.Subscript)
        and _name(node.value) in _MAPS
        and isinstance(node.slice, ast.Tuple)
        and len(node.slice.elts) == 2
    ):
        return node.slice.elts[0], node.slice.elts[1]
    return None


def value_of(node: ast.expr, *, of_many: bool = False, written: bool = False) -> Value:
    """Return what a type of values is like.

    Args:
        node: The annotation.
        of_many: Whether it is that of values of a mapping, where those that are absent have no key.
        written: Whether it is that of a parameter, which need not say that there is none.

    Raises:
        SourceProblem: There is no way to say that there is none, or no way to keep one.
    """
    node = unquoted(node)
    inner = _without_none(node)
    if inner is not None:
        if of_many:
            raise SourceProblem(
                f"the mapping leaves out what is absent: write {ast.unparse(inner)} in place of "
                f"{ast.unparse(node)}",
                node,
            )
        return Value(text=ast.unparse(inner), kind=_kind(inner), optional=True)
    kind = _kind(node)
    if kind is Kind.OBJECT and not of_many and not written:
        raise SourceProblem(
            f"an absent {ast.unparse(node)} has no form: write {ast.unparse(node)} | None", node
        )
    return Value(text=ast.unparse(node), kind=kind, optional=kind is Kind.OBJECT)


def _kind(node: ast.expr) -> Kind:
    if isinstance(node, ast.Subscript):
        name = _name(node.value)
        if name in _LISTS:
            return Kind.LIST
        if name in ("Dict", "dict"):
            return Kind.MAP
        if name in _MANY | _MAPS:
            raise SourceProblem(f"what is kept is a list or a dict, and no {name}", node)
        return Kind.OBJECT
    name = _name(node)
    if name in ("None", "Any", "object", "") or name in _LISTS | _MAPS:
        raise SourceProblem(
            f"{ast.unparse(node)} does not say what is kept: write a basic type, a class, "
            "list[...] or dict[...]",
            node,
        )
    return _BASIC.get(name, Kind.OBJECT)


def _without_none(node: ast.expr) -> ast.expr | None:
    """Return ``X`` of ``X | None`` and ``Optional[X]``; ``None`` for others."""
    if isinstance(node, ast.Subscript) and _name(node.value) == "Optional":
        return node.slice
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [node.left, node.right]
        others = [side for side in sides if not _is_none(side)]
        if len(others) == 1:
            return others[0]
        raise SourceProblem(f"{ast.unparse(node)} is of several types; keep one", node)
    return None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr if _name(node.value) in ("typing", "collections.abc", "abc") else "?"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    return node.id if isinstance(node, ast.Name) else ""
