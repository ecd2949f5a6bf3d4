"""A service that was written earlier: what it lacks, and how that is put in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure

if TYPE_CHECKING:
    from protoc_gen_kratos.services import Rpc
    from protoc_gen_kratos.skeleton import Skeleton

__all__ = ["Existing"]

_MARK: Final = "\ufeff"
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A module with a service class.

    Attributes:
        path: The file.
        text: Its content, without a mark of its encoding.
        mark: That mark, if it begins with one.
        tree: The same, parsed.
        home: The class.
    """

    path: Path
    text: str
    mark: str
    tree: ast.Module
    home: ast.ClassDef

    @classmethod
    def read(cls, path: Path, skeleton: Skeleton) -> Existing:
        """Read a file.

        Raises:
            CommandFailure: It is no Python, or has no class for the service.
        """
        try:
            text = path.read_bytes().decode("utf-8")
            mark, text = (_MARK, text[1:]) if text.startswith(_MARK) else ("", text)
            tree = ast.parse(text)
        except (OSError, ValueError, SyntaxError, RecursionError) as error:
            raise CommandFailure(f"{path} cannot be read: {error}") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and _is_home(node, skeleton):
                return cls(path=path, text=text, mark=mark, tree=tree, home=node)
        raise CommandFailure(
            f"{path} already exists, and has no class of {skeleton.service.name}; "
            "choose another folder with --target-dir"
        )

    def missing(self, skeleton: Skeleton) -> list[Rpc]:
        """Return the methods that the class does not define itself."""
        defined = {
            node.name
            for node in self.home.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        defined |= {
            target.id
            for node in self.home.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        return [rpc for rpc in skeleton.service.methods if rpc.name not in defined]

    def needs(self) -> list[str]:
        """Return the parameters without which the class is not made, as it says itself."""
        for node in self.home.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return _required(node.args)
        if any("dataclass" in ast.unparse(each) for each in self.home.decorator_list):
            return [
                node.target.id
                for node in self.home.body
                if isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.value is None
            ]
        return []

    def completed(self, skeleton: Skeleton) -> str:
        """Return the module with the methods that it lacks, at the end of the class.

        Raises:
            CommandFailure: It is written in a way that nothing can be added to.
        """
        wanted = {rpc.name for rpc in self.missing(skeleton)}
        bound = dict(_bound(self.tree))
        taken = _defined(self.tree) - bound.keys()
        imports, methods = skeleton.additions(wanted, taken=taken, bound=bound)
        newline = "\r\n" if "\r\n" in self.text else "\n"
        lines = _LINE.findall(self.text)  # as Python counts them: splitlines() finds more
        if not lines[-1].endswith(("\r", "\n")):
            lines[-1] += newline
        first, last = self.home.body[0], self.home.end_lineno or 0
        if first.lineno == self.home.lineno:
            raise CommandFailure(
                f"{self.path}:{first.lineno}: the class stands on one line; give its body lines"
            )
        margin = " " * first.col_offset
        added = [f"{margin}{line}" if line else "" for line in methods]
        lines[last:last] = [f"{line}{newline}" for line in ("", *added)]
        after = self._after_imports()
        lines[after:after] = [f"{line}{newline}" for line in imports]
        text = "".join(lines)
        try:
            ast.parse(text)
        except SyntaxError as error:  # such as code behind a semicolon
            raise CommandFailure(f"{self.path}: nothing can be added to it: {error}") from error
        return self.mark + text

    def _after_imports(self) -> int:
        found = [
            node.end_lineno or 0
            for node in self.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        before = [line for line in found if line < self.home.lineno]
        if before:
            return max(before)
        docstring = self.tree.body[0]
        is_docstring = isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
        return docstring.end_lineno or 0 if is_docstring else 0


def _required(parameters: ast.arguments) -> list[str]:
    """Return the parameters that a method has to be given, without the first one."""
    positional = [*parameters.posonlyargs, *parameters.args]
    given = positional[1 : len(positional) - len(parameters.defaults)]
    named = zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True)
    return [each.arg for each in (*given, *(key for key, default in named if default is None))]


def _is_home(node: ast.ClassDef, skeleton: Skeleton) -> bool:
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    return node.name == skeleton.class_name or skeleton.service.name in bases


def _bound(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what absolute imports at the top bind: the name, and ``module:name``."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}:{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname or "." not in alias.name:
                    yield alias.asname or alias.name, f"{alias.name}:"


def _defined(tree: ast.Module) -> set[str]:
    """Return every name that the module binds anywhere: none of them is free for an import."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Import() | ast.ImportFrom():
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            case ast.arg():
                found.add(node.arg)
            case _:
                continue
    return found
