"""A tree of values fitted to its message: variables put in, and what has no place noted."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from kratos import plugins
from kratos.errors import ConfigError, PluginConflict, PluginLoadError, PluginNotFound
from kratos_gateway.config.oddity import Oddity

__all__ = ["GROUP", "Fault", "Shaper"]

GROUP: Final = "kratos.gateway.middleware"
"""Group of entry points of middleware, by name."""

_log = logging.getLogger("kratos.gateway")

_PLACEHOLDER: Final = re.compile(
    r"(?P<escaped>\$?)\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<default>[^}]*))?\}"
)
_ANY: Final = "google.protobuf.Any"
_WELL_KNOWN: Final = "google.protobuf."
_TRUTHS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}


class Fault(ConfigError):
    """Something that cannot be read.

    Args:
        place: Where.
        text: What is wrong, and what to do.

    Attributes:
        place: Where.
        text: What is wrong, and what to do.
    """

    def __init__(self, place: str, text: str) -> None:
        super().__init__(f"{place}: {text}")
        self.place: Final = place
        self.text: Final = text


class Shaper:
    """Fits trees to messages.

    Args:
        environ: Variables.
        lenient: Whether what cannot be read is noted and left out, in place of an error.

    Attributes:
        oddities: What had no place so far.
        faults: What was left out as it cannot be read.
    """

    def __init__(self, environ: Mapping[str, str], *, lenient: bool = False) -> None:
        self.oddities: list[Oddity] = []
        self.faults: list[Oddity] = []
        self._environ = environ
        self._lenient = lenient

    def message(self, tree: Any, kind: Descriptor, place: str = "") -> Any:
        """Return what a message is read of, from what is written at ``place``.

        Raises:
            Fault: A variable is missing, or the type of an ``Any`` is not known.
        """
        if kind.full_name == _ANY and isinstance(tree, dict):
            return self._any(cast("dict[str, Any]", tree), place)
        if not isinstance(tree, dict) or kind.full_name.startswith(_WELL_KNOWN):
            return self._plain(tree, place)
        fields = _fields(kind)
        fitted: dict[str, Any] = {}
        for key, value in cast("dict[str, Any]", tree).items():
            within = f"{place}.{key}" if place else key
            field = fields.get(key)
            if field is not None:
                self._fit(fitted, key, value, field, within)
            elif key != "@type":
                self._note(within, key, fields, f"{kind.name} has no such key")
        return fitted

    def _fit(
        self, fitted: dict[str, Any], key: str, value: Any, field: FieldDescriptor, place: str
    ) -> None:
        try:
            fitted[key] = self._field(value, field, place)
        except Fault as fault:
            if not self._lenient:
                raise
            self.faults.append(Oddity(place=fault.place, text=fault.text))

    def _field(self, value: Any, field: FieldDescriptor, place: str) -> Any:
        part = field.message_type
        if part is not None and part.GetOptions().map_entry and isinstance(value, dict):
            inner = part.fields_by_name["value"]
            pairs = cast("dict[str, Any]", value).items()
            return {key: self._single(each, inner, f"{place}.{key}") for key, each in pairs}
        if field.is_repeated and isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [self._single(each, field, f"{place}[{at}]") for at, each in enumerate(items)]
        return self._single(value, field, place)

    def _single(self, value: Any, field: FieldDescriptor, place: str) -> Any:
        if field.message_type is not None:
            return self.message(value, field.message_type, place)
        plain = self._plain(value, place)
        if field.type == FieldDescriptor.TYPE_BOOL and isinstance(plain, str):
            return _TRUTHS.get(plain.lower(), plain)
        if field.enum_type is not None and isinstance(plain, str):
            self._check_name(plain, field.enum_type, place)
        return plain

    def _check_name(self, name: str, kind: EnumDescriptor, place: str) -> None:
        known: Mapping[str, object] = kind.values_by_name
        if name not in known:
            self._note(place, name, known, f"{kind.name} has no value {name!r}")

    def _any(self, tree: dict[str, Any], place: str) -> Any:
        url = tree.get("@type")
        if not isinstance(url, str) or not url:
            raise Fault(
                place,
                "it lacks the type of its options: write "
                "'@type': type.googleapis.com/<full name of the message>",
            )
        kind = _type_of(url, place)
        if kind.full_name.startswith(_WELL_KNOWN):
            return self._plain(tree, place)
        return {"@type": url, **self.message(tree, kind, place)}

    def _plain(self, value: Any, place: str) -> Any:
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: self._variable(found, place), value)
        if isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            return [self._plain(each, f"{place}[{at}]") for at, each in enumerate(items)]
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value).items()
            return {key: self._plain(each, f"{place}.{key}") for key, each in pairs}
        return value

    def _variable(self, found: re.Match[str], place: str) -> str:
        if found["escaped"]:
            return found[0][1:]
        name = found["name"]
        value = self._environ.get(name)
        if value is not None:
            return value
        default: str | None = found["default"]
        if default is None:
            raise Fault(
                place, f"the environment has no {name}: set it, or write ${{{name}:default}}"
            )
        return default

    def _note(self, place: str, name: str, known: Mapping[str, object], problem: str) -> None:
        upper = name.upper()  # as words of enums are
        near = [upper] if upper in known else get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        self.oddities.append(Oddity(place=place, text=f"{problem}, so it says nothing; {advice}"))


@lru_cache(maxsize=256)
def _fields(kind: Descriptor) -> Mapping[str, FieldDescriptor]:
    """Return fields by both of their names."""
    return {name: field for field in kind.fields for name in (field.json_name, field.name)}


def _type_of(url: str, place: str) -> Descriptor:
    name = url.rpartition("/")[2]
    pool = descriptor_pool.Default()
    for attempt in (_nothing, _load_middleware):
        attempt()
        try:
            return pool.FindMessageTypeByName(name)
        except KeyError:
            continue
    raise Fault(
        place,
        f"no message {name!r} is known here: mend @type, or install the distribution that brings "
        "the middleware",
    )


def _nothing() -> None:
    """Look first at what is known already."""


def _load_middleware() -> None:
    """Import all middleware that is installed: its options are then known."""
    for plugin in plugins.find(GROUP):
        try:
            plugins.load(GROUP, plugin.name)
        except (PluginConflict, PluginLoadError, PluginNotFound) as error:
            # Whoever asks for this one is told; the others are no worse for it.
            _log.debug("middleware %s cannot be imported: %s", plugin.name, error)
