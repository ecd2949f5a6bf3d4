"""What is generated, as records."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["Bts", "Cached", "Interface", "Kind", "Method", "Param", "Shape", "Value", "Verb"]

Verb = Literal["get", "set", "del", "replace", "only_add"]


class Shape(Enum):
    """How many values a method is about."""

    NONE = "none"  # one, which needs no key
    SINGLE = "single"  # that of one key
    MULTI = "multi"  # those of many keys


class Kind(Enum):
    """What a type of values is like; the text is what an absent one looks like."""

    NUMBER = "0"
    FLOAT = "0.0"
    BOOL = "False"
    TEXT = '""'
    BYTES = 'b""'
    LIST = "[]"
    MAP = "{}"
    OBJECT = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The type of what is kept.

    Attributes:
        text: The type, without ``None``.
        kind: What it is like.
        optional: Whether ``None`` is said where there is none.
    """

    text: str
    kind: Kind
    optional: bool

    @property
    def annotation(self) -> str:
        """What a method returns that finds one."""
        return f"{self.text} | None" if self.optional else self.text

    @property
    def zero(self) -> str:
        """What an absent one looks like."""
        return "None" if self.optional else self.kind.value

    @property
    def is_basic(self) -> bool:
        """Whether it is a number, a text, or alike."""
        return self.kind not in (Kind.LIST, Kind.MAP, Kind.OBJECT)

    @property
    def is_number(self) -> bool:
        """Whether zero is a value like others."""
        return self.kind in (Kind.NUMBER, Kind.FLOAT, Kind.BOOL)

    def empty(self, name: str) -> str:
        """Return the test of whether a variable looks like an absent one."""
        return f"{name} is None" if self.optional else f"not {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A parameter.

    Attributes:
        name: Its name.
        annotation: Its type.
        default: Its default, as it is written; empty for none.
        by_name: Whether it is given by name only.
    """

    name: str
    annotation: str
    default: str = ""
    by_name: bool = False

    @property
    def passed(self) -> str:
        """How a call hands it on."""
        return f"{self.name}={self.name}" if self.by_name else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Bts:
    """Options of ``bts``; see there. Expressions are texts."""

    nullcache: str = ""
    is_mark: bool = False
    check_null_code: str = ""
    cache_err: str = "continue"
    batch: int = 0
    max_group: int = 0
    batch_err: str = "break"
    singleflight: bool = False
    sync: bool = False
    paging: bool = False
    ignores: tuple[frozenset[str], frozenset[str], frozenset[str]] = (
        frozenset(),
        frozenset(),
        frozenset(),
    )
    custom_method: tuple[str, str, str] = ("", "", "")
    prefetch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """Options of ``redis``, ``mc`` and ``memory``; see there."""

    store: str
    key: str = ""
    expire: str = "300.0"
    encode: str = "json"
    batch: int = 0
    max_group: int = 0
    batch_err: str = "break"
    check_null_code: str = ""
    null_expire: float = 300.0
    jitter: float = 0.1
    stale: float = 0.0
    lock: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of an interface.

    Attributes:
        name: Its name.
        base: What it is about: the name without what tells the verb.
        doc: Its docstring.
        node: Where it is.
        shape: How many values it is about.
        key: The parameter that identifies the value, or the values.
        key_type: The type of one key.
        extras: Its further parameters.
        value: The type of a value.
        value_param: The parameter that brings the value; ``None`` if none does.
        returns: Its annotation.
        bts: Options of ``bts``, if it has that.
        cached: Options of ``redis`` and so on, if it has one.
        verb: What it does, without ``bts``.
    """

    name: str
    base: str
    doc: str
    node: ast.AsyncFunctionDef
    shape: Shape
    key: Param | None
    key_type: str
    extras: tuple[Param, ...]
    value: Value | None
    value_param: Param | None
    returns: str
    bts: Bts | None
    cached: Cached | None
    verb: Verb

    @property
    def params(self) -> tuple[Param, ...]:
        """All parameters but ``self``, in their order."""
        first = [each for each in (self.key, self.value_param) if each is not None]
        return (*first, *self.extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An interface, and the class that is generated from it.

    Attributes:
        name: Name of the interface.
        class_name: Name of the class.
        doc: Docstring of the interface.
        methods: Those that are generated.
        names: Names that the generated code uses, and the import statements that bring them.
    """

    name: str
    class_name: str
    doc: str
    methods: tuple[Method, ...]
    names: Mapping[str, str]
