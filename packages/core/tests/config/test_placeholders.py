from __future__ import annotations

import logging
from typing import Any

import pytest

from kratos.config._placeholders import resolve
from kratos.errors import ConfigError

VALUES: dict[str, Any] = {
    "PORT": "8080",
    "COUNT": 10,
    "ENABLE": True,
    "RATE": 0.9,
    "EMPTY": "",
    "NULL": None,
    "test": {"value": "foobar"},
    "list": [1],
}


def resolved(value: object, **options: bool) -> Any:
    return resolve({**VALUES, "x": value}, **options)["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NOTEXIST:100}", "100"),
        ("${PORT:8081}", "8080"),
        ("${COUNT:0}", "10"),
        ("${ENABLE:false}", "true"),
        ("${RATE}", "0.9"),
        ("${EMPTY:foobar}", ""),
        ("${NULL:foobar}", ""),
        ("${URL:http://example.com}", "http://example.com"),
        ("${test.value}", "foobar"),
        ("$PORT", "$PORT"),
        ("abc${PORT}foo${COUNT}bar", "abc8080foo10bar"),
        ("${foo${bar}}", "}"),
        ("${NOTEXIST}", ""),
        ("${ PORT : 1 }", "8080"),
        ("${NOTEXIST: a b }", "a b"),
        ("${}", ""),
        ("${", "${"),
        ("plain", "plain"),
    ],
)
def test_texts_are_replaced_as_in_go(text: str, expected: str) -> None:
    assert resolved(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${COUNT}", 10),
        ("${PORT}", "8080"),
        ("${ENABLE}", True),
        ("${NULL}", None),
        ("${test}", {"value": "foobar"}),
        ("${list}", [1]),
        ("${N:12}", 12),
        ("${N:-12}", -12),
        ("${N:0.5}", 0.5),
        ("${N:1.5e3}", 1500.0),
        ("${N:true}", True),
        ("${N:false}", False),
        ('${N:"12"}', "12"),
        ("${N:1.2.3.4}", "1.2.3.4"),
        ("${N:.}", "."),
        ("${N:}", ""),
        ("${N}", ""),
        ("x${N:12}y", "x12y"),
        ("${COUNT}${COUNT}", "1010"),
    ],
)
def test_whole_placeholders_keep_their_types_where_asked_for(text: str, expected: object) -> None:
    value = resolved(text, actual_types=True)
    assert value == expected
    assert type(value) is type(expected)


def test_lists_and_mappings_are_searched_at_any_depth() -> None:
    value = ["${PORT}", {"foobar": "${NOTEXIST:8081}", "in": [["${COUNT}"]]}, 5]
    assert resolved(value) == ["8080", {"foobar": "8081", "in": [["10"]]}, 5]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_what_is_referred_to_is_replaced_first_in_any_order(order: str) -> None:
    values = {"a": "<${b}>", "b": "${c:deep}"}
    tree = {key: values[key] for key in order}
    assert resolve(tree) == {"a": "<deep>", "b": "deep"}


@pytest.mark.parametrize(
    ("tree", "circle"),
    [
        ({"a": "${a}"}, "a -> a"),
        ({"a": "${b.c}", "b": {"c": "${a}"}}, "a -> b.c -> a|b.c -> a -> b.c"),
        ({"a": {"b": "${a.b}"}}, "a.b -> a.b"),
    ],
)
def test_circle_is_an_error(tree: dict[str, Any], circle: str) -> None:
    with pytest.raises(ConfigError, match=circle):
        resolve(tree)


def test_mapping_that_holds_its_own_placeholder_is_an_error() -> None:
    with pytest.raises(ConfigError, match="refers to itself: a -> a"):
        resolve({"a": {"b": "${a}"}}, actual_types=True)


@pytest.mark.parametrize(("text", "kind"), [("${test}", "a mapping"), ("-${list}-", "a list")])
def test_mapping_or_list_within_a_text_is_an_error(text: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"'x' refers to '(test|list)', which is {kind}"):
        resolved(text)


@pytest.mark.parametrize("actual_types", [False, True])
def test_placeholders_that_grow_by_powers_are_an_error(actual_types: bool) -> None:
    tree: dict[str, Any] = {f"a{n}": [f"${{a{n + 1}}}"] * 2 for n in range(40)}
    if not actual_types:
        tree = {key: "".join(texts) for key, texts in tree.items()}
    with pytest.raises(ConfigError, match="stand for more than 100000 values"):
        resolve({**tree, "a40": "x"}, actual_types=actual_types)


def test_placeholders_that_stand_for_much_text_are_an_error() -> None:
    tree = {"a": "${b}" * 5000, "b": "x" * 5000}
    with pytest.raises(ConfigError, match=r"'a'.* more than 16777216 characters"):
        resolve(tree)


def test_what_is_never_closed_is_text_however_long() -> None:
    # Searching to the end from each beginning would take hours.
    text = "${" * 300_000
    assert resolved("${PORT}" + text) == "8080" + text


def test_tree_that_is_nested_too_deeply_is_an_error() -> None:
    tree: dict[str, Any] = {"leaf": 1}
    for _ in range(101):
        tree = {"a": tree}
    with pytest.raises(ConfigError, match="nested more than 100 deep"):
        resolve(tree)


def test_missing_key_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kratos.config"):
        assert resolved("${NOTEXIST}") == ""
    assert "'x' refers to 'NOTEXIST', which nothing sets" in caplog.text


def test_missing_key_is_an_error_where_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"write \$\{NOTEXIST:default\}"):
        resolved("${NOTEXIST}", required=True)
    assert resolved("${NOTEXIST:}", required=True) == ""
