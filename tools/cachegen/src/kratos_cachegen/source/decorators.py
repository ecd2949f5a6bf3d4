"""The options in decorators, as they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Final

from kratos_cachegen.runtime.codec import WORDS
from kratos_cachegen.source.model import Bts, Cached, Value
from kratos_cachegen.source.names import Names
from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.source.types import text_of

__all__ = ["bts_of", "cached_of", "expression", "options_of", "substituted"]

_BTS: Final = frozenset(
    {
        "batch",
        "batch_err",
        "cache_err",
        "check_null_code",
        "custom_method",
        "ignores",
        "max_group",
        "nullcache",
        "paging",
        "prefetch",
        "singleflight",
        "struct_name",
        "sync",
    }
)
_CACHED: Final = frozenset(
    {
        "batch",
        "batch_err",
        "check_null_code",
        "encode",
        "expire",
        "jitter",
        "key",
        "lock",
        "max_group",
        "null_expire",
        "stale",
        "struct_name",
        "type",
    }
)
_ON_ERROR: Final = ("continue", "break")
_TYPES: Final = ("get", "set", "del", "replace", "only_add")
# Tests that are true of what is absent, too.
_NO_CHECKS: Final = frozenset(
    {"len($)==0", "not$", "$isNone", "$==None", "$==[]", "$=={}", "$==''", '$==""', "$==0"}
)
_CALLABLE: Final = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*")


def options_of(call: ast.Call, name: str) -> Mapping[str, ast.expr]:
    """Return the options of a decorator.

    Raises:
        SourceProblem: There is no such option.
    """
    known = _BTS if name == "bts" else _CACHED
    if call.args:
        raise SourceProblem(f"@{name} takes its options by name", call)
    for keyword in call.keywords:
        if keyword.arg not in known:
            raise SourceProblem(
                f"@{name} has no option {keyword.arg or '**'}; it has {', '.join(sorted(known))}",
                call,
            )
    return {str(keyword.arg): keyword.value for keyword in call.keywords}


def bts_of(options: Mapping[str, ast.expr], names: Names, source: str, call: ast.Call) -> Bts:
    """Return the options of ``bts``.

    Raises:
        SourceProblem: One is none.
    """
    read = _Reader(options)
    null = options.get("nullcache")
    is_null = null is not None and not (isinstance(null, ast.Constant) and null.value is None)
    return Bts(
        nullcache=text_of(null, source) if null is not None and is_null else "",
        is_mark=null is not None and names.ours(null) == "MARK",
        check_null_code=_check(read.text("check_null_code"), call),
        cache_err=read.choice("cache_err", _ON_ERROR, "continue"),
        batch=read.count("batch"),
        max_group=read.count("max_group"),
        batch_err=read.choice("batch_err", _ON_ERROR, "break"),
        singleflight=read.flag("singleflight"),
        sync=read.flag("sync"),
        paging=read.flag("paging"),
        ignores=_ignores(read.text("ignores"), call),
        custom_method=_custom(read.text("custom_method"), call),
        prefetch=read.count("prefetch"),
    )


def cached_of(
    options: Mapping[str, ast.expr], store: str, value: Value | None, source: str, call: ast.Call
) -> Cached:
    """Return the options of ``redis``, ``mc`` or ``memory``.

    Raises:
        SourceProblem: One is none.
    """
    read = _Reader(options)
    key = read.text("key")
    if key and not _CALLABLE.fullmatch(key):
        raise SourceProblem(f"key={key!r} names a function, such as article_key", call)
    return Cached(
        store=store,
        key=key,
        expire=_expire(options.get("expire"), source),
        encode=_encode(read.text("encode"), value, call),
        batch=read.count("batch"),
        max_group=read.count("max_group"),
        batch_err=read.choice("batch_err", _ON_ERROR, "break"),
        check_null_code=_check(read.text("check_null_code"), call),
        null_expire=read.number("null_expire", 300.0, above=0.0),
        jitter=read.number("jitter", 0.1, most=1.0),
        stale=read.number("stale", 0.0),
        lock=read.number("lock", 0.0),
    )


def expression(text: str, node: ast.AST) -> ast.expr:
    """Return what a text says.

    Raises:
        SourceProblem: It is no expression.
    """
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise SourceProblem(f"{text!r} is no expression of Python", node) from error


def substituted(code: str, name: str) -> str:
    """Return a check of a value, for the variable that has it."""
    return code.replace("$", name)


class _Reader:
    """Reads constants."""

    def __init__(self, options: Mapping[str, ast.expr]) -> None:
        self._options = options

    def text(self, name: str) -> str:
        return str(self._constant(name, str, "a text", ""))

    def flag(self, name: str) -> bool:
        return bool(self._constant(name, bool, "True or False", False))

    def count(self, name: str) -> int:
        value = int(self._constant(name, int, "a whole number", 0))
        if value < 0:
            raise SourceProblem(f"{name}={value} must not be negative", self._options[name])
        return value

    def number(
        self, name: str, default: float, *, above: float = -1.0, most: float = 1e10
    ) -> float:
        value = float(self._constant(name, (int, float), "a number", default))
        if not above < value <= most or value < 0:
            raise SourceProblem(f"{name}={value:g} is out of its range", self._options[name])
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name) or default
        if value not in choices:
            raise SourceProblem(
                f"{name}={value!r} is one of {', '.join(choices)}", self._options[name]
            )
        return value

    def _constant(self, name: str, kind: Any, wanted: str, default: Any) -> Any:
        node = self._options.get(name)
        if node is None:
            return default
        try:
            value = ast.literal_eval(node)
        except ValueError:
            value = None
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise SourceProblem(f"{name} is {wanted}, written in the decorator itself", node)
        return value


def _check(code: str, call: ast.Call) -> str:
    if not code:
        return ""
    if "$" not in code:
        raise SourceProblem(f"check_null_code={code!r} tests the value, which is $ in it", call)
    expression(substituted(code, "value"), call)
    if code.replace(" ", "") in _NO_CHECKS:
        raise SourceProblem(
            f"check_null_code={code!r} is true of what is absent as well; "
            "take a placeholder that is not empty",
            call,
        )
    return code


def _ignores(text: str, call: ast.Call) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    parts = [
        frozenset(name.strip() for name in part.split(",") if name.strip())
        for part in text.split("|")
    ]
    if len(parts) > 3:
        raise SourceProblem(f"ignores={text!r} has three parts: of cache, source and write", call)
    cache, source, write = [*parts, frozenset[str](), frozenset[str]()][:3]
    return cache, source, write


def _custom(text: str, call: ast.Call) -> tuple[str, str, str]:
    parts = [part.strip() for part in text.split("|")]
    if len(parts) > 3 or not all(not part or _CALLABLE.fullmatch(part) for part in parts):
        raise SourceProblem(
            f"custom_method={text!r} names functions of cache, source and write, such as "
            "'self.cache.read|self.database.load|self.cache.keep'",
            call,
        )
    cache, source, write = [*parts, "", ""][:3]
    return cache, source, write


def _expire(node: ast.expr | None, source: str) -> str:
    if node is None:
        return "300.0"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        expression(node.value, node)
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        if node.value <= 0:
            raise SourceProblem(f"expire={node.value} is in seconds, and more than 0", node)
        return repr(float(node.value))
    return text_of(node, source)


def _encode(text: str, value: Value | None, call: ast.Call) -> str:
    if not text:
        return "raw" if value is not None and value.is_basic else "json"
    words = [word.strip() for word in text.split("|")]
    if "gob" in words:
        raise SourceProblem("gob is Go's own: write json, or pb for protobuf messages", call)
    unknown = [word for word in words if word not in WORDS]
    if unknown:
        raise SourceProblem(f"encode={text!r} is made of {', '.join(WORDS)}, joined by |", call)
    forms = [word for word in words if word != "gzip"] or _encode("", value, call).split("|")
    if len(forms) > 1:
        raise SourceProblem(f"encode={text!r} has more than one form; {forms[0]} will do", call)
    if value is not None and forms[0] == "raw" and not value.is_basic:
        raise SourceProblem(f"encode='raw' is for texts and numbers, not for {value.text}", call)
    return "|".join([*forms, *["gzip"] * ("gzip" in words)])
