from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.fieldmask import is_field_mask, pick, update
from kratos.testing.echo import text

DEFINITION = """
name: "test_fieldmask.proto" package: "masks.v1" syntax: "proto3"
dependency: "google/protobuf/timestamp.proto"
message_type {
  name: "Book"
  field { name: "title" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "title" }
  field { name: "in_stock" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "inStock" }
  field { name: "authors" number: 3 type: TYPE_STRING label: LABEL_REPEATED json_name: "authors" }
  field {
    name: "price" number: 4 type: TYPE_MESSAGE type_name: ".masks.v1.Price" label: LABEL_OPTIONAL
    json_name: "price"
  }
  field {
    name: "added_at" number: 5 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp"
    label: LABEL_OPTIONAL json_name: "addedAt"
  }
  field {
    name: "pages" number: 6 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "pages"
    proto3_optional: true oneof_index: 1
  }
  field {
    name: "labels" number: 7 type: TYPE_MESSAGE type_name: ".masks.v1.Book.LabelsEntry"
    label: LABEL_REPEATED json_name: "labels"
  }
  field {
    name: "prices" number: 8 type: TYPE_MESSAGE type_name: ".masks.v1.Book.PricesEntry"
    label: LABEL_REPEATED json_name: "prices"
  }
  field {
    name: "editions" number: 9 type: TYPE_MESSAGE type_name: ".masks.v1.Price"
    label: LABEL_REPEATED json_name: "editions"
  }
  field {
    name: "isbn" number: 10 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "isbn" oneof_index: 0
  }
  field {
    name: "url" number: 11 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "url" oneof_index: 0
  }
  field {
    name: "flags" number: 12 type: TYPE_MESSAGE type_name: ".masks.v1.Book.FlagsEntry"
    label: LABEL_REPEATED json_name: "flags"
  }
  oneof_decl { name: "id" }
  oneof_decl { name: "_pages" }
  nested_type {
    name: "LabelsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "value" }
  }
  nested_type {
    name: "PricesEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "key" }
    field {
      name: "value" number: 2 type: TYPE_MESSAGE type_name: ".masks.v1.Price" label: LABEL_OPTIONAL
      json_name: "value"
    }
  }
  nested_type {
    name: "FlagsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL json_name: "key" }
    field { name: "value" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL json_name: "value" }
  }
}
message_type {
  name: "Price"
  field { name: "currency" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "currency" }
  field { name: "cents" number: 2 type: TYPE_INT64 label: LABEL_OPTIONAL json_name: "cents" }
  field {
    name: "until" number: 3 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp"
    label: LABEL_OPTIONAL json_name: "until"
  }
}
"""


def book_class() -> type[Any]:
    """Return the class of a message with every kind of field, made without a compiler."""
    file = text_format.Parse(DEFINITION, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("masks.v1.Book"))


Book = book_class()
EUR = {"currency": "EUR", "cents": 990}


def updated(target: dict[str, Any], source: dict[str, Any], *paths: str, **options: Any) -> Any:
    """Return a book after an update, after looking that its source is as it was."""
    book, change = Book(**target), Book(**source)
    update(book, change, FieldMask(paths=paths), **options)
    assert change == Book(**source)
    return book


def test_field_that_the_mask_names_is_changed_and_no_other() -> None:
    changed = updated({"title": "Ema", "in_stock": 1}, {"title": "Emma", "in_stock": 9}, "title")
    assert changed == Book(title="Emma", in_stock=1)


def test_named_field_that_the_source_has_not_is_unset() -> None:
    before = {"title": "Emma", "in_stock": 1, "pages": 300, "price": EUR, "authors": ["Jane"]}
    after = updated(before, {}, "in_stock", "pages", "price", "authors")
    assert after == Book(title="Emma")
    assert not after.HasField("pages")


def test_optional_field_may_be_set_to_its_default() -> None:
    assert updated({"pages": 300}, {"pages": 0}, "pages").HasField("pages")


def test_list_is_replaced() -> None:
    changed = updated({"authors": ["Jane"]}, {"authors": ["Jane Austen", "Anon"]}, "authors")
    assert changed.authors == ["Jane Austen", "Anon"]


