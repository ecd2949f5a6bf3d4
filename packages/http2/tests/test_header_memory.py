"""Header blocks are read once for as long as they mean the same, and never longer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hpack import Decoder, Encoder
from hpack.hpack import encode_integer
from hpack.huffman_table import decode_huffman as decode_by_library
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos_http2 import HeaderBlock, encode_fields
from kratos_http2.header_blocks import VARYING, HeaderReader
from kratos_http2.huffman import decode_huffman

Field = tuple[bytes, bytes]

CALL: list[Field] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/helloworld.Greeter/SayHello"),
    (b":authority", b"localhost:9000"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


def reader(*, max_list: int = 1 << 20) -> HeaderReader:
    return HeaderReader(request=True, max_list=max_list, table=4096)


def pairs(block: HeaderBlock) -> list[Field]:
    return [*block.pseudo.items(), *block.fields]


def test_same_bytes_are_the_same_block_while_the_table_is_the_same() -> None:
    reading, encoder = reader(), Encoder()
    reading.read(encoder.encode(CALL))
    block = reading.read(encoder.encode(CALL))
    block.note = "mine"
    assert reading.read(encoder.encode(CALL)) is block
    assert block.base is block
    assert block.varying == ()


def test_three_entries_of_equal_size_do_not_pass_for_each_other() -> None:
    # After each of these blocks the table has one entry fewer than it was given, of the same size
    # in all, and the newest is the one that was the newest before: a comparison sees no change.
    reading = reader()
    value = b"v" * 1328  # three entries of 1365 bytes are 4095
    a, b = ((b"x-%b1" % name, value) for name in (b"a", b"b"))
    reading.read(literal(a) + literal(a) + literal(a))
    oldest = b"\xc0"  # the third entry
    assert pairs(reading.read(oldest)) == [a]
    reading.read(literal(b) + literal(a) + literal(a))
    assert pairs(reading.read(oldest)) == [b]
    reading.read(literal(b) + literal(a) + literal(a))
    assert pairs(reading.read(oldest)) == [b]
    reading.read(literal(a) + literal(b) + literal(a))
    assert pairs(reading.read(oldest)) == [a]
    assert pairs(reading.read(b"\xbf")) == [b]


def literal(field: Field) -> bytes:
    """Encode a field with a name of its own, to be added to the table."""
    name, value = field
    return b"\x40" + text(name) + text(value)


def text(value: bytes) -> bytes:
    return bytes(encode_integer(len(value), 7)) + value


def test_other_size_of_the_table_forgets_what_was_known() -> None:
    reading = reader()
    reading.read(literal((b"a", b"b")))
    assert pairs(reading.read(b"\xbe")) == [(b"a", b"b")]
    reading.read(b"\x20\x3f\xe1\x1f" + literal((b"a", b"c")))
    assert pairs(reading.read(b"\xbe")) == [(b"a", b"c")]


def test_block_with_another_deadline_each_time_has_one_base() -> None:
    reading, encoder = reader(), Encoder()
    blocks = [
        reading.read(encoder.encode([*CALL, (b"grpc-timeout", b"%du" % number)]))
        for number in range(1000, 1400)  # more than the table holds
    ]
    base = blocks[0].base
    assert all(block.base is base for block in blocks)
    assert base.base is base
    assert pairs(base) == CALL
    for number, block in enumerate(blocks, 1000):
        deadline = (b"grpc-timeout", b"%du" % number)
        assert block.varying == (deadline,)
        assert pairs(block) == [*CALL, deadline]
        assert block.size == base.size + len(b"".join(deadline)) + 32
        assert block.note is None
        assert (block.path, block.authority, block.method) == (CALL[2][1], CALL[3][1], b"POST")
    assert pairs(reading.read(encoder.encode(CALL))) == CALL
    assert reading.read(encoder.encode(CALL)).base is base


def test_varying_fields_keep_their_place_among_the_others() -> None:
    fields = [
        *CALL[:4],
        (b"traceparent", b"00-1"),
        *CALL[4:],
        (b"grpc-timeout", b"1S"),
        (b"grpc-timeout", b"2S"),
        (b"x", b"y"),
    ]
    block = reader().read(encode_fields(fields))
    assert pairs(block) == fields
    assert block.varying == (fields[4], fields[-3], fields[-2])
    assert pairs(block.base) == [*CALL, (b"x", b"y")]
    assert block.problem == ""


def test_pseudo_field_between_varying_fields_that_are_the_same_is_late() -> None:
    block = reader().read(b"\xa1\x01\x01a\xa1")  # date, :authority, date
    assert block.problem == "a pseudo-header field is late"
    assert block.fields == ((b"date", b""), (b"date", b""))


@pytest.mark.parametrize(
    ("lengths", "expected", "problem"),
    [
        ([b"5"], 5, ""),
        ([b"5", b"5"], 5, ""),
        ([b"5", b"6"], 5, "content-length is there twice, with two values"),
        ([b"x"], None, "content-length is no number"),
        ([b""], None, "content-length is no number"),
    ],
)
def test_length_is_read_although_it_varies(
    lengths: list[bytes], expected: int | None, problem: str
) -> None:
    block = reader().read(encode_fields([*CALL, *((b"content-length", n) for n in lengths)]))
    assert block.content_length == expected
    assert (block.problem, block.opening_problem, block.trailers_problem) == (problem,) * 2 + (
        problem or "trailers have no pseudo-header fields",
    )
    assert block.base.content_length is None
    assert block.base.problem == ""


def test_problem_of_the_base_is_one_of_the_block() -> None:
    block = reader().read(encode_fields([*CALL, (b"Upper", b"x"), (b"date", b"now")]))
    assert block.problem == block.opening_problem == block.base.problem != ""


def test_names_of_varying_fields_are_well_formed() -> None:
    for name in VARYING:
        block = HeaderBlock([*CALL, (name.replace(b"content-length", b"x"), b"1")], request=True)
        assert block.problem == ""


@dataclass
class RandomEncoder:
    """Encodes as it is told: any representation that a field allows, in any order."""

    table: HeaderTable

    def encode(self, plan: list[tuple[int, Field, int]], resize: int | None) -> bytes:
        parts: list[bytes] = []
        if resize is not None:
            self.table.maxsize = resize
            parts.append(_with_bits(resize, 5, 0x20))
        for kind, field, huffman in plan:
            parts.append(self._field(kind, field, huffman))
        return b"".join(parts)

    def _field(self, kind: int, field: Field, huffman: int) -> bytes:
        name, value = field
        found = self.table.search(name, value)
        if kind == 3 and found is not None and found[2] is not None:
            return _with_bits(found[0], 7, 0x80)
        bits, first = ((6, 0x40), (4, 0x00), (4, 0x10), (6, 0x40))[kind]
        place = found[0] if found is not None and huffman & 4 else 0
        if kind in (0, 3):
            self.table.add(name, value)
        start = _with_bits(place, bits, first)
        return start + (b"" if place else _text(name, huffman & 1)) + _text(value, huffman & 2)


def _with_bits(number: int, bits: int, first: int) -> bytes:
    encoded = encode_integer(number, bits)
    encoded[0] |= first
    return bytes(encoded)


def _text(value: bytes, huffman: int) -> bytes:
    if not huffman:
        return text(value)
    coded = Encoder().huffman_coder.encode(value)
    return _with_bits(len(coded), 7, 0x80) + coded


names = st.sampled_from([b":path", b":method", b"x-a", b"x-b", b"grpc-timeout", b"content-length"])
values = st.sampled_from([b"1", b"2", b"/", b"GET", b"a\nb", b"v" * 700, b"w" * 700])
plans = st.lists(
    st.tuples(st.integers(0, 3), st.tuples(names, values), st.integers(0, 7)), max_size=5
)
blocks = st.tuples(plans, st.sampled_from([None, None, None, None, 0, 800, 2000, 4096]))


@given(st.lists(blocks, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=15))
@settings(max_examples=80, deadline=None)
def test_remembering_changes_nothing(
    kinds: list[tuple[list[tuple[int, Field, int]], int | None]], order: list[int]
) -> None:
    encoder, library, remembering = RandomEncoder(HeaderTable()), Decoder(), reader()
    library.max_header_list_size = 1 << 20
    for number in order:
        plan, resize = kinds[number % len(kinds)]
        block = encoder.encode(plan, resize)
        expected = [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
        assert expected == [field for _, field, _ in plan]
        found = remembering.read(block)
        fresh = HeaderBlock(expected, request=True)
        for attribute in ("fields", "path", "method", "content_length", "size"):
            assert getattr(found, attribute) == getattr(fresh, attribute), attribute
        for attribute in ("problem", "opening_problem", "trailers_problem"):
            assert bool(getattr(found, attribute)) == bool(getattr(fresh, attribute)), attribute


@given(st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_huffman_codes_are_read_as_the_library_reads_them(value: bytes) -> None:
    assert decode_huffman(Encoder().huffman_coder.encode(value)) == value
    try:
        expected = decode_by_library(value)
    except Exception:
        with pytest.raises(ValueError, match="Huffman-coded string"):
            decode_huffman(value)
    else:
        assert decode_huffman(value) == expected


def test_fields_are_encoded_alike_whatever_was_sent_before() -> None:
    fields = [*CALL, (b"authorization", b"secret"), (b"x", b"y" * 200), (b":status", b"201")]
    block = encode_fields(fields)
    library = Decoder()
    for _ in range(2):
        assert [(bytes(n), bytes(v)) for n, v in library.decode(block, raw=True)] == fields
    assert len(library.header_table.dynamic_entries) == 0
    assert block.count(b"secret") == 1
    at = block.index(b"secret")
    assert block[at - 3] & 0xF0 == 0x10  # never to be indexed, wherever it is passed on to
