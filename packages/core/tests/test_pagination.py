from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.pagination import (
    CursorCodec,
    JsonCursor,
    MessageCursor,
    OffsetCursor,
    Page,
    Paginator,
    TupleCursor,
    follow,
    is_page_size,
    is_page_token,
    page_size,
)
from kratos.testing.clock import FakeClock

KEY = b"k" * 32
OTHER_KEY = b"o" * 32


class Place(NamedTuple):
    cents: int
    name: str


def messages() -> dict[str, type[Any]]:
    """Return the classes of a list's request and reply, made without a compiler."""
    file = descriptor_pb2.FileDescriptorProto(
        name="test_pagination.proto", package="pages.v1", syntax="proto3"
    )
    scalar = descriptor_pb2.FieldDescriptorProto
    for name, fields in {
        "ListRequest": {
            "shelf": scalar.TYPE_STRING,
            "page_size": scalar.TYPE_INT32,
            "page_token": scalar.TYPE_STRING,
            "read_mask": scalar.TYPE_STRING,
        },
        "OtherRequest": {
            "shelf": scalar.TYPE_STRING,
            "page_size": scalar.TYPE_INT32,
            "page_token": scalar.TYPE_STRING,
        },
        "ListReply": {"shown": scalar.TYPE_STRING, "next_page_token": scalar.TYPE_STRING},
    }.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            message.field.add(
                name=field, number=number, type=kind, label=scalar.LABEL_OPTIONAL, json_name=field
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"pages.v1.{name}"))
        for name in ("ListRequest", "OtherRequest", "ListReply")
    }


CLASSES = messages()
ListRequest = CLASSES["ListRequest"]
OtherRequest = CLASSES["OtherRequest"]
ListReply = CLASSES["ListReply"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Make = Callable[..., Paginator[Any]]


@pytest.fixture
def make(clock: FakeClock) -> Make:
    def paginator(codec: CursorCodec[Any] | None = None, **options: Any) -> Paginator[Any]:
        options = {"keys": [KEY], "clock": clock, **options}
        return Paginator(codec or JsonCursor(), **options)

    return paginator


def token_of(paginator: Paginator[Any], request: Any, cursor: Any = 7, **options: Any) -> str:
    return paginator.page(request, **options).token(cursor)


def problem(error: pytest.ExceptionInfo[Error]) -> str:
    assert (error.value.code, error.value.reason) == (400, "PAGE_TOKEN")
    assert is_page_token(error.value)
    assert error.value.metadata["field"] == "page_token"
    return error.value.metadata["problem"]


def test_first_page_begins_nowhere(make: Make) -> None:
    page = make().page(ListRequest(shelf="a", page_size=3))
    assert (page.size, page.fetch, page.cursor) == (3, 4, None)


@pytest.mark.parametrize(
    ("asked", "size"), [(0, 20), (1, 1), (99, 99), (100, 100), (101, 100), (2**31 - 1, 100)]
)
def test_size_is_the_default_for_zero_and_at_most_the_maximum(asked: int, size: int) -> None:
    assert page_size(asked, default=20, maximum=100) == size


def test_negative_size_is_refused(make: Make) -> None:
    with pytest.raises(Error, match="page_size must not be negative, but is -1") as caught:
        make().page(ListRequest(page_size=-1))
    assert (caught.value.code, caught.value.reason) == (400, "PAGE_SIZE")
    assert is_page_size(caught.value)


def test_token_brings_back_the_cursor(make: Make) -> None:
    paginator = make()
    token = token_of(paginator, ListRequest(shelf="a"), {"after": ["b", 1, None]})
    page = paginator.page(ListRequest(shelf="a", page_token=token))
    assert page.cursor == {"after": ["b", 1, None]}


def test_size_may_change_from_page_to_page(make: Make) -> None:
    paginator = make()
    token = token_of(paginator, ListRequest(shelf="a", page_size=3))
    assert paginator.page(ListRequest(shelf="a", page_size=5, page_token=token)).cursor == 7


def test_token_of_a_page_leads_on_from_any_later_page(make: Make) -> None:
    paginator = make()
    first = token_of(paginator, ListRequest(shelf="a"), 1)
    second = token_of(paginator, ListRequest(shelf="a", page_token=first), 2)
    assert paginator.page(ListRequest(shelf="a", page_token=second)).cursor == 2


def test_token_is_refused_when_another_field_changes(make: Make) -> None:
    paginator = make()
    token = token_of(paginator, ListRequest(shelf="a"))
    with pytest.raises(Error, match="keep every field but page_size as it was") as caught:
        paginator.page(ListRequest(shelf="b", page_token=token))
    assert problem(caught) == "other_request"


def test_field_that_is_unbound_may_change(make: Make) -> None:
    paginator = make(unbound=["read_mask"])
    token = token_of(paginator, ListRequest(shelf="a", read_mask="title"))
    assert paginator.page(ListRequest(shelf="a", page_token=token)).cursor == 7


def test_unbound_field_that_is_none_is_named(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"pages\.v1\.ListRequest has no field 'title'"):
        make(unbound=["title"]).page(ListRequest())


def test_token_of_one_kind_of_request_is_refused_by_another(make: Make) -> None:
    paginator = make()
    token = token_of(paginator, ListRequest(shelf="a"))
    with pytest.raises(Error) as caught:
        paginator.page(OtherRequest(shelf="a", page_token=token))
    assert problem(caught) == "other_request"


def test_token_is_bound_to_its_subject(make: Make) -> None:
    paginator = make()
    token = token_of(paginator, ListRequest(), subject="ada")
    assert paginator.page(ListRequest(page_token=token), subject="ada").cursor == 7
    with pytest.raises(Error) as caught:
        paginator.page(ListRequest(page_token=token), subject="bob")
    assert problem(caught) == "other_request"


def test_token_is_bound_to_its_scope(make: Make) -> None:
    token = token_of(make(scope="by price"), ListRequest())
    with pytest.raises(Error) as caught:
        make(scope="by title").page(ListRequest(page_token=token))
    assert problem(caught) == "other_request"


def test_token_expires_when_its_life_is_over(make: Make, clock: FakeClock) -> None:
    paginator = make(lifetime=60.0)
    token = token_of(paginator, ListRequest())
    late = FakeClock(epoch=clock.wall() + 60.0)
    early = FakeClock(epoch=clock.wall() + 59.0)
    assert make(clock=early).page(ListRequest(page_token=token)).cursor == 7
    with pytest.raises(Error, match="it has expired: begin again without one") as caught:
        make(clock=late).page(ListRequest(page_token=token))
    assert problem(caught) == "expired"


@pytest.mark.parametrize("lifetime", [float("inf"), 1e13])
def test_token_without_limit_never_expires(make: Make, lifetime: float) -> None:
    token = token_of(make(lifetime=lifetime), ListRequest())
    far = FakeClock(epoch=1e15)
    assert make(clock=far).page(ListRequest(page_token=token)).cursor == 7


def test_token_of_an_older_key_is_good_until_the_key_goes(make: Make) -> None:
    token = token_of(make(keys=[OTHER_KEY]), ListRequest())
    assert make(keys=[KEY, OTHER_KEY]).page(ListRequest(page_token=token)).cursor == 7
    with pytest.raises(Error, match="its key was retired") as caught:
        make(keys=[KEY]).page(ListRequest(page_token=token))
    assert problem(caught) == "forged"


def test_first_key_signs(make: Make) -> None:
    token = token_of(make(keys=[KEY, OTHER_KEY]), ListRequest())
    assert make(keys=[KEY]).page(ListRequest(page_token=token)).cursor == 7


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("!", "it is no base64"),
        ("ä", "it is no base64"),
        ("AQ", "too short, or of another version"),
        ("AQ==", "it is no base64"),
        ("Ag" + "A" * 60, "too short, or of another version"),
        ("A" * 4097, "it has 4097 characters"),
    ],
)
def test_text_that_is_no_token_is_refused(make: Make, token: str, said: str) -> None:
    with pytest.raises(Error, match=said) as caught:
        make().page(ListRequest(page_token=token))
    assert problem(caught) == "malformed"


