"""Files that are looked at, what they import from each other, and what is installed of Kratos."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from kratos_cli.lint.scopes import Definition, Scope, Scopes
from kratos_cli.lint.source import Source, module_of

__all__ = ["Installed", "Project"]

_DEPTH: Final = 12  # of re-exports and of base classes; they may go round in a circle
_AUTHOR: Final = "Kratos for Python contributors"
_NAMES: Final = {"kratos": "kratos-core", "aegis": "kratos-aegis"}


class Project:
    """Files of Python by module, those that they import included.

    Args:
        files: What is looked at.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._roots = sorted({module_of(file)[0] for file in files})
        self._read: dict[str, tuple[Source, Scopes] | None] = {}
        self._asked: set[tuple[Scope | str, str]] = set()
        self.installed = Installed(self)

    def add(self, source: Source) -> Scopes:
        """Take in a file, and return its scopes."""
        scopes = Scopes(source)
        self._read[source.module] = source, scopes
        return scopes

    def module(self, name: str) -> tuple[Source, Scopes] | None:
        """Return a module of the project; None for those of others."""
        if name not in self._read:
            self._read[name] = None  # for those that go round in a circle
            self._read[name] = self._load(name)
        return self._read[name]

    def has_package(self, name: str) -> bool:
        """Tell whether a dotted name is a module or package of the project."""
        relative = Path(*name.split("."))
        return any(
            (root / relative).is_dir() or (root / relative).with_suffix(".py").is_file()
            for root in self._roots
        )

    def canonical(self, dotted: str) -> str:
        """Return where something is defined, following imports through the project."""
        for _ in range(_DEPTH):
            module, rest = self._split(dotted)
            if module is None or not rest:
                return dotted
            name, *others = rest
            meaning = module.top.names.get(name)
            if meaning is None or meaning == f"{module.top.name}.{name}":
                return dotted
            dotted = ".".join([meaning, *others])
        return dotted

    def definition(self, dotted: str) -> Definition | None:
        """Return the function or class with a name; methods may be those of a base class."""
        found = self._definition(self.canonical(dotted), _DEPTH)
        return None if found is None else found[1]

    def resolved(self, expression: ast.expr, scope: Scope) -> str | None:
        """Return what an expression names, as a dotted name; None for what is not known."""
        found = self._resolved(expression, scope)
        return None if found is None else self.canonical(found)

    def _resolved(self, expression: ast.expr, scope: Scope) -> str | None:
        if isinstance(expression, ast.Name):
            holder = scope.holder(expression.id)
            return f"builtins.{expression.id}" if holder is None else holder.names[expression.id]
        if isinstance(expression, ast.Attribute):
            base = self.kind(expression.value, scope) or self._resolved(expression.value, scope)
            return None if base is None else f"{base}.{expression.attr}"
        return None

    def kind(self, expression: ast.expr, scope: Scope) -> str | None:
        """Return the class that an expression makes or holds an instance of, if it is plain."""
        if isinstance(expression, ast.Call):
            found = self.resolved(expression.func, scope)
            return found if found is not None and self._is_class(found) else None
        if isinstance(expression, ast.Name):
            holder = scope.holder(expression.id)
            if holder is None:
                return None
            with self._asking(holder, expression.id) as is_new:
                return self._kind_of_name(expression.id, holder) if is_new else None
        if isinstance(expression, ast.Attribute):
            owner = self.kind(expression.value, scope)
            if owner is None:
                return None
            with self._asking(owner, expression.attr) as is_new:
                return self._kind_of_attribute(owner, expression.attr) if is_new else None
        return None

    @contextmanager
    def _asking(self, where: Scope | str, name: str) -> Generator[bool]:
        """Tell whether a question is new; ``x = x.next()`` leads back to itself."""
        question = where, name
        is_new = question not in self._asked
        self._asked.add(question)
        try:
            yield is_new
        finally:
            if is_new:
                self._asked.discard(question)

    def _kind_of_name(self, name: str, holder: Scope) -> str | None:
        value = holder.values.get(name)
        node = holder.node
        if value is not None:
            is_call = isinstance(value, ast.Call)
            return self.kind(value, holder) if is_call else self._annotated(value, holder)
        around = holder.parent
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and around is not None
            and isinstance(around.node, ast.ClassDef)
            and not node.decorator_list
            and [each.arg for each in (*node.args.posonlyargs, *node.args.args)][:1] == [name]
        ):
            return around.name
        return None

    def _annotated(self, annotation: ast.expr, scope: Scope) -> str | None:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
            sides = (annotation.left, annotation.right)
            others = [side for side in sides if not _is_none(side)]
            return self._annotated(others[0], scope) if len(others) == 1 else None
        found = self.resolved(annotation, scope)
        return found if found is not None and self._is_class(found) else None

    def _kind_of_attribute(self, owner: str, name: str) -> str | None:
        """Return the class of an attribute that is annotated, or set in ``__init__`` alone."""
        body = self._definition(self.canonical(owner), _DEPTH)
        if body is not None and isinstance(body[1], ast.ClassDef):
            inner = body[0].owners[body[1]]
            if name in inner.values:
                return self._kind_of_name(name, inner)
        found = self._definition(self.canonical(f"{owner}.__init__"), _DEPTH)
        if found is None or not isinstance(found[1], ast.FunctionDef):
            return None
        scopes, node = found
        scope = scopes.owners[node]
        kinds: list[str | None] = []
        for each in ast.walk(node):
            if isinstance(each, ast.Assign) and _is_own(each.targets[0], name):
                kinds.append(self.kind(each.value, scope))
            elif isinstance(each, ast.AnnAssign) and _is_own(each.target, name):
                kinds.append(self._annotated(each.annotation, scope))
        return kinds[0] if len(kinds) == 1 else None

    def _is_class(self, dotted: str) -> bool:
        if dotted.startswith("builtins."):
            return False
        if self._split(dotted)[0] is not None:
            return isinstance(self.definition(dotted), ast.ClassDef)
        if self.installed.has(dotted):
            return isinstance(self.installed.find(dotted), type)
        return dotted.rpartition(".")[2][:1].isupper()

    def _definition(self, dotted: str, depth: int) -> tuple[Scopes, Definition] | None:
        module, rest = self._split(dotted)
        if module is None or not rest or depth == 0:
            return None
        found = module.definitions.get(dotted)
        if found is not None:
            return module, found
        owner = module.definitions.get(dotted.rpartition(".")[0])
        if not isinstance(owner, ast.ClassDef) or dotted in module.definitions:
            return None
        for base in owner.bases:
            named = self.resolved(base, module.of[owner])
            if named is not None:
                inherited = self._definition(f"{named}.{rest[-1]}", depth - 1)
                if inherited is not None:
                    return inherited
        return None

    def _split(self, dotted: str) -> tuple[Scopes | None, list[str]]:
        """Return the longest module of the project in a name, and the parts that follow it."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            found = self.module(".".join(parts[:length]))
            if found is not None:
                return found[1], parts[length:]
        return None, parts

    def _load(self, name: str) -> tuple[Source, Scopes] | None:
        for path in self._places(name):
            if path.is_file():
                try:
                    source = Source.read(path)
                except (OSError, SyntaxError, ValueError, RecursionError):
                    return None
                return source, Scopes(source)
        return None

    def _places(self, name: str) -> Iterator[Path]:
        for root in self._roots:
            base = root.joinpath(*name.split("."))
            yield base / "__init__.py"
            yield base.with_name(f"{base.name}.py")


class Installed:
    """What is installed of Kratos; the project's own code is never imported.

    Args:
        project: What is the project's own.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._tops: dict[str, bool] = {}
        self._found: dict[str, Any] = {}

    def has(self, dotted: str) -> bool:
        """Tell whether a name is one of Kratos."""
        top = dotted.partition(".")[0]
        if top not in self._tops:
            self._tops[top] = self._is_member(top)
        return self._tops[top]

    def find(self, dotted: str) -> Any:
        """Return what a name means; None if it is no name of Kratos, or there is no such."""
        if not self.has(dotted):
            return None
        if dotted not in self._found:
            self._found[dotted] = _imported(dotted)
        return self._found[dotted]

    def _is_member(self, top: str) -> bool:
        if top not in _NAMES and not top.startswith("kratos_"):
            return False
        if self._project.has_package(top):
            return False
        try:
            about = metadata.metadata(_NAMES.get(top, top.replace("_", "-")))
        except metadata.PackageNotFoundError:
            return False
        # A package of others may have such a name, too.
        return "Author" in about and about["Author"] == _AUTHOR


def _imported(dotted: str) -> Any:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:  # no module, or one whose library is not installed
            continue
        except Exception:  # what hinders it is for `kratos doctor` to tell; nothing is said of it
            return None
        for name in parts[length:]:
            # Names of a module may be brought when they are asked for; descriptors are left alone.
            is_module = isinstance(found, ModuleType)
            found = (getattr if is_module else inspect.getattr_static)(found, name, None)
            if isinstance(found, staticmethod | classmethod):
                found = getattr(cast("Any", found), "__func__", None)
        return found
    return None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_own(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )
