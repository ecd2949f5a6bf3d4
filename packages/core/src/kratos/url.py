"""URLs that choose and configure a back end.

``scheme://[user[:password]@]host[:port][,host[:port]...][/path][?option=value...]``. Reserved
characters in any part are written ``%xx``. Secrets never show in ``str`` or in errors.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote, unquote

from kratos.address import join_host_port
from kratos.duration import parse_duration
from kratos.errors import ConfigError

__all__ = ["Host", "Options", "Url", "expand_env", "mask", "parse_url"]

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+(?:%25\w+)?\]|[^:\[\]\s]+)(?::(?P<port>[0-9]{1,5}))?"
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Also of other systems, and misspelt, as errors show URLs that are wrong.
_SECRETS: Final = "tok|pass|pwd|secret|shared_?key|api_?key|access_?key|credential"
_SECRET: Final = re.compile(_SECRETS, re.IGNORECASE)
_SECRET_OPTION: Final = re.compile(rf"([?&][^=&]*(?:{_SECRETS})[^=&]*=)[^&]*", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"//.*@", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host of a URL.

    Attributes:
        name: Name or address, an IPv6 address without brackets.
        port: Port, ``None`` if the URL gives none.
    """

    name: str
    port: int | None = None

    def address(self, default_port: int) -> str:
        """Return ``host:port``, an IPv6 address in brackets."""
        return join_host_port(self.name, default_port if self.port is None else self.port)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Url:
    """A parsed URL; all parts are decoded.

    Attributes:
        scheme: In lower case.
        username: ``None`` if there is no user information.
        password: ``None`` if there is none.
        hosts: In the order given, possibly none.
        path: With its leading slash; empty if there is none.
        query: All values of each option.
    """

    scheme: str
    username: str | None = None
    password: str | None = None
    hosts: tuple[Host, ...] = ()
    path: str = ""
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def __str__(self) -> str:
        user = "" if self.username is None else f"{_HIDDEN}@"
        hosts = ",".join(
            name if host.port is None else f"{name}:{host.port}"
            for host in self.hosts
            for name in [f"[{host.name}]" if ":" in host.name else host.name]
        )
        query = "&".join(
            f"{quote(key)}={_HIDDEN if _SECRET.search(key) else quote(value, safe='/:,*')}"
            for key, values in self.query.items()
            for value in values
        )
        return f"{self.scheme}://{user}{hosts}{quote(self.path)}{'?' if query else ''}{query}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def addresses(self, default_port: int) -> tuple[str, ...]:
        """Return every host as ``host:port``."""
        return tuple(host.address(default_port) for host in self.hosts)


class Options:
    """Reads the options of a URL by type; ``finish`` refuses what nobody asked for.

    Every method takes the option's name and its default, and raises ``ConfigError`` when the
    value is wrong or a single value is given twice.
    """

    __slots__ = ("_known", "_url")

    def __init__(self, url: Url) -> None:
        self._url = url
        self._known: list[str] = []

    def text(self, name: str, *, default: str) -> str:
        """Return a text."""
        value = self._single(name)
        return default if value is None else value

    def texts(self, name: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return all values of an option that may be repeated."""
        self._known.append(name)
        return self._url.query.get(name, default)

    def integer(self, name: str, *, default: int) -> int:
        """Return a whole number."""
        value = self._single(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise self._wrong(name, "must be a whole number")
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean, written ``true`` or ``false``."""
        value = self._single(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise self._wrong(name, "must be true or false")
        return value == "true"

    def duration(self, name: str, *, default: float) -> float:
        """Return seconds, written as such or in Go's form (``15s``, ``500ms``, ``1m30s``)."""
        value = self._single(name)
        if value is None:
            return default
        try:
            seconds = float(value) if _SECONDS.fullmatch(value) else parse_duration(value)
        except ValueError as error:
            raise self._wrong(name, f"must be a duration such as 15s ({error})") from error
        if seconds < 0 or not math.isfinite(seconds):
            raise self._wrong(name, "must not be negative")
        return seconds

    def finish(self) -> None:
        """Refuse options that no method asked for.

        Raises:
            ConfigError: There is one; the text names the known ones.
        """
        for name in self._url.query:
            if name not in self._known:
                near = get_close_matches(name, self._known, n=1)
                guess = f"; did you mean {near[0]}?" if near else ""
                known = ", ".join(sorted(self._known)) or "none"
                # What a misspelt name holds may be a secret.
                hidden = {key: (_HIDDEN,) for key in self._url.query if key not in self._known}
                shown = replace(self._url, query={**self._url.query, **hidden})
                raise ConfigError(f"{shown}: unknown option {name!r} (known: {known}){guess}")

    def _single(self, name: str) -> str | None:
        self._known.append(name)
        values = self._url.query.get(name, ())
        if len(values) > 1:
            raise self._wrong(name, "is given more than once")
        return values[0] if values else None

    def _wrong(self, name: str, complaint: str) -> ConfigError:
        return ConfigError(f"{self._url}: option {name!r} {complaint}")


def parse_url(text: str) -> Url:
    """Parse a URL.

    Raises:
        ConfigError: It is malformed; the text says where, with secrets hidden.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise _malformed(text, "it must look like scheme://host:port/path?option=value")
    if _BAD_ESCAPE.search(text):
        raise _malformed(text, "a % must be followed by two hexadecimal digits (write % as %25)")
    username, password = _user(match["user"])
    return Url(
        scheme=match["scheme"].lower(),
        username=username,
        password=password,
        hosts=tuple(_host(text, host) for host in match["hosts"].split(",") if match["hosts"]),
        path=unquote(match["path"] or ""),
        query=_query(match["query"] or ""),
    )


def expand_env(text: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """Replace each ``${NAME}`` by the environment variable, so that secrets stay out of files.

    Values are escaped where they could change the URL's structure; a value may list several
    hosts.

    Raises:
        ConfigError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise _malformed(text, f"the environment variable {name!r} is not set")
        return quote(environ[name], safe=":,[]")

    return _VARIABLE.sub(value, text)


def mask(text: str) -> str:
    """Return a URL, even a malformed one, without its user information and secret options."""
    return _SECRET_OPTION.sub(rf"\1{_HIDDEN}", _USER_INFO.sub(f"//{_HIDDEN}@", text, count=1))


def _user(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    username, colon, password = text.partition(":")
    return unquote(username), unquote(password) if colon else None


def _host(url: str, text: str) -> Host:
    match = _HOST.fullmatch(text)
    if match is None:
        raise _malformed(url, "each host must be name, name:port or [IPv6]:port")
    port = None if match["port"] is None else int(match["port"])
    if port is not None and port > 65535:
        raise _malformed(url, "a port must be at most 65535")
    return Host(name=unquote(match["name"]).strip("[]"), port=port)


def _query(text: str) -> dict[str, tuple[str, ...]]:
    query: dict[str, tuple[str, ...]] = {}
    for part in filter(None, text.split("&")):
        key, _, value = part.partition("=")
        key = unquote(key)
        query[key] = (*query.get(key, ()), unquote(value))
    return query


def _malformed(text: str, complaint: str) -> ConfigError:
    return ConfigError(f"URL {mask(text)!r}: {complaint}")