def test_message_named_as_a_whole_is_replaced() -> None:
    assert updated({"price": EUR}, {"price": {"cents": 5}}, "price") == Book(price={"cents": 5})


def test_field_within_a_message_is_changed_by_itself() -> None:
    changed = updated({"price": EUR}, {"price": {"currency": "USD", "cents": 5}}, "price.cents")
    assert changed == Book(price={"currency": "EUR", "cents": 5})


def test_field_within_a_message_that_the_source_has_not_is_unset() -> None:
    assert updated({"price": EUR}, {}, "price.cents") == Book(price={"currency": "EUR"})


def test_message_on_the_way_is_made() -> None:
    assert updated({}, {"price": EUR}, "price.cents") == Book(price={"cents": 990})


def test_message_on_the_way_is_not_made_of_nothing() -> None:
    assert not updated({}, {}, "price.cents").HasField("price")


def test_broader_path_holds_whatever_the_order() -> None:
    for paths in (("price", "price.cents"), ("price.cents", "price")):
        assert updated({"price": EUR}, {"price": {"cents": 5}}, *paths) == Book(price={"cents": 5})


def test_member_of_a_oneof_takes_the_place_of_another() -> None:
    assert updated({"isbn": "1"}, {"url": "u"}, "isbn", "url") == Book(url="u")
    assert updated({"isbn": "1"}, {"url": "u"}, "url", "isbn") == Book(url="u")
    assert updated({"isbn": "1"}, {"url": "u"}, "isbn") == Book()


def test_star_replaces_all() -> None:
    before = {"title": "Ema", "in_stock": 3, "authors": ["Jane"], "labels": {"a": "b"}}
    assert updated(before, {"title": "Emma"}, "*") == Book(title="Emma")


def test_without_paths_what_is_set_is_changed_and_nothing_unset() -> None:
    before = {"title": "Ema", "in_stock": 3, "authors": ["Jane", "Anon"], "price": EUR}
    changed = updated(before, {"title": "Emma", "authors": ["Jane"], "price": {"cents": 5}})
    assert changed == Book(
        title="Emma", in_stock=3, authors=["Jane"], price={"currency": "EUR", "cents": 5}
    )


def test_without_a_mask_is_as_without_paths() -> None:
    book = Book(title="Ema", in_stock=3)
    update(book, Book(title="Emma"))
    assert book == Book(title="Emma", in_stock=3)


def test_without_paths_a_point_in_time_is_one_value() -> None:
    before = {"added_at": Timestamp(seconds=1, nanos=5)}
    assert updated(before, {"added_at": Timestamp(seconds=2)}).added_at == Timestamp(seconds=2)


def test_without_paths_entries_of_maps_are_added() -> None:
    changed = updated({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "3", "c": "4"}})
    assert dict(changed.labels) == {"a": "1", "b": "3", "c": "4"}


