"""From text to messages (Go: ``config``, which goes from YAML to JSON to the message, too)."""

from __future__ import annotations

import os
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

import kratos_gateway.api
from kratos.config.formats import decoder
from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Gateway, PriorityConfig
from kratos_gateway.config.oddity import Oddity
from kratos_gateway.config.shape import Fault, Shaper
from kratos_protojson import JsonError, ParseOptions, Parser

__all__ = ["Misread", "Parsed", "misread", "parse", "parse_priority", "read"]

M = TypeVar("M", bound=Message)

_MOST: Final = 20  # of what is wrong with one text: for each, all of it is read again
_STEP: Final = re.compile(r'([^.\[\]"]+)|\["(.*?)"\](?=[.\[]|$)|\[(\d+)\]')
_PARSER: Final = Parser(ParseOptions(ignore_unknown=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Generic[M]):
    """A message, and what of its text nothing reads.

    Attributes:
        message: The message.
        oddities: Keys and names that the message has not, in the order of the text; left out.
    """

    message: M
    oddities: Sequence[Oddity] = ()


class Misread(NamedTuple):
    """Why a text cannot be read, and what of it nothing would read."""

    faults: Sequence[Oddity]
    oddities: Sequence[Oddity] = ()


def parse(
    text: str, *, name: str = "config.yaml", environ: Mapping[str, str] | None = None
) -> Gateway:
    """Return the configuration that a text in YAML or JSON describes.

    Fields have their names of the definition, or those of JSON. ``${NAME}`` within a value stands
    for an environment variable, ``${NAME:default}`` also where there is none, ``$${`` for ``${``.
    Keys that the message has not are left out, as in Go; ``read`` tells of them.

    Args:
        text: The whole text; ``{}`` is the empty configuration.
        name: Of the file, for errors.
        environ: Variables; ``None`` for those of the process.

    Raises:
        ConfigError: It is empty or no YAML, a value is none of its field, or a variable is missing;
            names the place.
    """
    return read(text, Gateway, name=name, environ=environ).message


def parse_priority(
    text: str, *, name: str, environ: Mapping[str, str] | None = None
) -> PriorityConfig:
    """Return the priority configuration that a text describes; all else as of ``parse``."""
    return read(text, PriorityConfig, name=name, environ=environ).message


def read(
    text: str,
    message_type: type[M],
    *,
    name: str,
    environ: Mapping[str, str] | None = None,
) -> Parsed[M]:
    """Return a message, and what of its text it has no place for; all else as of ``parse``."""
    _load_options()
    shaper = Shaper(os.environ if environ is None else environ)
    try:
        shaped = shaper.message(_tree(text), cast("Descriptor", message_type.DESCRIPTOR))
        message = _PARSER.from_dict(shaped, message_type)
    except JsonError as error:
        place = error.field or "the whole"
        raise ConfigError(f"{name}: {place}: {error.problem}{_advice(error.problem)}") from error
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    return Parsed(message=message, oddities=tuple(shaper.oddities))


def misread(
    text: str, message_type: type[Message], *, environ: Mapping[str, str] | None = None
) -> Misread:
    """Return all for which ``read`` refuses a text, where it tells the first; nothing if it reads.

    Of a list, the first element that is wrong as a whole is told.
    """
    _load_options()
    shaper = Shaper(os.environ if environ is None else environ, lenient=True)
    try:
        shaped = shaper.message(_tree(text), cast("Descriptor", message_type.DESCRIPTOR))
    except Fault as fault:
        return Misread([Oddity(place=fault.place, text=fault.text)], shaper.oddities)
    except ValueError as error:
        return Misread([Oddity(place="", text=str(error))])
    return Misread([*shaper.faults, *_refusals(shaped, message_type)], shaper.oddities)


def _refusals(shaped: Any, message_type: type[Message]) -> Iterator[Oddity]:
    """Yield why a tree is not read, taking away from it what was told."""
    for _ in range(_MOST):
        try:
            _PARSER.from_dict(shaped, message_type)
        except JsonError as error:
            yield Oddity(place=error.field, text=f"{error.problem}{_advice(error.problem)}")
            if not _take_away(shaped, error.field):
                return
        else:
            return


def _take_away(tree: Any, place: str) -> bool:
    """Take a value away, with the whole list if it is an element; tell whether it was there."""
    owner: dict[str, Any] = {}
    last = ""
    within = tree
    for name, key, index in _STEP.findall(place):
        if index and isinstance(within, list):
            items: list[Any] = within  # pyright: ignore[reportUnknownVariableType]
            within = items[int(index)]
        elif isinstance(within, dict):
            owner, last = cast("dict[str, Any]", within), key or name
            within = owner.get(last)
        else:  # a key that is long or has quotes is not in the place as it was written
            return False
    return owner.pop(last, None) is not None


def _tree(text: str) -> Any:
    tree = _json(text) if text.lstrip().startswith("{") else None
    if tree is None:
        decode = decoder("yaml")
        assert decode is not None, "the core brings it"
        tree = decode(text.encode("utf-8", "surrogatepass"))
    if tree is None:
        # Whoever copies over a file empties it first, and all endpoints would be gone till the end.
        raise ConfigError("it is empty: write endpoints, or {} for none")
    if not isinstance(tree, dict):
        raise ConfigError(f"it is {_kind(tree)}, where keys such as endpoints are expected")
    return tree  # pyright: ignore[reportUnknownVariableType]


def _json(text: str) -> Any:
    """Return what JSON says; ``None`` for what is none, as YAML may have braces as well.

    YAML does not read all of JSON: it takes pairs of escapes, as of an emoji, for two characters.
    """
    decode = decoder("json")
    assert decode is not None, "the core brings it"
    try:
        return decode(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None


def _advice(problem: str) -> str:
    """Return what to do about a number or a truth where YAML has to be told that it is a text."""
    plain = re.fullmatch(r"expected a string, got ([-+.\w]+)", problem)
    if plain is None or plain[1] == "null":
        return ""
    return f': write it in quotes, "{plain[1]}"'


def _kind(tree: object) -> str:
    return "a list" if isinstance(tree, list) else f"the single value {tree!r:.40}"


@cache
def _load_options() -> None:
    """Make known the options of all middleware that comes with the gateway."""
    for module in pkgutil.iter_modules(kratos_gateway.api.__path__):
        if module.name.endswith("_pb2"):
            import_module(f"kratos_gateway.api.{module.name}")
