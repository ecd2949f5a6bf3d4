"""Rules of texts and of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from kratos_validate._text import quoted
from kratos_validate.legacy.fault import Fault, ValueCheck, listed
from kratos_validate.legacy.numbers import constant, membership
from kratos_validate.legacy.pattern import matcher
from kratos_validate.legacy.well_known import (
    email_fault,
    host_fault,
    ip_of,
    packed_ip,
    uri_fault,
    uuid_fault,
)

__all__ = ["bytes_checks", "text_checks"]

_ADDRESSES: Final = {
    "ip": ("IP", (IPv4Address, IPv6Address)),
    "ipv4": ("IPv4", (IPv4Address,)),
    "ipv6": ("IPv6", (IPv6Address,)),
}
# Those of protoc-gen-validate: names and values of headers, and texts fit for either.
_HEADERS: Final = {
    1: "^:?[0-9a-zA-Z!#$%&'*+-.^_|~\x60]+$",
    2: "^[^\u0000-\u0008\u000a-\u001f\u007f]*$",
}
_ANY_HEADER: Final = "^[^\u0000\u000a\u000d]*$"


def text_checks(rules: Any) -> Iterator[ValueCheck]:
    """Yield the checks of a text, in Go's order."""
    yield from constant(rules, str)
    yield from membership(rules, str)
    yield from _length(rules, ("len", "min_len", "max_len"), "runes", len)
    yield from _length(rules, ("len_bytes", "min_bytes", "max_bytes"), "bytes", _bytes)
    yield from _parts(rules)
    yield from _format(rules)
    pattern = _pattern(rules)
    if pattern is not None:
        yield _matching(pattern)


def bytes_checks(rules: Any) -> Iterator[ValueCheck]:
    """Yield the checks of bytes, in Go's order."""
    yield from _length(rules, ("len", "min_len", "max_len"), "bytes", len)
    if prefix := rules.prefix:
        missing = Fault(f"value does not have prefix {_hex(prefix)}")
        yield lambda value: None if value.startswith(prefix) else missing
    if suffix := rules.suffix:
        lacking = Fault(f"value does not have suffix {_hex(suffix)}")
        yield lambda value: None if value.endswith(suffix) else lacking
    if part := rules.contains:
        absent = Fault(f"value does not contain {_hex(part)}")
        yield lambda value: None if part in value else absent
    yield from membership(rules, _numbers)
    if rules.const:
        yield from constant(rules, _numbers)
    yield from _address(rules, packed_ip)
    if rules.HasField("pattern"):
        matching = _matching(rules.pattern)
        # As Go's regular expressions see what is no UTF-8.
        yield lambda value: matching(value.decode("utf-8", "replace"))


def _bytes(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode())


def _length(
    rules: Any, names: tuple[str, str, str], unit: str, measure: Callable[[Any], int]
) -> Iterator[ValueCheck]:
    exact, least, most = (getattr(rules, name) if rules.HasField(name) else None for name in names)
    if exact is None and least is not None and least == most:
        exact = least
    if exact is not None:
        other = Fault(f"value length must be {exact} {unit}")
        yield lambda value: None if measure(value) == exact else other
    elif least is not None and most is not None:
        beyond = Fault(f"value length must be between {least} and {most} {unit}, inclusive")
        yield lambda value: None if least <= measure(value) <= most else beyond
    elif least is not None:
        short = Fault(f"value length must be at least {least} {unit}")
        yield lambda value: None if measure(value) >= least else short
    elif most is not None:
        long = Fault(f"value length must be at most {most} {unit}")
        yield lambda value: None if measure(value) <= most else long


def _parts(rules: Any) -> Iterator[ValueCheck]:
    if rules.HasField("prefix"):
        prefix = rules.prefix
        missing = Fault(f"value does not have prefix {quoted(prefix)}")
        yield lambda value: None if value.startswith(prefix) else missing
    if rules.HasField("suffix"):
        suffix = rules.suffix
        lacking = Fault(f"value does not have suffix {quoted(suffix)}")
        yield lambda value: None if value.endswith(suffix) else lacking
    if rules.HasField("contains"):
        part = rules.contains
        absent = Fault(f"value does not contain substring {quoted(part)}")
        yield lambda value: None if part in value else absent
    if rules.HasField("not_contains"):
        unwanted = rules.not_contains
        present = Fault(f"value contains substring {quoted(unwanted)}")
        yield lambda value: present if unwanted in value else None


def _format(rules: Any) -> Iterator[ValueCheck]:
    """Yield the check of the format that has a name; there is one at the most."""
    if rules.ip or rules.ipv4 or rules.ipv6:
        yield from _address(rules, ip_of)
    elif rules.email:
        yield _caused("value must be a valid email address", email_fault)
    elif rules.hostname:
        yield _caused("value must be a valid hostname", host_fault)
    elif rules.address:
        neither = Fault("value must be a valid hostname, or ip address")
        yield lambda value: neither if host_fault(value) and ip_of(value) is None else None
    elif rules.uri or rules.uri_ref:
        yield _uri(absolute=rules.uri)
    elif rules.uuid:
        yield _caused("value must be a valid UUID", uuid_fault)


def _address(rules: Any, read: Callable[[Any], object]) -> Iterator[ValueCheck]:
    option = next((each for each in _ADDRESSES if getattr(rules, each)), None)
    if option is not None:
        name, kinds = _ADDRESSES[option]
        fault = Fault(f"value must be a valid {name} address")
        yield lambda value: None if isinstance(read(value), kinds) else fault


def _caused(reason: str, look: Callable[[str], str]) -> ValueCheck:
    def check(value: str) -> Fault | None:
        cause = look(value)
        return Fault(reason, cause) if cause else None

    return check


def _uri(*, absolute: bool) -> ValueCheck:
    def check(value: str) -> Fault | None:
        cause, is_absolute = uri_fault(value)
        if cause:
            return Fault("value must be a valid URI", cause)
        return Fault("value must be absolute") if absolute and not is_absolute else None

    return check


def _pattern(rules: Any) -> str | None:
    known = rules.well_known_regex
    if known in _HEADERS:
        lax = rules.HasField("strict") and not rules.strict
        return _ANY_HEADER if lax else _HEADERS[known]
    return rules.pattern if rules.HasField("pattern") else None


def _matching(pattern: str) -> ValueCheck:
    found = matcher(pattern)
    fault = Fault(f"value does not match regex pattern {quoted(pattern)}")
    return lambda value: None if found(value) else fault


def _hex(data: bytes) -> str:
    return f'"{"".join(f"{chr(92)}x{byte:X}" for byte in data)}"'


def _numbers(data: bytes) -> str:
    return listed(data)
