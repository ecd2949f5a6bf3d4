"""What is wrong with an interface, and where."""

from __future__ import annotations

import ast

__all__ = ["SourceProblem"]


class SourceProblem(Exception):
    """An interface cannot be generated from.

    Args:
        message: What is wrong, and what to write.
        node: Where.
    """

    def __init__(self, message: str, node: ast.AST | None = None) -> None:
        super().__init__(message)
        self.line: int = getattr(node, "lineno", 0)
