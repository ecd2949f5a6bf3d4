"""Heads that are known lead to what the parser would have made of them, or to the parser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.transport.http import Head
from kratos_http import Limits
from kratos_http._known import KnownHeads
from kratos_http._reader import Reader

LINES = b"\r\nhost: shop\r\naccept: */*\r\n\r\n"
POSTED = b"\r\nhost: shop\r\ncontent-length: 2\r\n\r\n"

Seen = list[tuple[Any, ...]]


class Requests:
    """Notes each request, however it came."""

    def __init__(self) -> None:
        self.seen: Seen = []
        self.whole = 0
        self._head: tuple[Any, ...] = ()
        self._body = b""

    def on_begin(self) -> None:
        self._body = b""

    def on_request(self, head: Head, /, *, length: int | None, keep: bool, expects: bool) -> None:
        self._head = (*_fields(head), length, keep, expects)

    def on_whole(self, head: Head, body: bytes, /) -> None:
        self.whole += 1
        self.seen.append((*_fields(head), len(body), True, False, body))

    def on_piece(self, data: bytes, /) -> None:
        self._body += data

    def on_end(self) -> None:
        self.seen.append((*self._head, self._body))

    def on_switch(self, rest: bytes, /) -> None:
        self.seen.append((rest,))


def _fields(head: Head) -> tuple[Any, ...]:
    named = (head.method, head.path, head.query, head.version, head.scheme, head.peer, head.tls)
    return (*named, tuple(head.headers))


def _reader(*before: bytes, limits: Limits | None = None) -> tuple[Reader, Requests]:
    requests = Requests()
    reader = Reader(requests, limits or Limits(), peer="peer", tls=True)
    for data in before:
        reader.feed(data)
    requests.seen.clear()
    return reader, requests


def _outcome(data: bytes, *before: bytes) -> tuple[Seen, str, int]:
    reader, requests = _reader(*before)
    try:
        reader.feed(data)
    except Error as error:
        return requests.seen, f"{error.code} {error.message}", requests.whole
    return requests.seen, "", requests.whole


def test_second_request_with_the_same_lines_is_recognised() -> None:
    reader, requests = _reader(b"GET /a HTTP/1.1" + LINES)
    reader.feed(b"GET /b?q=1 HTTP/1.1" + LINES)
    assert requests.whole == 1
    assert requests.seen == _outcome(b"GET /b?q=1 HTTP/1.1" + LINES)[0]


def test_known_lines_bring_the_body_along() -> None:
    reader, requests = _reader(b"POST /a HTTP/1.1" + POSTED + b"ab")
    reader.feed(b"POST /a HTTP/1.1" + POSTED + b"cd")
    assert requests.whole == 1
    assert requests.seen[0][-1] == b"cd"


@pytest.mark.parametrize(
    "second",
    [
        b"POST /a HTTP/1.1" + POSTED + b"c",  # the rest is on its way
        b"POST /a HTTP/1.1" + POSTED + b"cdPOST /a HTTP/1.1" + POSTED + b"ef",
        b"POST /a HTTP/1.0" + POSTED + b"cd",
        b"POST  /a HTTP/1.1" + POSTED + b"cd",
        b"POST /a#b HTTP/1.1" + POSTED + b"cd",
        b"POST http://shop/a HTTP/1.1" + POSTED + b"cd",
        b"POST /\xc3\xa4 HTTP/1.1" + POSTED + b"cd",
        b"BREW /a HTTP/1.1" + POSTED + b"cd",
        b"\r\nPOST /a HTTP/1.1" + POSTED + b"cd",
    ],
)
def test_what_is_not_the_rule_is_left_to_the_parser(second: bytes) -> None:
    first = b"POST /a HTTP/1.1" + POSTED + b"ab"
    seen, problem, whole = _outcome(second, first)
    assert whole == 0
    assert (seen, problem) == _outcome(second)[:2]


@pytest.mark.parametrize(
    "first",
    [
        b"GET /a HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: shop\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: shop\r\nx: " + b"x" * 1024 + b"\r\n\r\n",
        b"\r\nGET /a HTTP/1.1" + LINES,
    ],
)
def test_heads_that_mean_more_than_their_lines_are_not_kept(first: bytes) -> None:
    reader, requests = _reader(first)
    reader.feed(first)
    assert requests.whole == 0
    assert len(requests.seen) == 1


@pytest.mark.parametrize("named", [b"host: shop\r\n", b"", b"host: evil\r\n"])
def test_host_of_an_absolute_target_is_not_that_of_the_next_request(named: bytes) -> None:
    lines = b"\r\n" + named + b"accept: */*\r\n\r\n"
    second = b"GET /a HTTP/1.1" + lines
    assert _outcome(second, b"GET http://evil/a HTTP/1.1" + lines) == _outcome(second)


@pytest.mark.parametrize("last", [b"\r", b"0"])
def test_head_that_is_cut_off_behind_known_lines_waits_for_its_end(last: bytes) -> None:
    known = b"\r\nhost: shop\r\ncontent-length: 53"
    reader, requests = _reader(b"POST /a HTTP/1.1" + known + b"\r\n\r\n" + b"x" * 53)
    cut = b"POST /aaaaaaaa HTTP/1.1" + known + last
    assert len(cut) == 53 + 3  # as long as if its end were at -1, where none is found
    reader.feed(cut)
    assert requests.seen == []


def test_known_lines_in_the_middle_of_a_body_are_a_body() -> None:
    known = b"GET /a HTTP/1.1" + LINES
    length = b"%d" % len(known)
    reader, requests = _reader(known)
    reader.feed(b"POST /b HTTP/1.1\r\nhost: shop\r\ncontent-length: " + length + b"\r\n\r\n")
    reader.feed(known)
    assert requests.whole == 0
    assert requests.seen[0][-1] == known


def test_nothing_is_recognised_after_the_last_request_of_a_connection() -> None:
    known = b"GET /a HTTP/1.1" + LINES
    reader, requests = _reader(known)
    reader.feed(b"GET /a HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
    reader.feed(known)
    assert len(requests.seen) == 1


def test_headers_of_a_request_are_its_own() -> None:
    known = b"GET /a HTTP/1.1" + LINES
    heads: list[Head] = []

    class Spoiler(Requests):
        def on_whole(self, head: Head, body: bytes, /) -> None:
            head.headers.append((b"x-added", b"1"))
            heads.append(head)

    reader = Reader(Spoiler(), Limits(), peer="", tls=False)
    for _ in range(3):
        reader.feed(known)
    assert [len(head.headers) for head in heads] == [3, 3]


def test_longest_head_holds_for_known_lines_too() -> None:
    limits = Limits(max_head=100)
    reader, requests = _reader(b"GET /a HTTP/1.1" + LINES, limits=limits)
    with pytest.raises(Error) as refused:
        reader.feed(b"GET /" + b"a" * 100 + b" HTTP/1.1" + LINES)
    assert refused.value.code == 414
    assert requests.whole == 0


def _numbered(number: int) -> tuple[bytes, Head]:
    data = b"GET /a HTTP/1.1\r\nx: %d\r\n\r\n" % number
    return data, Head("GET", b"/a", b"", [(b"x", b"%d" % number)])


def test_memory_for_heads_of_a_connection_is_bounded() -> None:
    known = KnownHeads(longest=1000)
    for number in range(50):
        data, head = _numbered(number)
        known.learn(data, head, 0)
        assert known.recognise(data) is not None
    assert len(known) <= 4


def test_connection_whose_heads_never_come_again_is_left_alone() -> None:
    known = KnownHeads(longest=1000)
    for number in range(50):
        known.learn(*_numbered(number), 0)
    assert len(known) == 0


def test_known_head_among_ever_new_ones_stays_worth_it() -> None:
    known = KnownHeads(longest=1000)
    for number in range(50):
        if known.recognise(_numbered(0)[0]) is None:
            known.learn(*_numbered(0), 0)
        known.learn(*_numbered(number + 1), 0)
    assert len(known) > 0


def _line(verb: bytes, path: bytes, version: bytes) -> bytes:
    return b"%b /%b %b" % (verb, path, version)


@given(
    line=st.binary(max_size=30)
    | st.builds(
        _line,
        st.sampled_from([b"GET", b"get", b"PRI", b"CONNECT", b"HEAD", b"OPTIONS"]),
        st.binary(max_size=8),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b""]),
    ),
    lines=st.sampled_from([LINES, POSTED]),
    body=st.sampled_from([b"", b"ab", b"abc", b"\r\n"]),
)
def test_known_lines_never_change_what_a_request_is(line: bytes, lines: bytes, body: bytes) -> None:
    data = line + lines + body
    fresh = _outcome(data)
    primed = _outcome(data, b"GET /a HTTP/1.1" + LINES, b"PUT /a HTTP/1.1" + POSTED + b"ab")
    assert primed[:2] == fresh[:2]


@given(
    extra=st.lists(st.sampled_from([b"a: b", b"A:b ", b"b:\tc", b"x", b" d", b":", b"a : b"])),
    end=st.sampled_from([b"\r\n", b"\n", b"\r"]),
)
def test_lines_are_learned_as_the_parser_reads_them(extra: list[bytes], end: bytes) -> None:
    request = end.join([b"GET /a HTTP/1.1", b"host: shop", *extra, b"", b""])
    first = _outcome(request)
    if not first[1]:
        assert _outcome(request, request)[:2] == first[:2]
