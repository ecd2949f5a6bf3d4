"""W3C Baggage between headers and OpenTelemetry's context.

OpenTelemetry's own propagator logs a warning for each malformed entry, which strangers could make
without end, and takes the properties of an entry for a part of its value. Here what is malformed
is left out, and baggage that the program leaves alone goes on exactly as it came.

Source: https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import quote, unquote

from opentelemetry import baggage
from opentelemetry.context import Context, create_key, get_value, set_value

__all__ = ["received", "to_send"]

_AS_IT_CAME: Final = create_key("kratos-baggage")
_MOST_ENTRIES: Final = 180
_MOST_BYTES: Final = 8192
_IN_KEYS: Final = "!#$%&'*+-.^_`|~"  # besides letters and digits: a token of HTTP
_IN_VALUES: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"


def received(text: str, context: Context, /) -> Context:
    """Return a context with the baggage of a header."""
    for number, entry in enumerate(text.split(",")):
        key, equals, rest = entry.partition("=")
        key, value = key.strip(), rest.partition(";")[0].strip()
        if number >= _MOST_ENTRIES:
            break
        if equals and _is_token(key) and value.isascii():
            context = baggage.set_baggage(key, unquote(value), context)
    return set_value(_AS_IT_CAME, (text, baggage.get_all(context)), context)


def to_send(context: Context, /) -> str:
    """Return the header for a context's baggage; empty where there is none."""
    present = baggage.get_all(context)
    if not present:
        return ""
    known = cast("tuple[str, object] | None", get_value(_AS_IT_CAME, context))
    if known is not None and known[1] == present:
        return known[0]
    return _written(present)


def _written(entries: Mapping[str, object]) -> str:
    written: list[str] = []
    size = 0
    for key, value in entries.items():
        entry = f"{quote(key, safe=_IN_KEYS)}={quote(str(value), safe=_IN_VALUES)}"
        size += len(entry) + 1
        if size > _MOST_BYTES or len(written) >= _MOST_ENTRIES:
            break  # as the specification has it: whole entries, and no more than fit
        written.append(entry)
    return ",".join(written)


def _is_token(key: str) -> bool:
    return bool(key) and all(
        char.isascii() and (char.isalnum() or char in _IN_KEYS) for char in key
    )
