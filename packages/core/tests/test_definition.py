"""Definitions of services, with what they import and what extends them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from kratos.definition import Definitions
from kratos.testing.echo import ALL
from kratos.transport import Arity, Method

ECHO = "kratos.testing.Echo"
MADE = f"kratos/made/{ECHO}.proto"


def file(name: str, *imports: str, messages: Sequence[str] = ()) -> FileDescriptorProto:
    """Make a file of package ``shop``."""
    made = FileDescriptorProto(name=f"{name}.proto", package="shop")
    made.dependency.extend(f"{each}.proto" for each in imports)
    for message in messages:
        made.message_type.add(name=message)
    return made


def service(name: str, message: str, *imports: str) -> FileDescriptorProto:
    """Make a file with a service of its name, whose one method takes and returns a message."""
    made = file(name.lower(), *imports)
    method = made.service.add(name=name).method.add(name="Do")
    method.input_type = method.output_type = f".shop.{message}"
    return made


def pool(*files: FileDescriptorProto) -> DescriptorPool:
    made = DescriptorPool()
    for each in files:
        made.AddSerializedFile(each.SerializeToString())
    return made


def method(where: DescriptorPool, operation: str, message: str) -> Method[Message, Message]:
    type_ = GetMessageClass(where.FindMessageTypeByName(f"shop.{message}"))
    return Method(operation=operation, name="do", arity=Arity.UNARY, request=type_, reply=type_)


def extension(name: str, extended: str, number: int) -> FileDescriptorProto:
    """Make a file that extends a message of ``base``."""
    made = file(name, "base")
    made.extension.add(
        name=name, number=number, extendee=f".shop.{extended}", type=9, label="LABEL_OPTIONAL"
    )
    return made


def test_definition_of_a_service_comes_after_all_that_it_imports() -> None:
    where = pool(file("base", messages=["Item"]), service("Orders", "Item", "base"))
    found = Definitions([method(where, "/shop.Orders/Do", "Item")])
    assert found.services == ("shop.Orders",)
    assert found.of_service("shop.Orders") == ("base.proto", "orders.proto")


def test_file_is_told_as_it_was_compiled() -> None:
    definition = service("Orders", "Item", "base")
    where = pool(file("base", messages=["Item"]), definition)
    found = Definitions([method(where, "/shop.Orders/Do", "Item")])
    assert FileDescriptorProto.FromString(found.data("orders.proto")) == definition


def test_what_is_not_served_is_not_told() -> None:
    where = pool(
        file("base", messages=["Item"]),
        service("Orders", "Item", "base"),
        service("Secrets", "Item", "base"),
    )
    found = Definitions([method(where, "/shop.Orders/Do", "Item")])
    with pytest.raises(KeyError):
        found.with_imports("secrets.proto")
    with pytest.raises(KeyError):
        found.pool.FindServiceByName("shop.Secrets")


def test_extensions_of_what_is_served_are_told_and_what_extends_them_in_turn() -> None:
    base = file("base", messages=["Item"])
    base.message_type[0].nested_type.add(name="Part").extension_range.add(start=100, end=200)
    inner = extension("inner", "Item.Part", 100)
    inner.message_type.add(name="More").extension_range.add(start=7, end=8)
    outer = file("outer", "inner")
    outer.extension.add(
        name="outer", number=7, extendee=".shop.More", type=9, label="LABEL_OPTIONAL"
    )
    where = pool(base, inner, outer, service("Orders", "Item", "base"))
    found = Definitions([method(where, "/shop.Orders/Do", "Item")]).pool
    part = found.FindMessageTypeByName("shop.Item.Part")
    more = found.FindMessageTypeByName("shop.More")
    assert found.FindExtensionByNumber(part, 100).full_name == "shop.inner"
    assert found.FindExtensionByNumber(more, 7).full_name == "shop.outer"


def test_extension_that_imports_another_extension_of_the_same_message_is_told_once() -> None:
    base = file("base", messages=["Item"])
    base.message_type[0].extension_range.add(start=100, end=200)
    second = extension("second", "Item", 101)
    second.dependency.append("first.proto")
    where = pool(base, extension("first", "Item", 100), second, service("Orders", "Item", "base"))
    found = Definitions([method(where, "/shop.Orders/Do", "Item")])
    item = found.pool.FindMessageTypeByName("shop.Item")
    numbers = [each.number for each in found.pool.FindAllExtensions(item)]
    assert sorted(numbers) == [100, 101]  # a pool keeps no order


def test_service_without_a_definition_gets_one_made_of_its_methods() -> None:
    found = Definitions(ALL)
    assert found.of_service(ECHO) == ("google/protobuf/wrappers.proto", MADE)
    methods = found.pool.FindServiceByName(ECHO).methods
    assert {
        (each.name, each.client_streaming, each.server_streaming, each.input_type.full_name)
        for each in methods
    } == {
        ("Echo", False, False, "google.protobuf.StringValue"),
        ("Collect", True, False, "google.protobuf.StringValue"),
        ("Watch", False, True, "google.protobuf.StringValue"),
        ("Chat", True, True, "google.protobuf.StringValue"),
    }


def test_private_copy_is_told_under_the_names_of_the_original() -> None:
    copy = file("copy", messages=["Item", "Bag"])
    copy.message_type[0].nested_type.add(name="Part").field.add(
        name="bag", number=1, type=11, type_name=".shop.Bag", label="LABEL_OPTIONAL"
    )
    where = pool(copy)
    found = Definitions(
        [method(where, "/world.v1.Store/Do", "Item")],
        originals={"world.v1.Store": "world/v1/store.proto"},
    )
    assert found.of_service("world.v1.Store") == ("world/v1/store.proto",)
    store = found.pool.FindServiceByName("world.v1.Store")
    assert store.methods[0].output_type.full_name == "world.v1.Item"
    bag = found.pool.FindMessageTypeByName("world.v1.Item.Part").fields_by_name["bag"]
    assert bag.message_type is not None
    assert bag.message_type.full_name == "world.v1.Bag"
    with pytest.raises(KeyError):
        found.pool.FindMessageTypeByName("shop.Item")


def test_further_files_are_told_with_what_they_import() -> None:
    further = pool(file("base"), file("details", "base", messages=["Why"]))
    definitions = Definitions(ALL, files=[further.FindFileByName("details.proto")])
    assert definitions.with_imports("details.proto") == ("base.proto", "details.proto")
    assert definitions.pool.FindMessageTypeByName("shop.Why").file.name == "details.proto"


def test_further_file_that_contradicts_a_service_is_left_out() -> None:
    served = pool(file("base", messages=["Why"]), service("Prices", "Why", "base"))
    other = pool(file("base", messages=["Why", "What"]))
    prices = method(served, "/shop.Prices/Do", "Why")
    definitions = Definitions([prices], files=[other.FindFileByName("base.proto")])
    assert list(definitions.pool.FindFileByName("base.proto").message_types_by_name) == ["Why"]


def test_service_whose_definition_contradicts_another_is_told_by_name_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = pool(file("base", messages=["Item"]), service("Orders", "Item", "base"))
    two = pool(file("base", messages=["Item", "Bag"]), service("Prices", "Item", "base"))
    methods = [method(one, "/shop.Orders/Do", "Item"), method(two, "/shop.Prices/Do", "Item")]
    with caplog.at_level(logging.WARNING, logger="kratos.definition"):
        found = Definitions(methods)
    assert found.services == ("shop.Orders", "shop.Prices")
    assert found.of_service("shop.Orders") == ("base.proto", "orders.proto")
    assert "shop.Prices is served without a definition" in caplog.text
    with pytest.raises(KeyError):
        found.of_service("shop.Prices")


@given(imports=st.lists(st.sets(st.integers(0, 30)), max_size=12))
def test_every_file_comes_once_and_after_its_imports(imports: list[set[int]]) -> None:
    files = [
        file(f"f{index}", *(f"f{each}" for each in sorted(wanted) if each < index))
        for index, wanted in enumerate(imports)
    ]
    last = service("Orders", "Item", "base", *(f"f{index}" for index in range(len(files))))
    where = pool(file("base", messages=["Item"]), *files, last)
    names = Definitions([method(where, "/shop.Orders/Do", "Item")]).of_service("shop.Orders")
    assert len(set(names)) == len(names) == len(files) + 2
    for each in (*files, last):
        before = names[: names.index(each.name)]
        assert set(each.dependency) <= set(before)


def test_files_that_many_ways_lead_to_are_told_at_once() -> None:
    layers = 40
    files = [file("a0", messages=["Order"]), file("b0")]
    for at in range(1, layers):
        below = (f"a{at - 1}", f"b{at - 1}")
        files += [file(f"a{at}", *below), file(f"b{at}", *below)]
    files.append(service("Orders", "Order", "a0", f"a{layers - 1}", f"b{layers - 1}"))
    served = method(pool(*files), "/shop.Orders/Do", "Order")
    assert len(Definitions([served]).of_service("shop.Orders")) == 2 * layers + 1