def test_map_named_as_a_whole_is_replaced() -> None:
    changed = updated({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, "labels")
    assert dict(changed.labels) == {"b": "2"}


@pytest.mark.parametrize(
    ("path", "key"), [("labels.a", "a"), ("labels.`a.b`", "a.b"), ("labels.`x``y`", "x`y")]
)
def test_entry_of_a_map_is_changed_by_itself_and_goes_if_it_is_not_there(
    path: str, key: str
) -> None:
    changed = updated({"labels": {key: "old", "z": "1"}}, {"labels": {key: "new", "z": "2"}}, path)
    assert dict(changed.labels) == {key: "new", "z": "1"}
    assert dict(updated({"labels": {key: "old", "z": "1"}}, {}, path).labels) == {"z": "1"}
    assert dict(updated({}, {}, path).labels) == {}


def test_keys_of_maps_may_be_numbers_and_booleans() -> None:
    changed = updated({}, {"prices": {-7: EUR}, "flags": {True: 4}}, "prices.-7", "flags.true")
    assert changed == Book(prices={-7: EUR}, flags={True: 4})


def test_field_within_an_entry_is_changed_by_itself() -> None:
    changed = updated({"prices": {1: EUR}}, {"prices": {1: {"cents": 5}}}, "prices.1.cents")
    assert changed == Book(prices={1: {"currency": "EUR", "cents": 5}})
    assert updated({"prices": {1: EUR}}, {}, "prices.1.cents").prices[1].cents == 0
    assert updated({}, {}, "prices.1.cents") == Book()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("titel", r"masks\.v1\.Book has no field 'titel'; did you mean 'title'\?"),
        ("inStock", "has no field 'inStock'; its name here is 'in_stock'"),
        ("zzz", r"masks\.v1\.Book has no field 'zzz'$"),
        ("price.pounds", r"masks\.v1\.Price has no field 'pounds'"),
        ("title.length", "'title' has no fields"),
        ("labels.a.b", "'a' has no fields"),
        ("authors.0", "'authors' is repeated and can only be named as a whole$"),
        ("editions.*.cents", "'editions' is repeated and can only be named as a whole$"),
        ("prices.one", "'one' is no key of the map 'prices'"),
        ("prices.2147483648", "'2147483648' is no key of the map 'prices'"),
        ("prices.1_0", "'1_0' is no key of the map 'prices'"),
        ("flags.yes", "'yes' is no key of the map 'flags'"),
        ("", "separated by single dots"),
        ("price.", "separated by single dots"),
        (".price", "separated by single dots"),
        ("price..cents", "separated by single dots"),
        ("labels.`a", "backticks come in pairs"),
        ("labels.`a`b", "a dot has to follow"),
        ("price.*", r"masks\.v1\.Price has no field '\*'"),
    ],
)
def test_path_that_leads_nowhere_is_named_and_nothing_is_changed(path: str, said: str) -> None:
    book = Book(title="Ema")
    with pytest.raises(Error) as caught:
        update(book, Book(title="Emma"), FieldMask(paths=["title", path]))
    assert (caught.value.code, caught.value.reason) == (400, "FIELD_MASK")
    assert is_field_mask(caught.value)
    assert caught.value.metadata == {"path": path}
    assert caught.value.message.startswith(f"path {path!r} of the mask: ")
    assert re.search(said, caught.value.message)
    assert book == Book(title="Ema")


def test_path_of_any_length_is_followed_in_one_go() -> None:
    path = "fields.a.struct_value." * 200_000 + "fields"  # minutes, if each step moved the rest
    assert pick(Struct(), FieldMask(paths=[path])) == Struct()


def test_star_is_the_only_path() -> None:
    with pytest.raises(Error, match="has to be the only path"):
        updated({}, {}, "title", "*")


def test_kept_fields_stay_whatever_the_mask_says() -> None:
    before = {"title": "Ema", "in_stock": 1, "price": EUR}
    change = {"title": "Emma", "in_stock": 9, "price": {"currency": "USD", "cents": 5}}
    for paths in ((), ("*",), ("title", "in_stock", "price.cents", "price.currency")):
        changed = updated(before, change, *paths, keep=["in_stock", "price.currency"])
        assert changed.title == "Emma"
        assert changed.in_stock == 1
        assert changed.price.currency == "EUR"
        assert changed.price.cents == 5


@pytest.mark.parametrize("path", ["titel", "labels.a"])
def test_kept_path_that_cannot_be_is_an_error_of_the_program(path: str) -> None:
    with pytest.raises(ConfigError, match="keep: "):
        updated({}, {}, "*", keep=[path])


def test_update_of_a_message_by_itself_changes_nothing() -> None:
    book = Book(title="Emma", authors=["Jane"])
    update(book, book, FieldMask(paths=["*"]))
    assert book == Book(title="Emma", authors=["Jane"])


def test_messages_of_two_types_are_refused() -> None:
    with pytest.raises(TypeError, match=r"StringValue cannot update masks\.v1\.Book"):
        update(Book(), text("x"))


def picked(message: dict[str, Any], *paths: str) -> Any:
    book = Book(**message)
    picked = pick(book, FieldMask(paths=paths))
    assert book == Book(**message)
    return picked


FULL: dict[str, Any] = {
    "title": "Emma",
    "pages": 300,
    "authors": ["Jane"],
    "price": EUR,
    "labels": {"a": "1", "b": "2"},
    "prices": {1: EUR, 2: {"cents": 5}},
    "editions": [EUR, {"cents": 5}],
}


