"""Which backend does the work, and how the extension learns what it was not told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import Int32Value

from kratos_protojson import JsonError, ParseOptions, Parser, Printer, PrintOptions, from_json
from kratos_protojson._native import NativePlan

LOADED = "import sys; print('kratos_protojson_native' in sys.modules)"


def run(program: str, *, choice: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KRATOS_PROTOJSON": choice}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("choice", ["", "auto"])
def test_extension_is_taken_where_it_is_installed(choice: str) -> None:
    ran = run(f"import kratos_protojson; {LOADED}", choice=choice)
    installed = find_spec("kratos_protojson_native") is not None
    assert ran.stdout.strip() == str(installed)


def test_environment_keeps_to_the_plans() -> None:
    ran = run(f"import kratos_protojson; {LOADED}", choice="python")
    assert ran.stdout.strip() == "False", ran.stderr


def test_environment_that_says_something_else_is_refused() -> None:
    ran = run("import kratos_protojson", choice="rust")
    assert "KRATOS_PROTOJSON is 'rust': say auto, native, python" in ran.stderr


def test_extension_that_is_asked_for_and_missing_is_refused() -> None:
    hide = "import sys; sys.modules['kratos_protojson_native'] = None; "
    hide += "import kratos_protojson as k; "
    ran = run(f"{hide} k.Printer(k.PrintOptions(backend='native'))")
    assert "install kratos-protojson-native" in ran.stderr
    ran = run(f"{hide} from google.protobuf.any_pb2 import Any; print(k.to_json(Any()))")
    assert ran.stdout.strip() == "b'{}'", ran.stderr


def test_plans_do_without_orjson() -> None:
    program = (
        "import sys; sys.modules['orjson'] = None; import kratos_protojson as k; "
        "from google.protobuf.struct_pb2 import Struct; "
        "print(k.to_json(k.from_json('{\"a\":[1]}', Struct)))"
    )
    ran = run(program, choice="python")
    assert ran.stdout.strip() == "b'{\"a\":[1]}'", ran.stderr


def _file(pool: Any, name: str, *, extension: str = "") -> None:
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="late", syntax="proto2")
    message = file.message_type.add(name=name)
    message.field.add(name="number", number=1, label=1, type=5)
    message.extension_range.add(start=100, end=200)
    if extension:
        file.dependency.append(f"{extension}.proto")
        file.extension.add(name="extra", number=100, label=1, type=9, extendee=f".late.{extension}")
    pool.AddSerializedFile(file.SerializeToString())


def test_types_and_extensions_that_come_later_are_found(proto: Any, backend: Any) -> None:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(AnyMessage.DESCRIPTOR.file.serialized_pb)
    _file(pool, "First")
    kinds = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in ("late.First", "google.protobuf.Any")
    }
    printer = Printer(PrintOptions(backend=backend, emit_unset=False))
    parser = Parser(ParseOptions(backend=backend))
    first: Any = kinds["late.First"]
    unknown = b"\xa2\x06\x01x"  # field 100
    assert printer.to_json(first.FromString(unknown)) == b"{}"
    assert parser.from_json('{"[late.extra]":"x"}', first) == first()
    holder: Any = kinds["google.protobuf.Any"](type_url="x/late.Second", value=b"\x08\x01")
    with pytest.raises(JsonError, match=r"late\.Second"):
        printer.to_json(holder)

    _file(pool, "Second", extension="First")
    assert json.loads(printer.to_json(holder)) == {"@type": "x/late.Second", "number": 1}
    assert printer.to_json(first.FromString(unknown)) == b'{"[late.extra]":"x"}'
    read = parser.from_json('{"[late.extra]":"x"}', first)
    assert first.SerializeToString(read) == unknown


def test_threads_share_a_printer_and_a_parser(proto: Any, backend: Any) -> None:
    printer = Printer(PrintOptions(backend=backend))
    parser = Parser(ParseOptions(backend=backend))
    start = threading.Barrier(4)
    found: list[bytes] = []

    def work() -> None:
        start.wait()
        kinds = (proto.Everything, proto.WellKnown, proto.Maps, proto.Wide)
        found.extend(printer.to_json(parser.from_json("{}", kind)) for kind in kinds)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 4


def test_type_that_another_thread_learns_meanwhile_is_no_stranger(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: Any = NativePlan
    learn = plans._learn_type

    def elsewhere_first(plan: NativePlan, name: str) -> bool:
        other = threading.Thread(target=learn, args=(plan, name))
        other.start()
        other.join()
        return bool(learn(plan, name))

    monkeypatch.setattr(NativePlan, "_learn_type", elsewhere_first)
    text = f'{{"@type":"x/{Int32Value.DESCRIPTOR.full_name}","value":1}}'
    holder = Parser(ParseOptions(backend=backend)).from_json(text, AnyMessage)
    assert Printer(PrintOptions(backend=backend)).to_json(holder).decode() == text


def test_document_of_megabytes_is_read_and_printed(proto: Any, backend: Any) -> None:
    order = proto.Order(order_id=1)
    for at in range(60_000):
        order.lines.add(sku=f"SKU-{at}", price=at / 4)
    data = Printer(PrintOptions(backend=backend)).to_json(order)
    assert len(data) > 2 << 20
    assert from_json(data, proto.Order, backend=backend) == order
    with pytest.raises(JsonError) as caught:
        from_json(data[:-20] + b"x" + data[-19:], proto.Order, backend=backend)
    assert len(str(caught.value)) < 400
