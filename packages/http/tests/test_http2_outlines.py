"""What follows from a header block is worked out once for all that differ in a deadline only."""

from __future__ import annotations

from kratos_http._http2_heads import Heads
from kratos_http.limits import Limits
from kratos_http2.header_blocks import HeaderReader, encode_fields

ASKED = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/shop.v1.Orders/Get?x=1"),
    (b":authority", b"shop.example"),
    (b"content-type", b"application/grpc"),
    (b"cookie", b"a=1"),
    (b"cookie", b"b=2"),
)
HEADERS = [
    (b"host", b"shop.example"),
    (b"content-type", b"application/grpc"),
    (b"cookie", b"a=1; b=2"),
]


def reader() -> HeaderReader:
    return HeaderReader(request=True, max_list=1 << 16, table=4096)


def heads(**limits: int) -> Heads:
    return Heads(Limits(**limits), peer="203.0.113.1", tls=False, certificate=None)


def test_request_with_a_deadline_has_it_after_all_other_headers() -> None:
    blocks, making = reader(), heads()
    for timeout in (b"1999876u", b"1999123u"):
        asked = (*ASKED[:4], (b"grpc-timeout", timeout), *ASKED[4:], (b"content-length", b"7"))
        outline = making.outline(blocks.read(encode_fields(asked)))
        head = making.head(outline)
        assert (head.method, head.path, head.query) == ("POST", b"/shop.v1.Orders/Get", b"x=1")
        assert head.headers == [
            *HEADERS,
            (b"grpc-timeout", timeout),
            (b"content-length", b"7"),
        ]
        assert outline.length == 7
        assert outline.refused is None


def test_requests_that_differ_in_a_deadline_share_no_memo() -> None:
    blocks, making = reader(), heads()
    first, again, other = (
        making.outline(blocks.read(encode_fields((*ASKED, (b"grpc-timeout", timeout)))))
        for timeout in (b"1S", b"1S", b"2S")
    )
    plain = making.outline(blocks.read(encode_fields(ASKED)))
    assert first.memo is again.memo
    assert len({id(each.memo) for each in (first, other, plain)}) == 3


def test_request_that_may_not_be_is_refused_with_a_deadline_too() -> None:
    blocks, making = reader(), heads()
    asked = (*ASKED, (b"host", b"other.example"), (b"grpc-timeout", b"1S"))
    refused = making.outline(blocks.read(encode_fields(asked))).refused
    assert refused is not None
    assert refused.code == 400


def test_size_of_varying_headers_counts() -> None:
    blocks, making = reader(), heads(max_headers=4)
    assert making.outline(blocks.read(encode_fields(ASKED))).refused is None
    asked = (*ASKED, (b"traceparent", b"00-1"), (b"x-request-id", b"1"))
    refused = making.outline(blocks.read(encode_fields(asked))).refused
    assert refused is not None
    assert refused.code == 431


def test_length_of_varying_headers_counts() -> None:
    blocks, making = reader(), heads(max_head=500)
    assert making.outline(blocks.read(encode_fields(ASKED))).refused is None
    asked = (*ASKED, (b"x-request-id", b"1" * 500))
    refused = making.outline(blocks.read(encode_fields(asked))).refused
    assert refused is not None
    assert refused.code == 431
