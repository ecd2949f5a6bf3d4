"""What of a message may be shown, by the options of its definition."""

from __future__ import annotations

from typing import Any, Final

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import (
    EnumValueOptions,
    FieldDescriptorProto,
    FieldOptions,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass, GetMessageClassesForFiles
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.log import message_text

PACKAGE: Final = "kratos.tests.redaction"
SECRET: Final = "s3cret"
REDACTED: Final = FieldOptions(debug_redact=True)


def definition() -> FileDescriptorProto:
    """Define messages that hold secrets in every way there is."""
    file = FileDescriptorProto(
        name="kratos/tests/redaction.proto",
        package=PACKAGE,
        syntax="proto2",
        dependency=["google/protobuf/any.proto"],
    )
    level = file.enum_type.add(name="Level")
    level.value.add(name="OPEN", number=0)
    level.value.add(name="TOP_SECRET", number=1, options=EnumValueOptions(debug_redact=True))

    one, many = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    text, number = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_INT64
    message, enum = FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_ENUM

    card = file.message_type.add(name="Card")
    card.field.add(name="holder", number=1, type=text, label=one)
    card.field.add(name="digits", number=2, type=text, label=one, options=REDACTED)
    card.field.add(name="codes", number=3, type=number, label=many, options=REDACTED)
    card.field.add(name="next", number=4, type=message, type_name=f".{PACKAGE}.Card", label=one)
    card.extension_range.add(start=100, end=200)
    file.extension.add(
        name="extra",
        number=100,
        type=text,
        label=one,
        extendee=f".{PACKAGE}.Card",
        options=REDACTED,
    )
    file.extension.add(name="note", number=101, type=text, label=one, extendee=f".{PACKAGE}.Card")

    order = file.message_type.add(name="Order")
    order.oneof_decl.add(name="payment")
    order.field.add(
        name="card", number=1, type=message, type_name=f".{PACKAGE}.Card", label=one, oneof_index=0
    )
    order.field.add(name="iban", number=2, type=text, label=one, oneof_index=0, options=REDACTED)
    order.field.add(name="cards", number=3, type=message, type_name=f".{PACKAGE}.Card", label=many)
    entry = order.nested_type.add(name="NamedEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=text, label=one)
    entry.field.add(name="value", number=2, type=message, type_name=f".{PACKAGE}.Card", label=one)
    order.field.add(
        name="named",
        number=4,
        type=message,
        type_name=f".{PACKAGE}.Order.NamedEntry",
        label=many,
    )
    order.field.add(
        name="detail", number=5, type=message, type_name=".google.protobuf.Any", label=one
    )
    order.field.add(name="level", number=6, type=enum, type_name=f".{PACKAGE}.Level", label=one)
    order.field.add(
        name="whole",
        number=7,
        type=message,
        type_name=f".{PACKAGE}.Card",
        label=one,
        options=REDACTED,
    )
    order.field.add(name="number", number=8, type=number, label=one)
    order.field.add(name="tags", number=9, type=text, label=many)
    return file


Default().AddSerializedFile(definition().SerializeToString())
CLASSES: Final = GetMessageClassesForFiles(["kratos/tests/redaction.proto"], Default())
Card: Final[Any] = CLASSES[f"{PACKAGE}.Card"]
Order: Final[Any] = CLASSES[f"{PACKAGE}.Order"]
EXTRA: Final = Default().FindExtensionByName(f"{PACKAGE}.extra")
NOTE: Final = Default().FindExtensionByName(f"{PACKAGE}.note")


def packed(message: Any) -> AnyMessage:
    holder = AnyMessage()
    holder.Pack(message)
    return holder


def card(**fields: Any) -> Any:
    return Card(holder="Ann", digits=SECRET, codes=[4711], **fields)


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        (Order(card=card()), 'card { holder: "Ann" digits: *** codes: *** }'),
        (Order(iban=SECRET), "iban: ***"),
        (
            Order(cards=[Card(holder="Bob"), Card(digits=SECRET)]),
            'cards { holder: "Bob" } cards { digits: *** }',
        ),
        (
            Order(named={"b": Card(digits=SECRET), "a": Card()}),
            'named { key: "a" value { } } named { key: "b" value { digits: *** } }',
        ),
        (
            Order(detail=packed(Card(digits=SECRET))),
            f"detail {{ [{PACKAGE}.Card] {{ digits: *** }} }}",
        ),
        (
            Order(detail=packed(packed(Card(digits=SECRET)))),
            f"detail {{ [google.protobuf.Any] {{ [{PACKAGE}.Card] {{ digits: *** }} }} }}",
        ),
        (Order(whole=Card(holder="Ann")), "whole: ***"),
        (Order(level=1), "level: ***"),
        (Order(level=0, number=-7, tags=["a", 'b "c"\n']), None),
        (Card(next=Card(next=card())), 'next { next { holder: "Ann" digits: *** codes: *** } }'),
    ],
)
def test_sensitive_fields_are_hidden_wherever_they_are(order: Any, shown: str | None) -> None:
    expected = 'level: OPEN number: -7 tags: "a" tags: "b \\"c\\"\\n"' if shown is None else shown
    assert message_text(order) == expected


