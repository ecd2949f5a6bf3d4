"""Showing what a program is made of without its secrets: for dumps of configuration, and logs.

Secrets are known by the key they are under, by their type, and by what they look like: the
password in a URL, a private key, a bearer token. Objects of unknown types are named, not shown.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, cast

from kratos.config import Snapshot

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

__all__ = ["HIDDEN", "is_secret", "redacted", "scrubbed"]

HIDDEN: Final = "***"

_DEEPEST: Final = 32
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    [
        "accesskey",
        "apikey",
        "auth",
        "authorization",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "creds",
        "dsn",
        "hmac",
        "jwt",
        "pass",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "pem",
        "pin",
        "privatekey",
        "pwd",
        "salt",
        "secret",
        "secretkey",
        "secrets",
        "session",
        "signature",
        "token",
        "tokens",
    ]
)
_SECRET_PAIRS: Final = frozenset(
    (kind, "key")
    for kind in [
        "access",
        "account",
        "aes",
        "api",
        "client",
        "consumer",
        "encryption",
        "hash",
        "host",
        "license",
        "master",
        "private",
        "rsa",
        "secret",
        "server",
        "service",
        "shared",
        "signing",
        "ssh",
        "ssl",
        "storage",
        "tls",
        "webhook",
    ]
)
_HARMLESS_ENDS: Final = frozenset(
    [
        "algorithm",
        "algorithms",
        "count",
        "enabled",
        "expiry",
        "file",
        "issuer",
        "length",
        "lifetime",
        "limit",
        "method",
        "mode",
        "path",
        "size",
        "timeout",
        "ttl",
        "type",
    ]
)
# All of them are bounded: what is shown may be long, and somebody else's.
_USER_INFO: Final = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,31}://)(?P<user>[^/?#@\s:]*):[^/?#\s]+@"
)
# Go's driver of MySQL: user:password@tcp(host)/name, without a scheme.
_DRIVER: Final = re.compile(
    r"(?<![\w.+-])(?P<user>[\w.+-]{1,64}):(?!//)\S{1,256}@(?=[A-Za-z0-9]{0,16}\(|/)"
)
# Of a query, and of the settings that databases take as one text, in quotes or not.
_QUERY: Final = re.compile(
    r"(?P<name>(?:\A|[?&;,\s])[^=&;,?\s]{1,128}) ?= ?(?:'[^']*'|\"[^\"]*\"|[^&;\s#]+)"
)
# Of JSON within a text.
_MEMBER: Final = re.compile(
    r'"(?P<name>[^"\\]{1,128})"(?P<colon>\s{0,8}:\s{0,8})(?:"(?:[^"\\]|\\.)*+"|[^\s",\[\]{}]+)',
    re.DOTALL,
)
_SCHEME: Final = re.compile(
    r"\b(?P<scheme>Basic|Bearer|Digest)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE
)
_PRIVATE: Final = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----")
_JWT: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*")


def is_secret(key: str) -> bool:
    """Tell whether what is under a key is likely to be a secret.

    Words of the key count, however they are joined: ``dbPassword``, ``API_KEY``, ``x-auth-token``.
    Settings of secrets are none: ``token_ttl``, ``password_file``.
    """
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    pairs = pairwise(words)
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairs)


def scrubbed(text: str) -> str:
    """Return text without the secrets that are known by their looks."""
    if _PRIVATE.search(text):
        return HIDDEN
    text = _USER_INFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _DRIVER.sub(rf"\g<user>:{HIDDEN}@", text)
    text = _QUERY.sub(_query, text)
    text = _MEMBER.sub(_member, text)
    text = _SCHEME.sub(rf"\g<scheme> {HIDDEN}", text)
    return _JWT.sub(HIDDEN, text)


def redacted(value: object, /, *, key: str = "") -> Any:
    """Return a value as JSON could hold it, with secrets in place hidden.

    Whether a secret is set shows: ``None``, booleans and the empty text are kept under any key.

    Args:
        value: Mappings, sequences, dataclasses, messages, pydantic's models, snapshots, within
            each other.
        key: What it is under.
    """
    return _redacted(value, secret=is_secret(key), depth=0)


def _redacted(value: object, *, secret: bool, depth: int) -> Any:
    if value is None or isinstance(value, bool) or value == "":
        return value
    if depth > _DEEPEST:
        return "..."
    parts = _parts(value)
    if parts is not None:
        return {
            name: HIDDEN
            if hidden
            else _redacted(part, secret=secret or is_secret(name), depth=depth + 1)
            for name, part, hidden in parts
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("Iterable[object]", value)
        return [_redacted(item, secret=secret, depth=depth + 1) for item in items]
    if secret or hasattr(value, "get_secret_value"):
        return HIDDEN
    return _leaf(value)


def _parts(value: object) -> list[tuple[str, object, bool]] | None:
    """Return names and parts of what has any, and which parts are secret whatever their names."""
    if isinstance(value, Snapshot):
        value = value.tree
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return [(str(name), part, False) for name, part in mapping.items()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Whoever keeps a field out of repr() does not want it to be seen.
        return [(each.name, getattr(value, each.name), not each.repr) for each in _fields(value)]
    if _is_message(value):
        return _of_message(cast("Message", value))
    models: object = getattr(type(value), "model_fields", None)  # of pydantic
    if isinstance(models, Mapping):
        names = cast("Mapping[str, object]", models)
        return [(name, getattr(value, name), False) for name in names]
    return None


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)


def _is_message(value: object) -> bool:
    loaded = sys.modules.get("google.protobuf.message")  # without it there can be none
    return loaded is not None and isinstance(value, loaded.Message)


def _of_message(message: Message) -> list[tuple[str, object, bool]]:
    parts: list[tuple[str, object, bool]] = []
    for field, part in message.ListFields():
        hidden: bool = field.GetOptions().debug_redact or _is_hidden_name(field, part)
        shown: object = part
        if not isinstance(part, str | bytes | int | float) and not _is_message(part):
            shown = dict(part) if hasattr(part, "items") else list(part)
        parts.append((field.name, shown, hidden))
    return parts


def _is_hidden_name(field: FieldDescriptor, part: object) -> bool:
    """Tell whether a value of an enum, or one of several, is not to be seen."""
    if field.enum_type is None:
        return False
    known = field.enum_type.values_by_number
    numbers = [part] if isinstance(part, int) else list(cast("Iterable[int]", part))
    return any(known[each].GetOptions().debug_redact for each in numbers if each in known)


def _leaf(value: object) -> Any:
    match value:
        case str():
            return scrubbed(value)
        case int() | float():
            return value
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Enum():
            return value.name
        case PurePath() | datetime() | date() | time() | timedelta():
            return str(value)
        case _:
            return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _query(match: re.Match[str]) -> str:
    name = match["name"]
    return f"{name}={HIDDEN}" if is_secret(name) else match[0]


def _member(match: re.Match[str]) -> str:
    name = match["name"]
    return f'"{name}"{match["colon"]}"{HIDDEN}"' if is_secret(name) else match[0]
