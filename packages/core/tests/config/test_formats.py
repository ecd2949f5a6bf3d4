from __future__ import annotations

from typing import Any

import pytest

from kratos.config import KeyValue
from kratos.config._layer import read
from kratos.config.formats import DECODERS, decoder
from kratos.errors import ConfigError


def decoded(name: str, text: str | bytes) -> Any:
    decode = decoder(name)
    assert decode is not None
    return decode(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("json", '{"a": {"b": [1, 2.5, "x", null]}}', {"a": {"b": [1, 2.5, "x", None]}}),
        ("json", '{"big": 9007199254740993}', {"big": 9007199254740993}),
        ("yaml", "a:\n  b: [1, 2.5, x, true, ~]\n", {"a": {"b": [1, 2.5, "x", True, None]}}),
        ("yml", "on: yes\noct: 010\n", {"on": "yes", "oct": 10}),
        ("yml", "day: 2026-01-31\n", {"day": "2026-01-31"}),
        ("yaml", "port: '8080'\nmode: \"010\"\n", {"port": "8080", "mode": "010"}),
        ("YAML", "1: one\n", {"1": "one"}),
        ("toml", "n = 1\n[a.b]\nday = 2026-01-31\n", {"n": 1, "a": {"b": {"day": "2026-01-31"}}}),
        ("toml", "at = [10:00:00]\n", {"at": ["10:00:00"]}),
        ("properties", "a.b = 1\na.c: two words\n", {"a": {"b": "1", "c": "two words"}}),
        ("properties", "! no\n# no\na.d\n", {"a": {"d": ""}}),
        ("properties", "k = one \\\n    two\n", {"k": "one two"}),
        ("properties", "path = c:\\\\x\nu = \\u00e9\\n\n", {"path": "c:\\x", "u": "\u00e9\n"}),
        ("properties", "a\\:b\\ c=1", {"a:b c": "1"}),
        ("env", "A=1\nexport B = 'x # y'\n# no\n\n", {"A": "1", "B": "x # y"}),
        ("env", 'C="a\\nb" # no\nD=x#y # no\nE=\n', {"C": "a\nb", "D": "x#y", "E": ""}),
        ("env", 'a.b=1\nQ="say \\"hi\\""\n', {"a": {"b": "1"}, "Q": 'say "hi"'}),
        ("env", "U=$HOME/${x}\n", {"U": "$HOME/${x}"}),
        (
            "xml",
            '<c><server port="80"><host>a</host><host>b</host></server><on> true </on></c>',
            {"server": {"port": "80", "host": ["a", "b"]}, "on": "true"},
        ),
        ("xml", "<c/>", {}),
    ],
)
def test_document_becomes_a_tree(name: str, text: str, expected: object) -> None:
    assert decoded(name, text) == expected


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_document_without_anything_is_an_empty_one(name: str) -> None:
    assert not decoded(name, "")


@pytest.mark.parametrize("name", sorted(set(DECODERS) - {"xml"}))
def test_mark_of_a_windows_editor_is_passed_over(name: str) -> None:
    text = {"json": '{"a": "1"}', "toml": 'a = "1"', "yaml": "a: '1'", "yml": "a: '1'"}
    assert decoded(name, text.get(name, "a=1").encode("utf-8-sig")) == {"a": "1"}


