"""The generated module."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from kratos_cachegen.files import HEAD
from kratos_cachegen.source.model import Interface, Kind, Method, Shape, Value
from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.writing.accessors import write_accessor, write_forgetting, write_key
from kratos_cachegen.writing.flows import placeholder_check
from kratos_cachegen.writing.lines import WIDTH, Lines
from kratos_cachegen.writing.many import ManyWriter
from kratos_cachegen.writing.one import OneWriter
from kratos_cachegen.writing.parts import kept_options, key_parts

__all__ = ["write"]

_OURS = "from kratos_cachegen.runtime import "
_USES = ("Aside", "AsideOptions", "Flow", "Found", "Kept", "codec", "in_groups", "key_of")
_MORE = ("partial_result", "with_partial")
_KEYS = Value(text="bytes", kind=Kind.BYTES, optional=True)  # where a value is of no account


def write(interfaces: Sequence[Interface], source: str) -> str:
    """Return the text of a module.

    Args:
        interfaces: What it has.
        source: Name of the file that they are from.

    Raises:
        SourceProblem: Two methods make one name.
    """
    text = ""
    for interface in interfaces:
        body = Lines()
        _class(body, interface)
        text += f"\n\n{body.text()}"
    head = Lines()
    head.add(f"{HEAD} {source}: change that, and generate anew.")
    head.doc(f"Caches of {source.removesuffix('.py')}.")
    head.add("", "from __future__ import annotations", "")
    _imports(head, interfaces, text)
    names = sorted(each.class_name for each in interfaces)
    head.call("__all__ = [", [f'"{name}"' for name in names], "]")
    return head.text() + text


def _class(lines: Lines, interface: Interface) -> None:
    _refuse_twice(interface)
    with lines.block(f"class {interface.class_name}(Aside, {interface.name}, ABC):"):
        summary = interface.doc.splitlines()[0] if interface.doc else f"``{interface.name}``."
        lines.doc(f"{summary.rstrip('.')}, with caches.")
        lines.add("")
        _constructor(lines, interface)
        present = frozenset(each.name for each in interface.methods if each.bts is None)
        keys: dict[str, Method] = {}
        for method in interface.methods:
            if method.bts is not None:
                writer = ManyWriter if method.shape is Shape.MULTI else OneWriter
                writer(lines, method, present).write()
                if method.cached is not None:
                    write_forgetting(lines, method)
            else:
                write_accessor(lines, method)
            if method.cached is not None and not method.cached.key:
                keys.setdefault(method.base, method)
        for method in keys.values():
            write_key(lines, method)


def _constructor(lines: Lines, interface: Interface) -> None:
    stores = sorted({each.cached.store for each in interface.methods if each.cached is not None})
    params = [f"{store}: Store" for store in stores]
    lines.call(
        "def __init__(",
        ["self", "*", *params, "options: AsideOptions | None = None"],
        ") -> None:",
    )
    with lines.indented():
        lines.add("super().__init__(options=options)")
        for method in interface.methods:
            if method.bts is not None:
                lines.add(f'self._flow_{method.name} = Flow(self, "bts:{method.name}")')
            if method.cached is not None:
                _kept(lines, method)
    lines.add("")


def _kept(lines: Lines, method: Method) -> None:
    assert method.cached is not None
    check = placeholder_check(method) or method.cached.check_null_code
    marks = method.bts is not None and method.bts.is_mark
    prefix = "bts" if method.bts is not None else method.cached.store
    value = method.value or _KEYS
    encode = method.cached.encode if method.value is not None else "raw"
    options = kept_options(method.cached, f"{prefix}:{method.name}", value, check, marks=marks)
    options[2] = f'codec({value.text}, "{encode}")'
    lines.call(f"self._kept_{method.name} = Kept(", options, ")")


def _refuse_twice(interface: Interface) -> None:
    """Refuse methods that would make one name.

    Raises:
        SourceProblem: Two do.
    """
    made: dict[str, Method] = {}
    for method in interface.methods:
        names = [method.name]
        if method.bts is not None and method.cached is not None:
            names.append(f"del_cache_{method.name}")
        for name in names:
            if name in made:
                raise SourceProblem(
                    f"{interface.name}: {method.name} and {made[name].name} make one {name}",
                    method.node,
                )
            made[name] = method
    keys: dict[str, tuple[str, ...]] = {}
    for method in interface.methods:
        if method.cached is None or method.cached.key:
            continue
        parts = tuple(each.annotation for each in key_parts(method))
        if keys.setdefault(method.base, parts) != parts:
            raise SourceProblem(
                f"{interface.name}.{method.name}: methods about {method.base} have keys of other "
                "parameters; say by key= which function makes them",
                method.node,
            )


def _imports(head: Lines, interfaces: Sequence[Interface], text: str) -> None:
    statements = {line for each in interfaces for line in each.names.values()}
    words = set(re.findall(r"\w+", text))
    statements |= {f"from abc import {name}" for name in ("ABC", "abstractmethod") if name in words}
    for name in ("Hashable", "Mapping"):
        if name in words and not any(line.endswith(f" import {name}") for line in statements):
            statements.add(f"from collections.abc import {name}")
    if "Store" in words:
        statements.add("from kratos.store import Store")
    statements |= {f"{_OURS}{name}" for name in (*_USES, *_MORE) if re.search(rf"\b{name}\b", text)}
    standard, others = _sorted(statements)
    for group in (standard, others):
        if group:
            for head_line, parts in group:
                if parts:
                    _from_import(head, head_line, parts)
                else:
                    head.add(head_line)
            head.add("")


def _from_import(head: Lines, module: str, names: list[str]) -> None:
    line = f"{module}{', '.join(names)}"
    if len(line) <= WIDTH:
        head.add(line)
        return
    head.add(f"{module}(")
    with head.indented():
        head.add(*(f"{name}," for name in names))
    head.add(")")


def _sorted(statements: Iterable[str]) -> tuple[list[tuple[str, list[str]]], ...]:
    """Return import statements in groups and in order, those of one module together."""
    by_module: dict[str, list[str]] = {}
    for line in sorted(statements):
        if line.startswith("from "):
            head, _, name = line.partition(" import ")
            by_module.setdefault(f"{head} import ", []).append(name)
        else:
            by_module[line] = []
    standard: list[tuple[str, list[str]]] = []
    others: list[tuple[str, list[str]]] = []
    # Plain imports first, then names of each module: constants, classes, functions.
    for head, names in sorted(by_module.items(), key=lambda item: (bool(item[1]), item[0])):
        module = head.split()[1]
        group = standard if module.partition(".")[0] in sys.stdlib_module_names else others
        group.append((head, sorted(names, key=_rank)))
    return standard, others


def _rank(name: str) -> tuple[int, str]:
    if name.isupper():
        return 0, name
    return (1 if name[:1].isupper() else 2), name
