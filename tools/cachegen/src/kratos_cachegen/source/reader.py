"""From the text of a module to its interfaces."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from kratos_cachegen.source.checks import check
from kratos_cachegen.source.decorators import bts_of, cached_of, expression, options_of, substituted
from kratos_cachegen.source.model import Bts, Cached, Interface, Method, Param, Shape, Value, Verb
from kratos_cachegen.source.names import Names, names_in
from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.source.types import items_of, mapping_of, text_of, unquoted, value_of

__all__ = ["read"]

_STORES: Final = frozenset({"mc", "memory", "redis"})
_DECORATORS: Final = _STORES | {"bts"}
# The longer ones first: an add_cache_ is no add_.
_VERBS: Final[Mapping[str, Verb]] = {
    "add_cache_": "set",
    "del_cache_": "del",
    "get_cache_": "get",
    "set_cache_": "set",
    "replace_cache_": "replace",
    "replace_": "replace",
    "cache_": "get",
    "add_": "set",
    "del_": "del",
    "get_": "get",
    "set_": "set",
}


def read(source: str, module: str) -> tuple[Interface, ...]:
    """Return the interfaces of a module that have methods to generate.

    Args:
        source: Text of the module.
        module: Its name, by which others import it.

    Raises:
        SourceProblem: Something is wrong; it says what, and in which line.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        problem = SourceProblem(f"this is no Python: {error.msg}")
        problem.line = error.lineno or 0
        raise problem from error
    names = Names(tree, module)
    reader = _Reader(names, source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = tuple(each for node in classes if (each := reader.interface(node)) is not None)
    made = [each.class_name for each in found]
    for each in found:
        if made.count(each.class_name) > 1:
            raise SourceProblem(f"two interfaces make a class {each.class_name}; say struct_name=")
    return found


class _Reader:
    def __init__(self, names: Names, source: str) -> None:
        self._names = names
        self._source = source

    def interface(self, node: ast.ClassDef) -> Interface | None:
        """Return an interface; ``None`` for other classes."""
        methods: list[Method] = []
        classes: dict[str, ast.AST] = {}
        used: dict[str, str] = {}
        for item in node.body:
            decorators = self._decorators(item)
            if not decorators:
                continue
            if not isinstance(item, ast.AsyncFunctionDef):
                raise SourceProblem("what is cached is a method with async def", item)
            method, options = self._method(item, decorators)
            check(method)
            methods.append(method)
            used |= self._names.imports(_names_of(method), item)
            for each in options:
                if "struct_name" in each:
                    classes[_identifier(each["struct_name"])] = each["struct_name"]
        if not methods:
            return None
        if len(classes) > 1:
            raise SourceProblem("one interface makes one class: say one struct_name=", node)
        return Interface(
            name=node.name,
            class_name=next(iter(classes), f"Cached{node.name.lstrip('_')}"),
            doc=ast.get_docstring(node) or "",
            methods=tuple(methods),
            names=used | self._names.imports([node.name], node),
        )

    def _decorators(self, item: ast.stmt) -> dict[str, ast.Call]:
        """Return our decorators of a method, by name."""
        found: dict[str, ast.Call] = {}
        for node in getattr(item, "decorator_list", ()):
            name = self._names.ours(node.func if isinstance(node, ast.Call) else node)
            if name not in _DECORATORS:
                continue
            if not isinstance(node, ast.Call):
                raise SourceProblem(f"write @{name}()", node)
            if name in found or (name in _STORES and _STORES & found.keys()):
                raise SourceProblem("a method has one bts and one cache at most", node)
            found[name] = node
        return found

    def _method(
        self, node: ast.AsyncFunctionDef, decorators: Mapping[str, ast.Call]
    ) -> tuple[Method, list[Mapping[str, ast.expr]]]:
        options = {name: options_of(call, name) for name, call in decorators.items()}
        verb, base = _verb(node, options)
        params = list(self._params(node))
        returns = unquoted(node.returns or ast.copy_location(ast.Constant(None), node))
        writes = verb in ("set", "replace", "only_add")
        shape, key_type, value_node = _shape(node, params, returns, verb)
        value_param = None
        key = None
        if shape is not Shape.NONE:
            key = params.pop(0)[0]
        if writes and shape is not Shape.MULTI:
            value_param = params.pop(0)[0]
        value: Value | None = None
        if value_node is not None:
            value = value_of(value_node, of_many=shape is Shape.MULTI, written=writes)
        bts: Bts | None = None
        cached: Cached | None = None
        for name, call in decorators.items():
            if name == "bts":
                bts = bts_of(options[name], self._names, self._source, call)
            else:
                cached = cached_of(options[name], name, value, self._source, call)
        method = Method(
            name=node.name,
            base=base,
            doc=ast.get_docstring(node) or "",
            node=node,
            shape=shape,
            key=key,
            key_type="" if key_type is None else text_of(key_type, self._source),
            extras=tuple(param for param, _ in params),
            value=value,
            value_param=value_param,
            returns=ast.unparse(returns),
            bts=bts,
            cached=cached,
            verb=verb,
        )
        return method, list(options.values())

    def _params(self, node: ast.AsyncFunctionDef) -> Iterator[tuple[Param, ast.expr]]:
        """Yield the parameters but ``self``, with their annotations."""
        given = node.args
        if given.vararg or given.kwarg:
            raise SourceProblem("a method that is cached takes no * and no **", node)
        positional = [*given.posonlyargs, *given.args]
        if not positional or positional[0].arg != "self":
            raise SourceProblem("the first parameter is self", node)
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
        defaults += given.defaults
        by_name = [False] * len(positional) + [True] * len(given.kwonlyargs)
        every = zip(
            [*positional, *given.kwonlyargs], [*defaults, *given.kw_defaults], by_name, strict=True
        )
        for arg, default, named in list(every)[1:]:
            if arg.annotation is None:
                raise SourceProblem(f"the parameter {arg.arg} needs a type", arg)
            annotation = unquoted(arg.annotation)
            text = "" if default is None else text_of(default, self._source)
            yield (
                Param(
                    name=arg.arg,
                    annotation=text_of(annotation, self._source),
                    default=text,
                    by_name=named,
                ),
                annotation,
            )


def _verb(
    node: ast.AsyncFunctionDef, options: Mapping[str, Mapping[str, ast.expr]]
) -> tuple[Verb, str]:
    """Return what a method does, and what it is about."""
    if "bts" in options:
        return "get", node.name
    (cached,) = options.values()
    prefix = next((each for each in _VERBS if node.name.startswith(each)), "")
    base = node.name.removeprefix(prefix)
    given = cached.get("type")
    if given is not None:
        told = ast.literal_eval(given) if isinstance(given, ast.Constant) else None
        for verb in ("get", "set", "del", "replace", "only_add"):
            if told == verb:
                return verb, base
        raise SourceProblem("type is one of get, set, del, replace, only_add", given)
    if not prefix or not base:
        raise SourceProblem(
            f"the name {node.name} does not begin with what the method does "
            f"({', '.join(sorted(_VERBS))}): say type=, or @bts() for a method that loads",
            node,
        )
    return _VERBS[prefix], base


def _shape(
    node: ast.AsyncFunctionDef,
    params: list[tuple[Param, ast.expr]],
    returns: ast.expr,
    verb: Verb,
) -> tuple[Shape, ast.expr | None, ast.expr | None]:
    """Return the shape of a method, and the types of a key and of a value."""
    first = params[0][1] if params else None
    if verb == "get":
        items, mapped = items_of(first) if first is not None else None, mapping_of(returns)
        if items is not None and mapped is not None:
            return Shape.MULTI, items, mapped[1]
        return (Shape.SINGLE if params else Shape.NONE), first, returns
    if not (isinstance(returns, ast.Constant) and returns.value is None):
        raise SourceProblem(f"{node.name} returns None", node)
    if verb == "del":
        items = items_of(first) if first is not None else None
        if items is not None:
            return Shape.MULTI, items, None
        return (Shape.SINGLE if params else Shape.NONE), first, None
    if first is None:
        raise SourceProblem(f"{node.name} takes what is to be kept", node)
    if len(params) > 1:
        return Shape.SINGLE, first, params[1][1]
    mapped = mapping_of(first)
    if mapped is not None:
        return Shape.MULTI, mapped[0], mapped[1]
    return Shape.NONE, None, first


def _identifier(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        return node.value
    raise SourceProblem("struct_name is the name of a class", node)


def _names_of(method: Method) -> list[str]:
    """Return the names that the generated code of a method uses."""
    texts = [each.annotation for each in method.params] + [method.returns]
    texts += [each.default for each in method.params if each.default]
    if method.value is not None:
        texts.append(method.value.text)
    checks: list[str] = []
    if method.bts is not None:
        texts += [each for each in (method.bts.nullcache, *method.bts.custom_method) if each]
        checks.append(method.bts.check_null_code)
        if method.bts.is_mark:
            texts.remove(method.bts.nullcache)
    if method.cached is not None:
        texts.append(method.cached.expire)
        if method.cached.key and not method.cached.key.startswith("key_"):
            texts.append(method.cached.key)
        checks.append(method.cached.check_null_code)
    nodes = [expression(text, method.node) for text in texts]
    nodes += [expression(substituted(each, "self"), method.node) for each in checks if each]
    return names_in(*nodes)