def test_yaml_aliases_and_merges_stand_for_what_they_name() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [{y: 4}, *b]}\nlist: *b\n"
    assert decoded("yaml", text) == {
        "base": {"x": 1, "y": 2},
        "one": {"x": 1, "y": 3},
        "two": {"x": 1, "y": 4},
        "list": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("json", '{"a": 1,\n "b": }', "line 2, column 7"),
        ("json", '{"a": 1, "a": 2}', "'a' is given twice"),
        ("json", '{"a": NaN}', "NaN is no JSON"),
        ("json", "[" * 100_000, "nested too deeply"),
        ("yaml", "a: 1\na: 2\n", "line 2, column 1: key 'a' is given twice"),
        ("yaml", "a: [1\nb: 2\n", "line 2"),
        ("yaml", "a: !!python/object:os.system x", "tag"),
        ("yaml", "a: 1\n---\nb: 2\n", "document"),
        ("yaml", "? [a]\n: 1\n", "a key must be a scalar"),
        ("yaml", "a: &a [*a]\n", "an alias holds itself"),
        ("toml", "a = \n", "line 1"),
        ("properties", "= 1\n", "line 1 has no key"),
        ("env", "A=1\nno equals sign\n", "line 2 is no NAME=value"),
        ("env", "A='open\n", "line 1 is no NAME=value"),
        ("env", 'A= "open\n', "line 1 is no NAME=value"),
        # Going back over the blanks would take hours.
        ("env", " " * 1_000_000 + "?", "line 1 is no NAME=value"),
        ("env", "A=x" + " " * 1_000_000 + "y\r", "line 1 is no NAME=value"),
        ("xml", "<a><b></a>", "line 1, column 9: mismatched tag"),
        ("xml", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "document types are refused"),
        ("xml", "<a>text<b/></a>", "element a mixes text"),
        ("xml", "<a>" * 101 + "</a>" * 101, "more than 100 deep"),
        ("xml", "<?xml version='1.0' encoding='none'?><a/>", "unknown encoding: none"),
    ],
)
def test_broken_document_says_what_is_wrong_and_where(name: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decoded(name, text)


def test_yaml_that_stands_for_gigabytes_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        inner = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{inner}]")
    with pytest.raises(ValueError, match="aliases make more than 1000000 values"):
        decoded("yaml", "\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 4_000) + " = 1",
        "[" + " . ".join(["'a'"] * 4_000) + "]",
        "x = {" + ".".join(['"a"'] * 4_000) + " = 1}",
        '"\\"".' + ".".join(["a"] * 4_000) + " = 1",
    ],
)
def test_key_of_toml_that_would_take_gigabytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 100 parts"):
        decoded("toml", text)


def test_values_of_toml_may_have_many_dots() -> None:
    addresses = ["10.0.0.1"] * 1000
    numbers = [1.5] * 1000

    assert decoded("toml", f"a = {addresses}\nb = {numbers}\n") == {"a": addresses, "b": numbers}


def test_yaml_merges_that_bring_nothing_a_billion_times_are_refused() -> None:
    lines = ["a0: &a0 {}"]
    for level in range(1, 10):
        inner = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {{<<: [{inner}]}}")
    with pytest.raises(ValueError, match="aliases make more than 1000000 values"):
        decoded("yaml", "\n".join(lines))


def test_name_that_is_given_twice_is_found_among_many() -> None:
    # Counting each of them anew would take minutes.
    members = ", ".join(f'"{number}": 1' for number in range(100_000))
    with pytest.raises(ValueError, match="'99999' is given twice"):
        decoded("json", f'{{{members}, "99999": 2}}')


def test_entries_without_a_format_nest_by_their_dots() -> None:
    entries = [
        KeyValue(key="a.b", value=b"1"),
        KeyValue(key="a.c", value=b"2"),
        KeyValue(key="a.b.d", value=b"3"),
    ]
    (layer,) = read("here", entries, {})
    assert layer.tree == {"a": {"b": {"d": "3"}, "c": "2"}}
    assert layer.origin == "here"


def test_own_decoders_come_first() -> None:
    entry = KeyValue(key="x.json", value=b"a", format="json")
    (layer,) = read("here", [entry], {"json": lambda data: {"read": data.decode()}})
    assert layer.tree == {"read": "a"}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (KeyValue(key="x.ini", value=b"", format="ini"), "here: x.ini: nothing reads .* 'ini'"),
        (KeyValue(key="x.json", value=b"[]", format="json"), "here: x.json: its top must be a map"),
        (KeyValue(key="x.json", value=b"\xff", format="json"), "here: x.json: byte 0 is not UTF-8"),
        (KeyValue(key="x.json", value=b"{", format="json"), "here: x.json: line 1"),
        (KeyValue(key="x", value=b"\xff"), "here: x: byte 0 is not UTF-8"),
    ],
)
def test_entry_that_cannot_be_read_is_named(entry: KeyValue, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read("here", [entry], {})
