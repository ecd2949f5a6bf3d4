"""Python source of print plans: one function per message type, as fast as if written by hand.

Reading attributes by name and building the result by a ``dict`` display takes a third of the
time of loops over prepared steps. The source holds nothing but identifiers, checked to be such,
literals made by ``repr``, and names that are made up here: as for ``dataclasses`` and
``namedtuple``, no input has a say in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from types import TracebackType
from typing import Any, Final, TypeAlias

from kratos_protojson._error import JsonError
from kratos_protojson._print_values import EnumNames, Write

__all__ = ["Convert", "Field", "compile_plan"]

Convert: TypeAlias = "Write | EnumNames | slice | None"
"""What makes JSON of a value: a function, names by number, ``[:]``, or nothing."""

_HEAD: Final = ("def write(m):", "    try:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What the source says about one field.

    Attributes:
        name: The field of the message.
        key: The member of the JSON object.
        convert: What makes JSON of the value.
        explicit: Whether it has presence.
        null: Whether it is written as ``null`` if it is not set.
        implicit_zero: Whether it is written if it is empty or zero, where it has no presence.
    """

    name: str
    key: str
    convert: Convert
    explicit: bool
    null: bool
    implicit_zero: bool

    @property
    def always(self) -> bool:
        """Whether the key is always there."""
        return self.null if self.explicit else self.implicit_zero


def compile_plan(fields: Sequence[Field]) -> Write:
    """Return a function of a message that returns the ``dict`` of its JSON.

    It raises ``JsonError`` with the key of the field that has no form in JSON.
    """
    keys: dict[int, str] = {}
    names: dict[str, Any] = {}
    lines: list[str] = [*_HEAD]

    def write_line(text: str, key: str = "") -> None:
        lines.append(f"        {text}")
        keys[len(lines)] = key

    # Fields that are always there open the dict, so that it is made in one go.
    first = next((at for at, field in enumerate(fields) if not field.always), len(fields))
    write_line("d = {")
    for at, field in enumerate(fields[:first]):
        write_line(f"{field.key!r}: {_whole(field, at, names)},", field.key)
    write_line("}")
    for at, field in enumerate(fields[first:], start=first):
        for text in _statements(field, at, names):
            write_line(text, field.key)
    lines += ["        return d", "    except ValueError as error:", "        raise fail(error)"]

    def fail(error: ValueError) -> JsonError:
        trace: TracebackType | None = error.__traceback__
        key = keys.get(trace.tb_lineno, "") if trace is not None else ""
        found = JsonError.of(error).within(key)
        found.__suppress_context__ = True
        return found

    names["fail"] = fail
    exec("\n".join(lines), names)  # noqa: S102  # see above
    write: Write = names["write"]
    return write


def _statements(field: Field, at: int, names: dict[str, Any]) -> Sequence[str]:
    if field.always:
        return [f"d[{field.key!r}] = {_whole(field, at, names)}"]
    put = f"d[{field.key!r}] ="
    if field.explicit:
        return [f"if m.HasField({field.name!r}): {put} {_expression(field, at, names)}"]
    # Negative zero is a value, though it compares equal to the unset one.
    test = "if v or v.__class__ is float and repr(v) == '-0.0'"
    return [f"v = {_read(field)}", f"{test}: {put} {_converted(field, 'v', at, names)}"]


def _whole(field: Field, at: int, names: dict[str, Any]) -> str:
    """Return the expression of a field that is always there."""
    value = _expression(field, at, names)
    return f"{value} if m.HasField({field.name!r}) else None" if field.explicit else value


def _expression(field: Field, at: int, names: dict[str, Any]) -> str:
    return _converted(field, _read(field), at, names)


def _read(field: Field) -> str:
    plain = field.name.isidentifier() and not iskeyword(field.name)
    return f"m.{field.name}" if plain else f"getattr(m, {field.name!r})"


def _converted(field: Field, value: str, at: int, names: dict[str, Any]) -> str:
    convert = field.convert
    if convert is None:
        return value
    if isinstance(convert, slice):
        return f"{value}[:]"
    names[f"c{at}"] = convert
    return f"c{at}[{value}]" if isinstance(convert, EnumNames) else f"c{at}({value})"
