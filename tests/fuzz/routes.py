"""Templates and paths against a matcher that tries every route by a regular expression."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from kratos.transport.http import Endpoint, Head, Reply
from kratos.transport.rule import PathTemplate, PathValueError, SegmentKind, TemplateError
from kratos_http.router import Route, Router

__all__ = ["SEEDS", "WORDS", "check"]

SEEDS: Final = (
    b"/a/{b}\n/a/{b=c/*}\n\n/a/c/d",
    b"/{x}\n/{y}:undo\n/*:undo\n\n/a:undo",
    b"/v1/{name=shelves/*/books/**}\n/v1/{a}/{b}\n\n/v1/shelves/1/books/2%2F3",
    b"/a/**\n/a/b\n/{c}/b\n\n/a/b",
    b"/\n\n/",
    b"/%41/{b.c}\n\n/A/%C3%A9",
    b"/a\n\n/a/",
    b"/a%2f\n\n/a/",
    b"/*:undo\n\n/.:undo",
)
WORDS: Final = (
    b"/{", b"}", b"=*}", b"=**}", b"/*", b"/**", b":undo", b"\n\n", b"%2F", b"%2f", b"%C3%A9",
    b"%", b"/..", b"/.", b"//", b"{a.b}", b"{a=b/*/c}",
)  # fmt: skip
_RANK: Final = {SegmentKind.LITERAL: 0, SegmentKind.SINGLE: 1, SegmentKind.REST: 2}
_DOTS: Final = frozenset((".", ".."))
_MOST: Final = 12  # routes


class Named:
    """An endpoint that is only known by its template."""

    max_body = 0

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200)


def check(data: bytes) -> None:
    """Route a path: to the most specific of all that match, with the values of its variables."""
    defined, _, path = data.partition(b"\n\n")
    router = Router(error_reply=lambda _head, error: Reply(error.code))
    routes: dict[Endpoint, Route] = {}
    for text in defined.decode("latin-1").split("\n")[:_MOST]:
        endpoint = Named()
        try:
            route = router.add("GET", text, endpoint)
        except TemplateError:
            continue
        routes.setdefault(endpoint, route)
    head = Head("GET", path, b"", [])
    found = routes.get(router.route(head))
    best = _best(list(routes.values()), path)
    if found is None:
        assert best is None, f"{path!r} is not led to {best.template.text!r}"
        return
    assert best is not None, f"{path!r} is led to {found.template.text!r}"
    assert _specific(found) == _specific(best), (found.template.text, best.template.text)
    matched = found.template.match(path.decode())
    assert matched is not None
    assert list(head.params) == list(matched.values())
    _goes_back(found.template, matched)


def _goes_back(template: PathTemplate, values: dict[str, str]) -> None:
    try:
        path = template.expand(values.__getitem__)
    except PathValueError:
        return
    assert template.match(path) == values


def _best(routes: list[Route], path: bytes) -> Route | None:
    try:
        text = path.decode()
        raw = text[1:].split("/") if len(text) > 1 else []
        if not text.startswith("/") or not _DOTS.isdisjoint(_plain(piece) for piece in raw):
            return None
    except ValueError:
        return None
    matching = [route for route in routes if _fits(route.template, text)]
    return min(matching, key=_specific, default=None)


def _fits(template: PathTemplate, path: str) -> bool:
    """Tell whether a path fits, which a dot before the verb does not: it would be a value."""
    if not _pattern(template).fullmatch(path):
        return False
    bare = path.removesuffix(f":{template.verb}") if template.verb else path
    return _DOTS.isdisjoint(_plain(piece) for piece in bare.split("/"))


def _specific(route: Route) -> tuple[bool, list[int]]:
    """Return what makes a route less specific than another: first of all, to have no verb."""
    ranks = [_RANK[segment.kind] for segment in route.template.segments]
    return not route.template.verb, ranks


def _pattern(template: PathTemplate) -> re.Pattern[str]:
    pattern = ""
    for segment in template.segments:
        if segment.kind is SegmentKind.REST:
            pattern += "(?:/.*)?"
        elif segment.kind is SegmentKind.SINGLE:
            pattern += "/[^/]+"
        else:
            pattern += "/" + _spellings(segment.text)
    pattern = pattern or "/"
    return re.compile(pattern + re.escape(f":{template.verb}" if template.verb else ""), re.DOTALL)


def _spellings(text: str) -> str:
    """Return a pattern for a literal, each byte of which may be escaped; its slashes have to be."""
    return "".join(f"(?:{_itself(letter)}{_escaped(letter)})" for letter in text)


def _itself(letter: str) -> str:
    return "" if letter == "/" else re.escape(letter) + "|"


def _escaped(letter: str) -> str:
    return "".join(f"%(?i:{byte:02x})" for byte in letter.encode())


def _plain(piece: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", piece):
        raise ValueError("a broken escape")
    return unquote_to_bytes(piece).decode()
