"""Python names of proto names."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container
from typing import Final

from kratos.transport import Service

__all__ = [
    "class_name",
    "constant_name",
    "error_name",
    "identifier",
    "is_hidden",
    "method_name",
    "snake",
    "unused",
    "upper_camel",
]

_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STARTS: Final = re.compile(r"(?:^|_)(.)")
_NOT_A_NAME: Final = re.compile(r"\W", re.ASCII)
# `_caller` is the one attribute of a generated client.
_TAKEN_BY_BASES: Final = frozenset(dir(Service)) | {"METHODS", "_caller"}


def snake(name: str) -> str:
    """Return ``name`` in snake_case: ``GetHTTPInfo`` and ``getHttpInfo`` fold to one."""
    return _BOUNDARY.sub("_", name).lower()


def upper_camel(name: str) -> str:
    """Return ``name`` in UpperCamelCase: ``hello_world`` makes ``HelloWorld``, as in Go.

    Only what follows an underscore, and the first letter, become upper case; nothing becomes
    lower case.
    """
    return _STARTS.sub(lambda found: found[1].upper(), name).replace("_", "")


def method_name(proto_name: str) -> str:
    """Return the Python method of an rpc; keywords and names of the bases get a ``_``."""
    name = snake(proto_name)
    if name.startswith("__"):  # Python would mangle it
        name = "_" + name.lstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN_BY_BASES else name


def constant_name(service: str, method: str) -> str:
    """Return the constant of a method: ``Greeter``, ``SayHello`` make ``GREETER_SAY_HELLO``."""
    return f"{snake(service)}_{snake(method)}".upper()


def class_name(proto_name: str) -> str:
    """Return the class of a service, message or enum; keywords get a ``_``."""
    return f"{proto_name}_" if keyword.iskeyword(proto_name) else proto_name


def error_name(value: str) -> str:
    """Return the stem of an error's helpers.

    Go joins the parts of the name in camel case: a part without a lower-case letter is
    lowered first, any other keeps its inner capitals. This is the same reading in snake
    case: ``USER_NOT_FOUND``, ``User_Not_Found``, ``userNotFound`` make ``user_not_found``.
    """
    parts = [part for part in value.split("_") if part]
    return "_".join(snake(part) if part.upper() != part else part.lower() for part in parts)


def identifier(text: str) -> str:
    """Return a folder or file stem as a part of a module name."""
    name = _NOT_A_NAME.sub("_", text)
    if name[:1].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def is_hidden(name: str) -> bool:
    """Whether no attribute access can spell ``name``: keywords, what Python mangles or owns."""
    return keyword.iskeyword(name) or name.startswith("__")


def unused(name: str, taken: Container[str], *, prefix: str = "", suffix: str = "_") -> str:
    """Return ``name``, with as many affixes as keep it apart from ``taken``."""
    while name in taken:
        name = f"{prefix}{name}{suffix}"
    return name
