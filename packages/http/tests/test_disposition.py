"""Names of files in headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError
from kratos_http import content_disposition
from kratos_http._format import header_block
from kratos_http._multipart import FormLimits, MultipartParser
from kratos_http.disposition import extended

NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("film.mp4", 'attachment; filename="film.mp4"'),
        ("my film.mp4", 'attachment; filename="my film.mp4"'),
        ('a"b', "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("ä.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A4.png"),
        ("50%25.png", "attachment; filename=\"50_25.png\"; filename*=UTF-8''50%2525.png"),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("C:\\x\\y.png", 'attachment; filename="y.png"'),
    ],
)
def test_name_is_told_to_clients_of_all_ages(name: str, value: str) -> None:
    assert content_disposition(name) == value
    assert content_disposition(name, inline=True) == value.replace("attachment", "inline")


@pytest.mark.parametrize("name", ["", "..", "a/", "a\nb", "a\x7f", "\ud800"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"name of a file|surrogates"):
        content_disposition(name)


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_every_name_is_a_header_and_comes_back(name: str) -> None:
    value = content_disposition(name)
    header_block([(b"content-disposition", value.encode("ascii"))])
    _, given, encoded = value.partition("; filename*=")
    assert (extended(encoded) if given else value.split('"')[1]) == name


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "utf-8''%C3",
        "utf-16''a",
        "utf-8''a b",
        "UTF-8''%zz",
        "UTF-8''a%00.png",
        "UTF-8''a%0D%0Aset-cookie:%20a",
        "utf-8''%7f",
    ],
)
def test_malformed_name_is_none(value: str) -> None:
    assert extended(value) is None


def test_form_with_a_malformed_name_is_refused() -> None:
    parser = MultipartParser("multipart/form-data; boundary=b", FormLimits())
    head = b"--b\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''%FF\r\n\r\n"
    with pytest.raises(CodecError, match=r"filename\* of part 1 is malformed"):
        list(parser.feed(head))
