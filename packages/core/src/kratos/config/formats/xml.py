"""XML: elements and attributes are keys, elements of one name are a list, the root has no name.

``<config><server port="80"><host>a</host><host>b</host></server></config>`` is
``{"server": {"port": "80", "host": ["a", "b"]}}``. All values are text. Document types, and so
entities, are refused.
"""

from __future__ import annotations

from typing import Any, cast
from xml.parsers import expat

__all__ = ["decode"]

_DEEPEST = 100


def decode(data: bytes) -> Any:
    """Return what is within the root element; of white space alone, ``None``.

    Raises:
        ValueError: It is no XML, has a document type, or mixes text and elements.
    """
    if not data.strip():
        return None
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code)
        raise ValueError(f"line {error.lineno}, column {error.offset + 1}: {problem}") from None
    except LookupError as error:  # of an encoding
        raise ValueError(str(error)) from None
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[tuple[dict[str, Any], list[str]]] = []

    def start(self, _name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == _DEEPEST:
            raise ValueError(f"elements are nested more than {_DEEPEST} deep")
        self._open.append((dict(attributes), []))

    def end(self, name: str) -> None:
        members, pieces = self._open.pop()
        text = "".join(pieces).strip()
        if members and text:
            raise ValueError(f"element {name} mixes text with elements or attributes")
        if not self._open:
            self.root = members or text or {}
            return
        _put(self._open[-1][0], name, members or text)

    def text(self, piece: str) -> None:
        self._open[-1][1].append(piece)

    def doctype(self, *_: object) -> None:
        raise ValueError("document types are refused")


def _put(members: dict[str, Any], name: str, value: object) -> None:
    if name not in members:
        members[name] = value
    elif isinstance(members[name], list):
        cast("list[object]", members[name]).append(value)
    else:
        members[name] = [members[name], value]