def test_extensions_are_shown_or_hidden_by_their_own_options() -> None:
    message = Card(holder="Ann")
    message.Extensions[EXTRA] = SECRET
    message.Extensions[NOTE] = "fine"
    assert message_text(message) == (
        f'holder: "Ann" [{PACKAGE}.extra]: *** [{PACKAGE}.note]: "fine"'
    )


@pytest.mark.parametrize(
    "detail",
    [
        AnyMessage(type_url="example.com/shop.v9.Unheard", value=SECRET.encode()),
        AnyMessage(type_url=f"example.com/{PACKAGE}.Card", value=SECRET.encode()),
    ],
    ids=["type that is not known", "bytes that are none of it"],
)
def test_what_cannot_be_unpacked_is_told_by_type_and_size(detail: AnyMessage) -> None:
    text = message_text(Order(detail=detail))
    assert SECRET not in text
    assert text == f'detail {{ type_url: "{detail.type_url}" value: <6 bytes> }}'


def test_type_url_that_a_caller_chose_forges_no_line() -> None:
    forged = packed(StringValue(value="x"))
    forged.type_url = "a\nb/google.protobuf.StringValue"
    assert message_text(Order(detail=forged)) == (
        'detail { [google.protobuf.StringValue] { value: "x" } }'
    )


def test_messages_without_anything_sensitive_are_told_as_protobuf_does() -> None:
    assert message_text(StringValue(value="a\nb")) == 'value: "a\\nb"'


def test_nesting_ends_where_a_caller_could_make_it_endless() -> None:
    message = Card(digits=SECRET)
    for _ in range(80):
        message = Card(next=message)
    text = message_text(message)
    assert text.count("{") == text.count("}") < 40
    assert "..." in text


def held_by(holder: str) -> Any:
    return Card(holder=holder, digits=SECRET)


def before(card: Any) -> Any:
    return Card(next=card, digits=SECRET, codes=[4711])


def order_of(cards: list[Any], named: dict[str, Any], detail: Any) -> Any:
    return Order(cards=cards, named=named, detail=packed(Order(detail=packed(detail))))


CARDS = st.recursive(st.text().map(held_by), lambda inner: inner.map(before), max_leaves=4)


@given(
    st.builds(
        order_of,
        st.lists(CARDS, max_size=3),
        st.dictionaries(st.text(max_size=5), CARDS, max_size=3),
        CARDS,
    )
)
def test_no_secret_gets_out_and_no_line_is_broken(order: Any) -> None:
    text = message_text(order)
    assert SECRET not in text
    assert "4711" not in text
    assert "\n" not in text


def test_types_of_a_pool_of_their_own_are_unpacked_from_it() -> None:
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    pool.AddSerializedFile(Default().FindFileByName("google/protobuf/any.proto").serialized_pb)
    pool.AddSerializedFile(definition().SerializeToString())
    order: Any = GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Order"))()
    inner: Any = GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Card"))(digits=SECRET)
    order.detail.Pack(inner)
    assert message_text(order) == f"detail {{ [{PACKAGE}.Card] {{ digits: *** }} }}"