@pytest.mark.parametrize("paths", [(), ("*",)])
def test_all_is_picked_without_paths_and_by_star(paths: tuple[str, ...]) -> None:
    assert picked(FULL, *paths) == Book(**FULL)
    assert pick(Book(**FULL)) == Book(**FULL)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("title", {"title": "Emma"}),
        ("authors", {"authors": ["Jane"]}),
        ("price.cents", {"price": {"cents": 990}}),
        ("labels.b", {"labels": {"b": "2"}}),
        ("labels.c", {}),
        ("labels.*", {"labels": {"a": "1", "b": "2"}}),
        ("prices.1.currency", {"prices": {1: {"currency": "EUR"}}}),
        ("prices.*.cents", {"prices": {1: {"cents": 990}, 2: {"cents": 5}}}),
        ("editions.*.cents", {"editions": [{"cents": 990}, {"cents": 5}]}),
        ("editions.*", {"editions": [EUR, {"cents": 5}]}),
        ("added_at.seconds", {}),
    ],
)
def test_what_a_path_names_is_picked(path: str, left: dict[str, Any]) -> None:
    assert picked(FULL, path) == Book(**left)


def test_key_adds_to_what_every_entry_shows() -> None:
    assert picked(FULL, "prices.*.cents", "prices.1.currency") == Book(
        prices={1: EUR, 2: {"cents": 5}}
    )
    assert picked(FULL, "prices.*.cents", "prices.1") == Book(prices={1: EUR, 2: {"cents": 5}})


def test_list_has_no_keys_to_pick_by() -> None:
    with pytest.raises(Error, match=r"named as a whole; '\*' leads into every element"):
        picked(FULL, "editions.0.cents")


SMALL = st.integers(0, 2)
PRICE = st.none() | st.fixed_dictionaries(
    {}, optional={"currency": st.sampled_from(["", "EUR"]), "cents": SMALL}
)
BOOKS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["", "Emma"]),
        "in_stock": SMALL,
        "pages": SMALL,
        "authors": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "price": PRICE,
        "labels": st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
        "prices": st.dictionaries(SMALL, st.fixed_dictionaries({"cents": SMALL}), max_size=2),
        "isbn": st.sampled_from(["", "1"]),
    },
).map(lambda fields: Book(**fields))
PATHS = st.lists(
    st.sampled_from(
        [
            "title",
            "in_stock",
            "pages",
            "authors",
            "price",
            "price.cents",
            "price.currency",
            "labels",
            "labels.a",
            "prices",
            "prices.1",
            "prices.1.cents",
            "isbn",
            "url",
        ]
    ),
    min_size=1,
)


@given(BOOKS, BOOKS, PATHS)
def test_what_was_written_by_a_mask_is_read_by_it(
    target: Any, source: Any, paths: list[str]
) -> None:
    mask = FieldMask(paths=paths)
    update(target, source, mask)
    seen, given_ = pick(target, mask), pick(source, mask)
    # A message on the way may have been there before; that the source has it not, shows nowhere.
    for message in (seen, given_):
        if not message.price.ByteSize():
            message.ClearField("price")
        for key in [key for key, price in message.prices.items() if not price.ByteSize()]:
            del message.prices[key]
    assert seen == given_


@given(BOOKS, PATHS)
def test_update_by_what_was_read_by_the_same_mask_changes_nothing(
    book: Any, paths: list[str]
) -> None:
    mask = FieldMask(paths=paths)
    before = type(book)()
    before.CopyFrom(book)
    update(book, pick(book, mask), mask)
    assert book == before


@given(BOOKS, BOOKS)
def test_star_makes_the_target_equal_to_the_source(target: Any, source: Any) -> None:
    update(target, source, FieldMask(paths=["*"]))
    assert target == source


@given(BOOKS, st.text(max_size=12))
def test_no_path_is_more_than_wrong(book: Any, path: str) -> None:
    try:
        update(book, Book(), FieldMask(paths=[path.encode(errors="replace").decode()]))
    except Error as error:
        if not is_field_mask(error):
            raise
