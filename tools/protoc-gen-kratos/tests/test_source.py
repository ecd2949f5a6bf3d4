"""Source text survives whatever definitions contain."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoc_gen_kratos.source import WIDTH, Source, byte_literals, literal


def documented(text: str) -> str:
    source = Source()
    source.line("def f() -> None:")
    with source.indented():
        source.docstring(text)
    tree = ast.parse(source.text())
    found = ast.get_docstring(tree.body[0], clean=True)  # type: ignore[arg-type]
    assert found is not None
    return found.rstrip()


@pytest.mark.parametrize(
    "text",
    [
        'ends with a quote "',
        '"begins with one',
        'three """ quotes',
        'four """" quotes',
        'ends with three """',
        "a \\ backslash",
        "ends with a backslash \\",
        'a backslash and a quote \\"',
        "\\N{BULLET} is no escape",
        "two\nlines",
        'two\nlines "',
    ],
)
def test_docstrings_say_what_the_comment_says(text: str) -> None:
    assert documented(text) == text


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_every_comment_makes_a_docstring(text: str) -> None:
    shown = documented(text)
    assert '"""' in shown or '"""' not in text


def test_control_characters_are_shown_not_written() -> None:
    source = Source()
    source.docstring("bell \x07, override \u202e, nul \x00")
    assert source.text() == '"""bell \\x07, override \\u202e, nul \\x00"""\n'


def test_common_indentation_of_a_comment_is_taken_away() -> None:
    source = Source()
    source.docstring(" First.\n\n   - item\n Last.\n")
    assert source.text() == '"""First.\n\n  - item\nLast.\n"""\n'


@given(st.binary(max_size=400), st.integers(min_value=10, max_value=96))
def test_byte_literals_concatenate_to_the_data(data: bytes, width: int) -> None:
    lines = list(byte_literals(data, width))
    assert b"".join(ast.literal_eval(line) for line in lines) == data
    assert all(len(line) <= width for line in lines)


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_literals_evaluate_to_their_text(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text


def test_literals_prefer_double_quotes() -> None:
    assert [literal(text) for text in ("a", "it's", 'a "b"')] == ['"a"', '"it\'s"', "'a \"b\"'"]


def test_brackets_break_like_a_formatter_does() -> None:
    source = Source()
    source.wrapped("f(", ["a", "b"], ")")
    source.wrapped("function(", ["x" * 40, "y" * 50], ")")
    source.wrapped("function(", ["x" * 40, "y" * 58], ")")
    lines = source.text().splitlines()
    assert lines[0] == "f(a, b)"
    assert lines[1:4] == ["function(", f"    {'x' * 40}, {'y' * 50}", ")"]
    assert lines[4:] == ["function(", f"    {'x' * 40},", f"    {'y' * 58},", ")"]
    assert max(map(len, lines)) <= WIDTH
