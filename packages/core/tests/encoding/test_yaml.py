"""The YAML codec: YAML 1.2's core schema, and nothing that JSON lacks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.encoding.yaml import YamlCodec

CODEC = YamlCodec()
BRIEF = YamlCodec(json=JsonCodec(options=JsonOptions(emit_unset=False)))


def read(message_type: Any, text: str) -> Any:
    return CODEC.decode(text.encode(), message_type)


def test_message_is_written_in_block_style_and_order(proto: Any) -> None:
    message = proto.TestModel(id=1, name="é", hobby=["a"], attrs={"k": "v"})
    assert CODEC.encode(message).decode() == "id: '1'\nname: é\nhobby:\n- a\nattrs:\n  k: v\n"


@pytest.mark.parametrize("text", ["yes", "null", "~", "", "1", "1e5", "0o7", "0x1", ".inf", "a: b"])
def test_text_that_looks_like_something_else_stays_text(proto: Any, text: str) -> None:
    message = proto.Simple(component=text)
    assert CODEC.decode(CODEC.encode(message), proto.Simple) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("fInt32: 12", 12),
        ("fInt32: +12", 12),
        ("fInt32: 007", 7),
        ("fInt32: 0o17", 15),
        ("fInt32: 0xff", 255),
        ("fInt32: 1e3", 1000),
        ("fInt32: '12'", 12),
        ("f_int32: 12 # comment", 12),
        ("{fInt32: 12}", 12),
        ('{"fInt32": 12}', 12),
        ("---\nfInt32: 12\n...\n", 12),
        ("fInt32: null", 0),
        ("fInt32:", 0),
    ],
)
def test_number_is_read(proto: Any, text: str, value: int) -> None:
    assert read(proto.Scalars, text).f_int32 == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", "yes"), ("2020-01-01", "2020-01-01"), ("1:30", "1:30"), ("<<", "<<")],
)
def test_what_only_yaml_1_1_would_convert_is_text(proto: Any, text: str, value: str) -> None:
    assert read(proto.Simple, f"component: {text}").component == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_bool_is_read(proto: Any, text: str, value: bool) -> None:
    assert read(proto.Scalars, f"fBool: {text}").f_bool is value


@pytest.mark.parametrize("text", ["\r", "a\r\nb", "\x85", "\u2028x", "\u2029"])
def test_line_breaks_of_every_kind_are_kept(proto: Any, text: str) -> None:
    message = proto.Simple(component=text)
    assert CODEC.decode(CODEC.encode(message), proto.Simple) == message


def test_keys_of_maps_are_text(proto: Any) -> None:
    message = read(proto.Complex, "map: {1: a, true: b}\nmap_int64_key:\n  2: c\n")
    assert dict(message.map) == {"1": "a", "true": "b"}
    assert dict(message.map_int64_key) == {2: "c"}


@pytest.mark.parametrize("text", ["", "# nothing", "---", "null"])
def test_empty_document_is_an_empty_message(proto: Any, text: str) -> None:
    assert read(proto.Complex, text) == proto.Complex()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x [1]\nb: *x", "line 1, column 4: aliases are refused"),
        ("id: 1\nid: 2", 'line 2, column 1: member "id" is given twice'),
        ("id: !!binary MQ==", "tag .* is refused"),
        ("id: !!python/object:os.system {}", "tag .* is refused"),
        ("id: !!str 5\nmap: !!set {a}", "tag .* is refused"),
        ("? [a]\n: b", "a key must be a scalar"),
        ("a: 1\n--- \nb: 2", "single document"),
        ("a: [", "line 1, column 5"),
        ("\tid: 1", "cannot start any token"),
        ("[1, 2]", "expected an object"),
        ("id: x", "^id: expected an integer"),
        ("price: .inf", "^price: "),
        ("component: \x01", "not allowed"),
        ("[" * 5000, "line 1, column 102: nested deeper than 100 levels"),
        ("id: " + "9" * 5000, "."),
    ],
)
def test_what_json_could_not_say_is_refused(proto: Any, text: str, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        read(proto.Complex, text)


def test_nested_blocks_are_as_deep_as_json_may_be(proto: Any) -> None:
    text = "".join(f"{' ' * depth}inner:\n" for depth in range(120))
    with pytest.raises(CodecError, match="line 101, column 101: nested deeper than 100 levels"):
        CODEC.decode(text.encode(), proto.Everything)


def test_bytes_that_are_no_utf8_are_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match="byte 4 is not UTF-8"):
        CODEC.decode(b"id: \xff", proto.Complex)


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    number=st.floats(allow_nan=False),
)
def test_reading_undoes_writing(proto: Any, texts: list[str], number: float) -> None:
    entries = {text: text for text in texts}
    message = proto.Complex(strings=texts, d=number, map=entries, id=5, timestamp={"seconds": 1})
    for codec in (CODEC, BRIEF):
        assert codec.decode(codec.encode(message), proto.Complex) == message


@given(text=st.text(alphabet=st.sampled_from("a:-[]{}&*!?|>'\"%@`# \n\t,1e.")) | st.text())
def test_any_text_is_read_or_refused(proto: Any, text: str) -> None:
    try:
        message = CODEC.decode(text.encode("utf-8", "surrogatepass"), proto.Everything)
    except CodecError:
        return
    assert isinstance(message, proto.Everything)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(r'name: "\UFFFFFFFF"', "no YAML", id="beyond Unicode"),
        pytest.param("age: " + "9" * 5000, "longer than anybody reads", id="decimal"),
        pytest.param("age: 0x" + "f" * 5000, "longer than anybody reads", id="hexadecimal"),
    ],
)
def test_what_python_cannot_convert_is_refused(proto: Any, text: str, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        read(proto.TestModel, text)


def test_text_that_would_take_seconds_to_read_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match="131073 bytes of YAML exceed 131072"):
        read(proto.TestModel, " " * (128 * 1024 + 1))


def test_largest_text_can_be_chosen(proto: Any) -> None:
    codec = YamlCodec(max_size=8)
    assert codec.decode(b"name: ab", proto.TestModel).name == "ab"
    with pytest.raises(CodecError, match="exceed 8"):
        codec.decode(b"name: abc", proto.TestModel)