def test_cursor_in_an_earlier_form_is_refused(make: Make) -> None:
    token = token_of(make(), ListRequest(), {"page": 2})
    with pytest.raises(Error, match="from an earlier version of the service") as caught:
        make(OffsetCursor()).page(ListRequest(page_token=token))
    assert problem(caught) == "outdated"
    assert isinstance(caught.value.cause, ValueError)


def test_cursor_that_makes_a_token_too_long_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="keep the place in it, not the rows"):
        token_of(make(), ListRequest(), "x" * 4000)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keys": []}, "need a key"),
        ({"keys": [KEY, b"short"]}, "key 1 of page tokens has 5 bytes and needs 16"),
        ({"default": 0}, "a page has 1 row or more"),
        ({"default": 20, "maximum": 10}, "the default at most the maximum"),
        ({"lifetime": 0.0}, "lifetime=0.0"),
        ({"lifetime": float("nan")}, "lifetime=nan"),
    ],
)
def test_wrong_options_are_refused(make: Make, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(**options)


def test_pages_of_what_is_no_message_are_bound_to_its_text(make: Make) -> None:
    paginator = make()
    token = paginator.page_of(0, bound=b"q=tea").token(3)
    assert paginator.page_of(5, token, bound=b"q=tea").cursor == 3
    with pytest.raises(Error) as caught:
        paginator.page_of(5, token, bound=b"q=coffee")
    assert problem(caught) == "other_request"


@pytest.mark.parametrize(
    ("codec", "cursor"),
    [
        (JsonCursor(), ["a", 1.5, {"b": None}]),
        (TupleCursor(Place), Place(990, "émile")),
        (OffsetCursor(), 0),
        (MessageCursor(Int64Value), Int64Value(value=9)),
    ],
)
def test_codec_reads_what_it_writes(codec: CursorCodec[Any], cursor: Any) -> None:
    back = codec.decode(codec.encode(cursor))
    assert back == cursor
    assert type(back) is type(cursor)


@pytest.mark.parametrize(
    ("codec", "data", "said"),
    [
        (JsonCursor(), b"{", "Expecting"),
        (TupleCursor(Place), b"[1]", "Place has changed"),
        (TupleCursor(Place), b"7", "Place was no tuple"),
        (OffsetCursor(), b"-1", "no offset"),
        (MessageCursor(StringValue), b"\x0a\xff", r"no google\.protobuf\.StringValue"),
    ],
)
def test_codec_refuses_what_another_wrote(codec: CursorCodec[Any], data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        codec.decode(data)


@pytest.mark.parametrize(
    ("codec", "cursor", "error"),
    [
        (JsonCursor(), float("nan"), ValueError),
        (JsonCursor(), object(), TypeError),
        (OffsetCursor(), -1, ValueError),
    ],
)
def test_codec_refuses_what_it_cannot_write(
    codec: CursorCodec[Any], cursor: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        codec.encode(cursor)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner)
    ),
    max_leaves=8,
)


