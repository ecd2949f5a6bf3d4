"""Methods that do one thing with a store."""

from __future__ import annotations

from kratos_cachegen.source.model import Method, Shape
from kratos_cachegen.writing.lines import Lines
from kratos_cachegen.writing.parts import Local, key_call, key_parts, signature

__all__ = ["write_accessor", "write_forgetting", "write_key"]


def write_accessor(lines: Lines, method: Method) -> None:
    """Write a method without ``bts``."""
    lines.call(f"async def {method.name}(", signature(method.params), f") -> {method.returns}:")
    with lines.indented():
        lines.doc(method.doc or _DOCS[method.verb])
        if method.verb == "get":
            _read(lines, method)
        elif method.verb == "del":
            _forget(lines, method)
        else:
            _write(lines, method)
    lines.add("")


def write_forgetting(lines: Lines, method: Method) -> None:
    """Write the method that forgets what one with ``bts`` keeps."""
    params = [each for each in method.params if each is method.key or each in key_parts(method)]
    lines.call(f"async def del_cache_{method.name}(", signature(params), ") -> None:")
    with lines.indented():
        lines.doc("Forget what is kept, as it has changed.")
        _forget(lines, method)
    lines.add("")


def write_key(lines: Lines, method: Method) -> None:
    """Write the method that makes the key of a value."""
    parts = key_parts(method)
    lines.call(f"def key_{method.base}(", signature(parts), ") -> str:")
    with lines.indented():
        lines.doc("Return the key of a value; may be overridden.")
        names = [each.name for each in parts]
        lines.call("return key_of(", [f'"{method.base}"', *names], ")")
    lines.add("")


_DOCS = {
    "get": "Read from the cache.",
    "set": "Write to the cache.",
    "del": "Forget in the cache.",
    "replace": "Write to the cache if there is something.",
    "only_add": "Write to the cache if there is nothing.",
}


def _read(lines: Lines, method: Method) -> None:
    assert method.value is not None
    local, kept = Local(method), f"self._kept_{method.name}"
    found = local("found")
    if method.shape is Shape.MULTI:
        assert method.key is not None
        each, one = local("each"), local("one")
        names = f"{{{each}: {key_call(method, each)} for {each} in {method.key.name}}}"
        lines.call(f"{found} = await {kept}.get_many(", [names], ")")
        value = f"{one}.value"
        items = f"for {each}, {one} in {found}.items()"
        lines.comprehension("return {", [f"{each}: {value}", items, f"if {value} is not None"], "}")
        return
    lines.add(f"{found} = await {kept}.get({key_call(method)})")
    if method.value.optional:
        lines.add(f"return None if {found} is None else {found}.value")
        return
    empty = method.value.zero
    lines.add(f"return {empty} if {found} is None or {found}.value is None else {found}.value")


def _write(lines: Lines, method: Method) -> None:
    local, kept = Local(method), f"self._kept_{method.name}"
    if method.shape is Shape.MULTI:
        assert method.key is not None
        each, values = local("each"), method.key.name
        pairs = f"{{{key_call(method, each)}: {values}[{each}] for {each} in {values}}}"
        lines.call(f"await {kept}.set_many(", [pairs], ")")
        return
    verb = {"set": "set", "replace": "replace", "only_add": "add"}[method.verb]
    assert method.value_param is not None
    lines.call(f"await {kept}.{verb}(", [key_call(method), method.value_param.name], ")")


def _forget(lines: Lines, method: Method) -> None:
    local, kept = Local(method), f"self._kept_{method.name}"
    if method.shape is Shape.MULTI:
        assert method.key is not None
        each = local("each")
        names = f"[{key_call(method, each)} for {each} in {method.key.name}]"
    else:
        names = f"[{key_call(method)}]"
    lines.call(f"await {kept}.delete(", [names], ")")
