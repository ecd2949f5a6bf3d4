"""Path templates: what parses, what matches, and that expanding undoes matching."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.transport.rule import (
    Capture,
    PathTemplate,
    PathValueError,
    SegmentKind,
    TemplateError,
    unescape,
)


def test_variables_are_dotted_field_paths_in_order() -> None:
    template = PathTemplate.parse("/v1/{shelf.name}/books/{book_id=*}")
    assert template.variables == ("shelf.name", "book_id")


def test_segments_are_flattened_out_of_the_variables() -> None:
    template = PathTemplate.parse("/v1/{name=shelves/*/books/**}:get")
    assert [(segment.kind, segment.text) for segment in template.segments] == [
        (SegmentKind.LITERAL, "v1"),
        (SegmentKind.LITERAL, "shelves"),
        (SegmentKind.SINGLE, "*"),
        (SegmentKind.LITERAL, "books"),
        (SegmentKind.REST, "**"),
    ]
    assert template.captures == (Capture(variable="name", start=1, stop=5, multi=True),)
    assert template.verb == "get"


@pytest.mark.parametrize(
    ("text", "multi"),
    [("/{a}", False), ("/{a=*}", False), ("/{a=b}", False), ("/{a=**}", True), ("/{a=b/*}", True)],
)
def test_variable_is_multi_when_it_may_cover_several_segments(text: str, *, multi: bool) -> None:
    assert PathTemplate.parse(text).captures[0].multi is multi


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/v1/{name}", "/v1/{id=*}"),
        ("/v1/{name=shelves/*}", "/v1/shelves/{shelf}"),
        ("/v1/x/", "/v1/x"),
        ("/caf%C3%A9", "/café"),
    ],
)
def test_templates_of_one_route_normalise_alike(one: str, other: str) -> None:
    assert PathTemplate.parse(one).normalised == PathTemplate.parse(other).normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/v1/{name}", "/v1/{name=**}"),
        ("/v1/{name}", "/v1/{name}:cancel"),
        ("/v1/{name}", "/v1/%2A"),
        ("/v1/a:b", "/v1/a%3Ab"),
    ],
)
def test_templates_of_two_routes_normalise_differently(one: str, other: str) -> None:
    assert PathTemplate.parse(one).normalised != PathTemplate.parse(other).normalised


def test_templates_compare_by_their_text() -> None:
    assert PathTemplate.parse("/a/{b}") == PathTemplate.parse("/a/{b}")
    assert PathTemplate.parse("/a/{b}") != PathTemplate.parse("/a/{c}")


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "must start with '/'"),
        ("v1", 0, "must start with '/'"),
        ("//", 1, "empty"),
        ("/a//b", 3, "empty"),
        ("/a*", 2, "whole segment"),
        ("/***", 3, "whole segment"),
        ("/a{b}", 2, "whole segment"),
        ("/{a}{b}", 4, "whole segment"),
        ("/{a}x", 4, "whole segment"),
        ("/}", 1, "has no '{'"),
        ("/{a", 1, "not closed"),
        ("/{a=b", 1, "not closed"),
        ("/{a?}", 3, "cannot stand"),
        ("/{a=b/", 6, "empty"),
        ("/{}", 2, "field name"),
        ("/{a.}", 4, "field name"),
        ("/{.a}", 2, "field name"),
        ("/{1a}", 2, "field name"),
        ("/{a}/{a}", 5, "twice"),
        ("/{a={b}}", 4, "do not nest"),
        ("/{a={b}", 4, "do not nest"),
        ("/{a=**}/b", 8, "may follow"),
        ("/{a=**}/{b}", 8, "may follow"),
        ("/{a=**/b}", 7, "may follow"),
        ("/a:", 3, "verb"),
        ("/{a}:", 5, "verb"),
        ("/{a}:b/c", 6, "cannot stand"),
        ("/v1/:id", 4, "starts with ':'"),
        ("/{name:[0-9]+}", 6, "regular expression"),
        ("/a?b", 2, "cannot stand"),
        ("/a b", 2, "cannot stand"),
        ("/a%zz", 2, "percent escape"),
        ("/%ff", 1, "UTF-8"),
        ("/a/../b", 3, "dot segments"),
    ],
)
def test_malformed_template_is_refused_with_the_place(
    text: str, position: int, problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem) as caught:
        PathTemplate.parse(text)
    assert caught.value.position == position
    assert caught.value.template == text


def test_template_error_says_where_what_and_how_to_mend() -> None:
    with pytest.raises(TemplateError) as caught:
        PathTemplate.parse("/v1/:id")
    assert str(caught.value) == (
        "path template '/v1/:id', offset 4: a segment starts with ':'; write {name} for a variable"
    )


def test_errors_survive_pickling() -> None:
    for error in (TemplateError("/x", 1, "p", "m"), PathValueError("/{x}", "x", "is empty")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("text", "path", "variables"),
    [
        ("/", "/", {}),
        ("/v1/ping", "/v1/ping", {}),
        ("/v1/{name}", "/v1/a%20b", {"name": "a b"}),
        ("/v1/{name}", "/v1/a%2Fb", {"name": "a/b"}),
        ("/v1/{name}", "/v1/a+b", {"name": "a+b"}),
        ("/v1/{name}", "/v1/foo:cancel", {"name": "foo:cancel"}),
        ("/v1/{name}:cancel", "/v1/foo:cancel", {"name": "foo"}),
        ("/v1/{name}:cancel", "/v1/a:b:cancel", {"name": "a:b"}),
        ("/v1/a:b", "/v1/a:b", {}),
        ("/v1/a:b/c", "/v1/a:b/c", {}),
        ("/v1/{a.b}/{c}", "/v1/1/2", {"a.b": "1", "c": "2"}),
        ("/v1/{name=shelves/*}", "/v1/shelves/7", {"name": "shelves/7"}),
        ("/v1/{name=shelves/*}", "/v1/shelves/a%2fb%20c", {"name": "shelves/a%2fb c"}),
        ("/v1/{name=a:b}", "/v1/a:b", {"name": "a:b"}),
        ("/files/{path=**}", "/files/a/b%20c", {"path": "a/b c"}),
        ("/files/{path=**}", "/files/a%252Fb", {"path": "a%2Fb"}),
        ("/files/{path=**}", "/files", {"path": ""}),
        ("/files/{path=**}", "/files/", {"path": ""}),
        ("/files/{path=**}", "/files//x/", {"path": "/x/"}),
        ("/files/{path=**}:zip", "/files/a/b:zip", {"path": "a/b"}),
        ("/{path=**}", "/", {"path": ""}),
        ("/v1/*/x/**", "/v1/a/x/b/c", {}),
        ("/caf%C3%A9", "/caf%c3%a9", {}),
    ],
)
def test_path_matches(text: str, path: str, variables: dict[str, str]) -> None:
    assert PathTemplate.parse(text).match(path) == variables


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", ""),
        ("/", "/x"),
        ("/v1/ping", "/v1/pong"),
        ("/v1/ping", "/v1/ping/"),
        ("/v1/{name}", "/v1/"),
        ("/v1/{name}", "/v1"),
        ("/v1/{name}", "/v1/a/b"),
        ("/v1/{name}", "v1/a"),
        ("/v1/{name}:cancel", "/v1/foo"),
        ("/v1/{name}:cancel", "/v1/:cancel"),
        ("/v1/{name}:cancel", "/v1/foo%3Acancel"),
        ("/v1/{name=shelves/*}", "/v1/books/7"),
        ("/v1/{name}", "/v1/%zz"),
        ("/v1/{name}", "/v1/%ff"),
        ("/files/{path=**}", "/file"),
    ],
)
def test_path_does_not_match(text: str, path: str) -> None:
    assert PathTemplate.parse(text).match(path) is None


@pytest.mark.parametrize(
    ("text", "values", "path"),
    [
        ("/", {}, "/"),
        ("/v1/{name}", {"name": "x y/z?q#"}, "/v1/x%20y%2Fz%3Fq%23"),
        ("/v1/{name}", {"name": "é-._~"}, "/v1/%C3%A9-._~"),
        ("/v1/{name}:cancel", {"name": "a:b"}, "/v1/a%3Ab:cancel"),
        ("/v1/{name=shelves/*}", {"name": "shelves/a b"}, "/v1/shelves/a%20b"),
        ("/files/{path=**}", {"path": "a/b c%2F"}, "/files/a/b%20c%252F"),
        ("/files/{path=**}", {"path": ""}, "/files"),
        ("/{path=**}", {"path": ""}, "/"),
        ("/café/{a.b}", {"a.b": "1"}, "/caf%C3%A9/1"),
        ("/v1/**", {}, "/v1"),
    ],
)
def test_template_expands(text: str, values: dict[str, str], path: str) -> None:
    assert PathTemplate.parse(text).expand(values.__getitem__) == path


@pytest.mark.parametrize(
    ("text", "value", "problem"),
    [
        ("/v1/{name}", "", "is empty"),
        ("/v1/{name}", "..", "dot segments"),
        ("/v1/{name=**}", "a/../b", "dot segments"),
        ("/v1/{name=shelves/*}", "books/7", "does not fit 'shelves/\\*'"),
        ("/v1/{name=shelves/*}", "shelves/7/8", "does not fit"),
        ("/v1/{name=shelves/*}", "shelves/", "does not fit"),
        ("/v1/{name}", "\ud800", "Unicode"),
    ],
)
def test_value_that_no_server_would_find_again_is_refused(
    text: str, value: str, problem: str
) -> None:
    with pytest.raises(PathValueError, match=problem) as caught:
        PathTemplate.parse(text).expand(lambda _: value)
    assert caught.value.variable == "name"


def test_wildcard_without_a_name_cannot_be_expanded() -> None:
    with pytest.raises(PathValueError, match="has no name"):
        PathTemplate.parse("/v1/*").expand(str)


def test_unescape_refuses_what_is_no_utf8() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        unescape("%C3%28")


_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
_LITERALS = st.from_regex(r"[a-z0-9~!$&@_-]{1,5}", fullmatch=True)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text not in (".", "..")
)


@st.composite
def _filled_templates(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Draw a template together with values that fit its variables."""
    text = ""
    values: dict[str, str] = {}
    for name in draw(st.lists(_NAMES, unique=True, max_size=4)):
        literal, value = draw(_LITERALS), draw(_TEXTS)
        shape = draw(st.sampled_from(["literal", "single", "multi"]))
        if shape == "literal":
            text += f"/{literal}"
        elif shape == "single":
            text += f"/{{{name}}}"
            values[name] = value
        else:
            text += f"/{{{name}={literal}/*}}"
            values[name] = f"{literal}/{value.replace('/', '-')}"
    if draw(st.booleans()):
        pieces = draw(st.lists(_TEXTS.map(lambda piece: piece.replace("/", "-")), max_size=3))
        text += "/{the_rest=**}"
        values["the_rest"] = "/".join(pieces)
    if text and draw(st.booleans()):
        text += ":verb"
    return text or "/", values


@given(_filled_templates())
def test_matching_undoes_expanding(filled: tuple[str, dict[str, str]]) -> None:
    text, values = filled
    template = PathTemplate.parse(text)
    path = template.expand(values.__getitem__)
    assert path.isascii()
    assert template.match(path) == values


@given(st.text(alphabet=st.sampled_from("/{}*=.:%aé2F~ \ud800")) | st.text())
def test_any_text_parses_or_raises_template_error(text: str) -> None:
    try:
        normalised = PathTemplate.parse(text).normalised
    except TemplateError:
        return
    assert PathTemplate.parse(normalised).normalised == normalised


@given(_filled_templates(), st.text(alphabet=st.sampled_from("/a:%2Ff.*é")) | st.text())
def test_any_path_matches_or_does_not(filled: tuple[str, dict[str, str]], path: str) -> None:
    found = PathTemplate.parse(filled[0]).match(path)
    assert found is None or found.keys() == filled[1].keys()