@given(ANY_JSON, st.text(st.characters(exclude_categories=["Cs"])))
def test_every_json_cursor_comes_back_from_a_token_that_a_url_carries(
    cursor: Any, shelf: str
) -> None:
    paginator = Paginator(JsonCursor(), keys=[KEY])
    token = token_of(paginator, ListRequest(shelf=shelf), cursor)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token.isascii()
    page = paginator.page(ListRequest(shelf=shelf, page_token=token))
    assert json.dumps(page.cursor) == json.dumps(cursor)


@given(st.data())
def test_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    paginator = Paginator(OffsetCursor(), keys=[KEY])
    token = token_of(paginator, ListRequest(), 12345)
    at = data.draw(st.integers(0, len(token) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=!+/ "
    other = data.draw(st.sampled_from(alphabet.replace(token[at], "")))
    with pytest.raises(Error) as caught:
        paginator.page(ListRequest(page_token=token[:at] + other + token[at + 1 :]))
    assert problem(caught) in {"malformed", "forged"}


@given(st.text())
def test_no_text_is_more_than_a_bad_token(text: str) -> None:
    paginator = Paginator(JsonCursor(), keys=[KEY])
    if text:
        with pytest.raises(Error) as caught:
            paginator.page_of(0, text)
        assert problem(caught) in {"malformed", "forged"}


ROWS = st.lists(st.tuples(st.integers(0, 5), st.text("abc", max_size=3)), unique=True)


@given(ROWS, st.lists(st.integers(0, 7), min_size=1))
def test_pages_of_any_sizes_show_every_row_once_and_in_order(
    rows: list[tuple[int, str]], sizes: list[int]
) -> None:
    ordered = sorted(Place(*row) for row in rows)
    paginator = Paginator(TupleCursor(Place), keys=[KEY], default=3, maximum=5)
    seen: list[Place] = []
    token = ""
    for turn in range(len(rows) + 1):
        size = sizes[turn % len(sizes)]
        page: Page[Place] = paginator.page(ListRequest(page_size=size, page_token=token))
        start = page.cursor
        found = [row for row in ordered if start is None or row > start][: page.fetch]
        shown, token = page.split(found, lambda row: row)
        assert len(shown) <= page.size
        seen += shown
        if not token:
            break
    assert seen == ordered


@given(st.integers(0, 30), st.integers(1, 7))
def test_pages_by_offset_show_every_row_once(count: int, size: int) -> None:
    paginator = Paginator(OffsetCursor(), keys=[KEY])
    seen: list[int] = []
    token = ""
    while True:
        page = paginator.page(ListRequest(page_size=size, page_token=token))
        start = page.cursor or 0
        found = range(start, count)[: page.fetch]
        shown, token = page.split(found, lambda last: last + 1)
        seen += shown
        if not token:
            break
    assert seen == list(range(count))


def test_page_does_not_show_how_its_tokens_are_made(make: Make) -> None:
    assert repr(make().page(ListRequest(page_size=2))) == "Page(size=2, cursor=None)"


class Shelf:
    """Answers with pages of one row."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.asked: list[str] = []

    async def list(self, request: Any) -> Any:
        self.asked.append(request.page_token)
        shown = f"{request.shelf} {len(self.asked)}"
        return ListReply(shown=shown, next_page_token=self.tokens[len(self.asked) - 1])


async def shown(pages: AsyncIterator[Any]) -> list[str]:
    return [page.shown async for page in pages]


async def test_pages_are_followed_to_the_end() -> None:
    shelf = Shelf(["x", "y", ""])
    request = ListRequest(shelf="a", page_token="w")
    assert await shown(follow(shelf.list, request)) == ["a 1", "a 2", "a 3"]
    assert shelf.asked == ["w", "x", "y"]
    assert request.page_token == "w"


async def test_next_page_is_asked_for_when_it_is_needed() -> None:
    shelf = Shelf(["x", "y", ""])
    pages = follow(shelf.list, ListRequest())
    await anext(pages)
    assert shelf.asked == [""]
    await pages.aclose()


async def test_list_that_does_not_advance_is_an_error() -> None:
    shelf = Shelf(["x", "x"])
    with pytest.raises(RuntimeError, match="does not advance"):
        await shown(follow(shelf.list, ListRequest()))
