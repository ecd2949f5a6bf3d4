"""Formats of texts that have names: hosts, addresses, URIs, UUIDs; with what is wrong, or nothing.

They follow what Go's standard library takes, as protoc-gen-validate asks it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from kratos_validate._text import cut, quoted

__all__ = ["email_fault", "host_fault", "ip_of", "packed_ip", "uri_fault", "uuid_fault"]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ATOM: Final = r"[^\x00-\x20\"(),.:;<>@\[\\\]\x7f]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_ADDRESS: Final = re.compile(
    rf"(?P<local>{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@[ \t]*(?P<domain>{_ATOM}(?:\.{_ATOM})*)"
)
# One character at a time, so that there is one way alone to read a text.
_PLAIN: Final = r"[^\x00-\x08\x0a-\x1f\"(),:;<>@\[\\\]\x7f]"
_NAMED: Final = re.compile(rf"(?:{_PLAIN}|{_QUOTED})*<(?P<address>[^<>]*)>")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_USER: Final = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_BAD_HOST: Final = re.compile(r"[\x00-\x20\\^`{|}\x7f]")
_ANY_ESCAPE: Final = re.compile(r"%[0-7][0-9A-Fa-f]")
_PORT: Final = re.compile(r"(?::[0-9]*)?")
_MOST_OF_HOST: Final = 253
_MOST_OF_PART: Final = 63
_MOST_OF_ADDRESS: Final = 254
_MOST_OF_LOCAL: Final = 64


def host_fault(host: str) -> str:
    """Tell what is wrong with the name of a host; empty for nothing."""
    if len(host.encode()) > _MOST_OF_HOST:
        return "hostname cannot exceed 253 characters"
    for part in host.removesuffix(".").lower().split("."):
        if not 0 < len(part.encode()) <= _MOST_OF_PART:
            return "hostname part must be non-empty and cannot exceed 63 characters"
        if part[0] == "-":
            return "hostname parts cannot begin with hyphens"
        if part[-1] == "-":
            return "hostname parts cannot end with hyphens"
        for character in part:
            if not (character.isascii() and character.isalnum()) and character != "-":
                return (
                    "hostname parts can only contain alphanumeric characters or hyphens, "
                    f"got {quoted(character)}"
                )
    return ""


def email_fault(text: str) -> str:
    """Tell what is wrong with an address of mail, which may have a name before it in ``<>``."""
    text = text.strip(" \t")
    if (named := _NAMED.fullmatch(text)) is not None:
        text = named["address"].lstrip(" \t")
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return "mail: no address of the form local@domain"
    local, domain = found["local"], found["domain"]
    if local == '""':
        return "mail: missing '@' or angle-addr"
    if local[0] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    if len(f"{local}@{domain}".encode()) > _MOST_OF_ADDRESS:
        return "email addresses cannot exceed 254 characters"
    # Go takes what is before the first @ for the local part, even of a quoted one.
    if len(local.partition("@")[0].encode()) > _MOST_OF_LOCAL:
        return "email address local phrase cannot exceed 64 characters"
    return host_fault(f"{local}@{domain}".partition("@")[2])


def uuid_fault(text: str) -> str:
    """Tell that a text is no UUID; empty if it is one."""
    return "" if _UUID.fullmatch(text) else "invalid uuid format"


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is, ``None`` if it is none; IPv4 in IPv6 is IPv4."""
    if "%" in text:  # a zone
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def packed_ip(data: bytes) -> IPv4Address | IPv6Address | None:
    """Return the address that bytes are, ``None`` if they are none; IPv4 in IPv6 is IPv4."""
    if len(data) not in (4, 16):
        return None
    found = ip_address(data)
    return getattr(found, "ipv4_mapped", None) or found


def uri_fault(text: str) -> tuple[str, bool]:
    """Tell what is wrong with a reference, empty for nothing, and whether it has a scheme."""
    whole, absolute = text, False
    text, _, fragment = text.partition("#")
    if _CONTROLS.search(text):
        return f"parse {quoted(cut(text))}: net/url: invalid control character in URL", False
    fault = _of_reference(text)
    if (scheme := _SCHEME.match(text)) is not None:
        absolute = True
        fault = _of_rest(text[scheme.end() :], absolute=True)
    if not fault and (escape := _BAD_ESCAPE.search(fragment)) is not None:
        fault = f"invalid URL escape {quoted(escape[0])}"
        text = whole
    return (f"parse {quoted(cut(text))}: {fault}" if fault else ""), absolute


def _of_reference(text: str) -> str:
    if text.startswith(":"):
        return "missing protocol scheme"
    return _of_rest(text, absolute=False)


def _of_rest(rest: str, *, absolute: bool) -> str:
    path = rest.partition("?")[0]
    if not path.startswith("/"):
        if absolute:
            return ""  # opaque
        if ":" in path.partition("/")[0]:
            return "first path segment in URL cannot contain colon"
    elif path.startswith("//") and (absolute or not path.startswith("///")):
        authority, slash, path = path[2:].partition("/")
        path = slash + path
        if fault := _of_authority(authority):
            return fault
    escape = _BAD_ESCAPE.search(path)
    return f"invalid URL escape {quoted(escape[0])}" if escape else ""


def _of_authority(authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at and _USER.fullmatch(user) is None:
        return "net/url: invalid userinfo"
    if at and (escape := _BAD_ESCAPE.search(user)) is not None:
        return f"invalid URL escape {quoted(escape[0])}"
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            return "missing ']' in host"
        inner, port = host[1:end], host[end + 1 :]
        if _PORT.fullmatch(port) is None:
            return f"invalid port {quoted(port)} after host"
        address, _, _ = inner.partition("%25")
        return "" if isinstance(_literal(address), IPv6Address) else "invalid host"
    if "[" in host:
        return "invalid IP-literal"
    colon = host.rfind(":")
    if colon >= 0 and _PORT.fullmatch(host[colon:]) is None:
        return f"invalid port {quoted(host[colon:])} after host"
    if (escape := _BAD_ESCAPE.search(host) or _ANY_ESCAPE.search(host)) is not None:
        return f"invalid URL escape {quoted(escape[0])}"
    if (bad := _BAD_HOST.search(host)) is not None:
        return f"invalid character {quoted(bad[0])} in host name"
    return ""


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
