"""From templates to text."""

from __future__ import annotations

import pytest

from kratos_cli.failure import CommandFailure
from kratos_cli.new.render import render

VALUES = {"name": "shop", "package": "my_shop"}


def rendered(text: str, **flags: bool) -> str:
    return render(text, VALUES, {"http": True, "grpc": True, **flags}, where="file")


def test_values_stand_in_place_of_their_names() -> None:
    assert rendered("{{name}}: {{package}}.{{name}}\n") == "shop: my_shop.shop\n"


@pytest.mark.parametrize("text", ["${{ matrix.python }}", "{{other}}", "{{ name }}", "{name}"])
def test_braces_of_others_stay(text: str) -> None:
    assert rendered(text) == text


PARTS = "a\n{{#http}}\nb\n{{/http}}\n{{^http}}\nc\n{{/http}}\nd\n"


@pytest.mark.parametrize(("http", "result"), [(True, "a\nb\nd\n"), (False, "a\nc\nd\n")])
def test_parts_are_there_if_their_flags_say_so(http: bool, result: str) -> None:
    assert rendered(PARTS, http=http) == result


@pytest.mark.parametrize(
    ("http", "grpc", "result"),
    [(True, True, "1\n2\n"), (True, False, "1\n"), (False, True, ""), (False, False, "")],
)
def test_parts_within_parts_need_both(http: bool, grpc: bool, result: str) -> None:
    text = "{{#http}}\n1\n{{#grpc}}\n2\n{{/grpc}}\n{{/http}}\n"
    assert rendered(text, http=http, grpc=grpc) == result


def test_parts_of_others_stay() -> None:
    assert rendered("{{#each}}\nx\n{{/each}}\n") == "{{#each}}\nx\n{{/each}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{{#http}}\nb\n", "file: the template does not end the part 'http'"),
        ("a\n{{/http}}\n", "file:2: the template ends 'http', which is not open"),
        ("{{#http}}\n{{#grpc}}\n{{/http}}\n", "file:3: the template ends 'http'"),
    ],
)
def test_parts_that_do_not_match_are_refused(text: str, told: str) -> None:
    with pytest.raises(CommandFailure, match=told):
        rendered(text)


def test_line_endings_and_the_last_line_are_as_they_were() -> None:
    assert rendered("a\r\n{{name}}") == "a\r\nshop"
