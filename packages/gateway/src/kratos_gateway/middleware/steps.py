"""Changes of documents of JSON, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from google.protobuf import json_format

from kratos.errors import ConfigError
from kratos_gateway.api.transform_pb2 import Transform
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.pointers import Pointer
from kratos_gateway.middleware.templates import Template

__all__ = ["Steps", "TooMuch"]

_FREE: Final = 64  # characters that are not counted
_MOST: Final = 8 * 1024 * 1024  # characters that one step puts into a document

Step: TypeAlias = Callable[[Any, Request, Answer | None], Any]
"""Changes a document, and returns it or what takes its place."""


class TooMuch(Exception):
    """What a client has sent would be put into a document too often: it would not fit memory."""


class Steps:
    """Changes documents as a configuration says.

    Args:
        given: What is done.
        name: Of the option, for errors.
        answers: Whether they are those of answers.

    Raises:
        ConfigError: One of them says nothing, or what it says cannot be done.
    """

    def __init__(
        self, given: Iterable[Transform.Step], /, *, name: str, answers: bool = False
    ) -> None:
        self._steps: Final[Sequence[Step]] = [
            _step(each, f"{name}[{at}]", answers=answers) for at, each in enumerate(given)
        ]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def change(self, document: Any, request: Request, answer: Answer | None = None, /) -> Any:
        """Return a document changed; the one that is given is not used any more.

        Raises:
            TooMuch: It would be too large.
        """
        for step in self._steps:
            document = step(document, request, answer)
        return document


def _step(given: Transform.Step, name: str, *, answers: bool) -> Step:
    kind = given.WhichOneof("step")
    if kind == "set":
        return _put(given.set, f"{name}.set", answers=answers, over=True)
    if kind == "add":
        return _put(given.add, f"{name}.add", answers=answers, over=False)
    if kind == "remove":
        return _remove(Pointer(given.remove, name=f"{name}.remove"))
    if kind == "rename":
        return _rename(given.rename, f"{name}.rename")
    if kind == "wrap":
        return _wrap(given.wrap, f"{name}.wrap")
    if kind == "unwrap":
        return _unwrap(Pointer(given.unwrap, name=f"{name}.unwrap"))
    raise ConfigError(f"{name} says nothing: write set, add, remove, rename, wrap or unwrap")


def _put(given: Transform.Put, name: str, *, answers: bool, over: bool) -> Step:
    pointer = Pointer(given.path, name=f"{name}.path", whole=over)
    kind = given.WhichOneof("what")
    if kind == "template":
        template = Template(given.template, name=f"{name}.template", answers=answers)

        def fill(document: Any, request: Request, answer: Answer | None) -> Any:
            text = template.fill(request, answer)
            if len(text) > _FREE and len(text) * pointer.count(document) > _MOST:
                raise TooMuch("what is put into it makes it too large")
            return pointer.put(document, text, over=over)

        return fill
    if kind is None:
        raise ConfigError(f"{name} has nothing to put: write value or template")
    value = _whole(json_format.MessageToDict(given.value))

    def put(document: Any, _request: Request, _answer: Answer | None) -> Any:
        return pointer.put(document, value, over=over)

    return put


def _remove(pointer: Pointer) -> Step:
    def remove(document: Any, _request: Request, _answer: Answer | None) -> Any:
        pointer.remove(document)
        return document

    return remove


def _rename(given: Transform.Rename, name: str) -> Step:
    pointer, to = Pointer(given.path, name=f"{name}.path"), given.to
    if not to or "/" in to:
        raise ConfigError(
            f"{name}.to is the new name alone, not {to!r}: fields stay where they are"
        )

    def rename(document: Any, _request: Request, _answer: Answer | None) -> Any:
        pointer.rename(document, to)
        return document

    return rename


def _wrap(field: str, name: str) -> Step:
    if not field:
        raise ConfigError(f"{name} is empty: name a field such as data")
    return lambda document, _request, _answer: {field: document}


def _unwrap(pointer: Pointer) -> Step:
    return lambda document, _request, _answer: next(pointer.find(document), document)


def _whole(value: Any) -> Any:
    """Return a value whose whole numbers are such: ``Value`` has but one kind of them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [_whole(each) for each in items]
    if isinstance(value, dict):
        fields: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {key: _whole(each) for key, each in fields.items()}
    return value
