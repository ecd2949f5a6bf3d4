"""Path templates of rules as the paths of a document, which know one kind of variable alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kratos.transport.rule import Capture, PathTemplate, SegmentKind

__all__ = ["DocumentPath", "Variable", "document_path", "numbered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable of a document's path: one wildcard of a template.

    Attributes:
        name: Its name, unique in the path.
        field: Dotted path of the field that it fills, or fills a part of; empty for none.
        pattern: The field's text where it is made of several segments, else empty.
        rest: Whether it stands for any number of segments, slashes included.
    """

    name: str
    field: str
    pattern: str
    rest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPath:
    """A template as a document has it.

    Attributes:
        pieces: Its segments; variables by their position, not their name.
        variables: In the order of the path.
        verb: Custom verb, empty if there is none.
    """

    pieces: tuple[str | int, ...]
    variables: tuple[Variable, ...]
    verb: str

    @property
    def shape(self) -> str:
        """The path without names; a document may have one path of each shape."""
        return self.text([""] * len(self.variables))

    def text(self, names: list[str]) -> str:
        """Return the path with these names of variables."""
        pieces = (p if isinstance(p, str) else f"{{{names[p]}}}" for p in self.pieces)
        path = "/" + "/".join(pieces)
        return f"{path}:{self.verb}" if self.verb else path


def document_path(template: PathTemplate) -> DocumentPath:
    """Take a template apart.

    A variable of several segments, such as ``{name=shelves/*}``, becomes one for each wildcard:
    clients escape the slashes of values, and an escaped slash is no separator.
    """
    names = _Names(template)
    pieces: list[str | int] = []
    variables: list[Variable] = []
    for index, literal in enumerate(_literals(template)):
        segment = template.segments[index]
        if segment.kind is SegmentKind.LITERAL:
            pieces.append(literal)
            continue
        capture = _capture(template, index)
        variables.append(
            Variable(
                name=names.of(index, capture),
                field=capture.variable if capture else "",
                pattern=_pattern(template, capture) if capture else "",
                rest=segment.kind is SegmentKind.REST,
            )
        )
        pieces.append(len(variables) - 1)
    return DocumentPath(pieces=tuple(pieces), variables=tuple(variables), verb=template.verb)


def _literals(template: PathTemplate) -> list[str]:
    path = template.normalised
    if template.verb:
        path = path.removesuffix(f":{template.verb}")
    return path[1:].split("/") if template.segments else []


def _capture(template: PathTemplate, index: int) -> Capture | None:
    return next((one for one in template.captures if one.start <= index < one.stop), None)


def _pattern(template: PathTemplate, capture: Capture) -> str:
    if _is_single(capture):
        return ""
    return "/".join(segment.text for segment in template.segments[capture.start : capture.stop])


class _Names:
    """Names for wildcards: the variable's own, or one made of the literal before.

    A dot becomes an underscore: tools take it for something else.
    """

    def __init__(self, template: PathTemplate) -> None:
        self._template = template
        self._used = {_plain(one.variable) for one in template.captures if _is_single(one)}
        self._given: set[str] = set()

    def of(self, index: int, capture: Capture | None) -> str:
        """Return the name of a segment's wildcard."""
        if capture is not None and _is_single(capture):
            base, taken = _plain(capture.variable), self._given
        else:
            base, taken = self._derived(index, capture), self._used | self._given
        name = next(name for name in numbered(base) if name not in taken)
        self._given.add(name)
        return name

    def _derived(self, index: int, capture: Capture | None) -> str:
        before = self._template.segments[index - 1] if index else None
        if before is not None and before.kind is SegmentKind.LITERAL:
            return _singular(_plain(before.text))
        return _plain(capture.variable) if capture else "segment"


def _is_single(capture: Capture) -> bool:
    return capture.stop - capture.start == 1


def _plain(text: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in text)


def numbered(base: str) -> Iterator[str]:
    """Yield names that are not there yet: a name, then the name with 2, 3 and so on."""
    yield base
    number = 2
    while True:
        yield f"{base}{number}"
        number += 1


def _singular(word: str) -> str:
    """Return the singular of a collection's name, by rules that suffice for a label."""
    for plural, singular in (("ies", "y"), ("lves", "lf"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(plural) and not word.endswith("ss") and len(word) > len(plural):
            return word.removesuffix(plural) + singular
    return word
