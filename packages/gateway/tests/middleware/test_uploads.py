"""Lines of JSON as messages, however they come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos_gateway.exchange import Body
from kratos_gateway.middleware.frames import framed
from kratos_gateway.middleware.rest.uploads import Uploads
from kratos_gateway.middleware.testing import Pieces


def read(line: bytes) -> bytes:
    if line == b"bad":
        raise CodecError("it is bad")
    return line.upper()


async def whole(body: bytes | Body, most: int = 100) -> bytes:
    uploads = Uploads(body, read, most)
    found = b""
    while piece := await uploads.read():
        found += piece
    assert await uploads.read() == b""
    return found


LINES = st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line and line != b"bad"))


@given(lines=LINES, cuts=st.lists(st.integers(0, 100)), ended=st.booleans())
async def test_lines_are_messages_wherever_pieces_end(
    *, lines: list[bytes], cuts: list[int], ended: bool
) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    expected = b"".join(framed(line.upper()) for line in lines if line.strip())
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(ends) if a < b]
    assert await whole(Pieces(*pieces)) == expected
    assert await whole(text) == expected


async def test_message_is_passed_on_before_the_next_line_has_ended() -> None:
    uploads = Uploads(Pieces(b"a\nb", b"c\n", b"d", b"\n", b"e"), read, 100)
    for line in (b"A", b"BC", b"D", b"E"):
        assert await uploads.read() == framed(line)
    assert await uploads.read() == b""


@pytest.mark.parametrize("body", [b"12345", b"12345\n", b"1\n12345\n1"])
async def test_line_that_is_too_long_is_refused_whether_it_has_ended_or_not(body: bytes) -> None:
    for given_as in (body, Pieces(body, b"\n")):
        with pytest.raises(Error, match="more than 4 bytes") as refused:
            await whole(given_as, most=4)
        assert refused.value.code == 413


async def test_line_that_is_no_message_is_refused() -> None:
    uploads = Uploads(b"good\nbad\n", read, 100)
    with pytest.raises(Error, match="it is bad") as refused:
        await uploads.read()
    assert (refused.value.code, refused.value.reason) == (400, "CODEC")
    assert uploads.failure is refused.value


async def test_body_is_closed_with_what_reads_it() -> None:
    body = Pieces(b"a\n")
    Uploads(body, read, 100).close()
    assert body.closed
