"""The parser of multipart/form-data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos_http._multipart import FormLimits, MultipartParser, Part, boundary_of, is_form_data

KIND = "multipart/form-data; boundary=xx"
LIMITS = FormLimits(max_parts=4, max_head=200)


def head(disposition: str = 'form-data; name="a"', *more: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(b"--xx\r\n%b\r\n" % part for part in parts) + b"--xx--\r\n"


def parse(
    body: bytes, *, step: int = 0, kind: str = KIND, limits: FormLimits = LIMITS
) -> list[tuple[Part, bytes]]:
    """Return the parts of a form that comes in pieces of some size; 0 for one piece."""
    parser = MultipartParser(kind, limits)
    found: list[tuple[Part, bytes]] = []
    pieces = [body[i : i + step] for i in range(0, len(body), step)] if step else [body]
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, Part):
                found.append((event, b""))
            else:
                assert event, "an empty piece says nothing"
                part, data = found[-1]
                found[-1] = part, data + event
    parser.finish()
    return found


def refusal(body: bytes, **options: object) -> tuple[str, str]:
    """Return the message and the part named by the refusal."""
    with pytest.raises(CodecError) as refused:
        parse(body, **options)  # type: ignore[arg-type]
    return refused.value.message, refused.value.field


CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"\r\n", b"--xx", b"\r\n--x", b"\r", b"\n", b"-"]), max_size=8).map(
        b"".join
    ),
).filter(lambda data: b"\r\n--xx" not in b"\r\n" + data)


class TestParts:
    @given(st.lists(CONTENTS, max_size=4), st.integers(0, 40))
    def test_contents_come_out_as_they_went_in_however_they_are_cut(
        self, contents: list[bytes], step: int
    ) -> None:
        body = form(*(head() + data for data in contents))
        assert [data for _, data in parse(body, step=step)] == contents

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
    def test_names_come_out_as_they_went_in(self, name: str) -> None:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        for one in ("%22", "%0D", "%0A"):
            escaped = escaped.replace(one, "")
            name = name.replace(one, "")
        ((part, _),) = parse(form(head(f'form-data; name="{escaped}"')))
        assert part.name == name

    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_nonsense_is_refused_and_never_breaks(self, noise: bytes, step: int) -> None:
        for body in (noise, form(noise), form(head() + noise) + noise):
            try:
                parse(body, step=step)
            except (CodecError, Error):
                continue

    @pytest.mark.parametrize(
        ("disposition", "filename"),
        [
            ('form-data; name="a"; filename="x.png"', "x.png"),
            ('form-data; name="a"; filename=x.png', "x.png"),
            ('form-data; name="a"; filename=""', ""),
            ('form-data; name="a"; filename="a%22b.png"', 'a"b.png'),
            ('form-data; name="a"; filename="a\\"b.png"', 'a"b.png'),
            ('form-data; name="a"; filename="../../etc/passwd"', "passwd"),
            ('form-data; name="a"; filename=".."', ""),
            ('form-data; name="a"; filename="x"; filename*=UTF-8\'\'%C3%A4.png', "ä.png"),
            ("form-data; name=\"a\"; filename*=iso-8859-1'en'%E4.png; filename=x", "ä.png"),
            ("form-data; name=\"a\"; filename*=utf-8''..%2F..%5Cetc%2Fpasswd", "passwd"),
            ("form-data; name=\"a\"; filename*=UTF-8''%2E%2E", ""),
            ('form-data; name="a"; filename="a/."', ""),
            ('form-data; name="a"; filename="C:\\dir\\x.png"', "x.png"),
            ('FORM-DATA; Name="a"; FileName="ü.png"', "ü.png"),
        ],
    )
    def test_name_of_a_file_has_no_folders(self, disposition: str, filename: str) -> None:
        ((part, _),) = parse(form(head(disposition)))
        assert (part.name, part.filename, part.is_file) == ("a", filename, True)

    @pytest.mark.parametrize(
        ("kind", "is_file"),
        [("text/plain", False), ("text/plain; charset=utf-8", False), ("image/png", True)],
    )
    def test_kind_tells_files_from_texts(self, kind: str, is_file: bool) -> None:
        ((part, _),) = parse(form(head('form-data; name="a"', f"Content-Type: {kind}")))
        assert (part.content_type, part.is_file) == (kind, is_file)

    def test_form_may_be_empty(self) -> None:
        assert parse(form()) == []

    def test_what_follows_the_form_means_nothing(self) -> None:
        assert len(parse(form(head()) + b"anything")) == 1


class TestBoundary:
    @pytest.mark.parametrize(
        ("kind", "boundary"),
        [
            ("multipart/form-data; boundary=----WebKitForm7", b"----WebKitForm7"),
            ('multipart/form-data; boundary="a b"', b"a b"),
            ("multipart/form-data; charset=utf-8; Boundary=x ; y=z", b"x"),
        ],
    )
    def test_it_is_read(self, kind: str, boundary: bytes) -> None:
        assert boundary_of(kind) == boundary

    @pytest.mark.parametrize(
        "kind",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="a "',
            f"multipart/form-data; boundary={'x' * 71}",
            "multipart/form-data; boundary=a\tb",
            "multipart/form-data; boundary=ü",
        ],
    )
    def test_body_without_a_good_one_is_refused(self, kind: str) -> None:
        assert "needs a boundary" in refusal(form(), kind=kind)[0]

    @pytest.mark.parametrize(
        ("kind", "is_form"),
        [
            ("Multipart/Form-Data; boundary=x", True),
            ("multipart/form-data ;boundary=x", True),
            ("multipart/form-database; boundary=x", False),
            ("application/json", False),
            ("", False),
        ],
    )
    def test_kind_tells_forms(self, kind: str, is_form: bool) -> None:
        assert is_form_data(kind) is is_form


class TestRefusals:
    @pytest.mark.parametrize("step", [0, 1])
    @pytest.mark.parametrize(
        ("body", "problem", "part"),
        [
            (b"", "the form ends without its last boundary", ""),
            (b"hello" + form(), "does not begin with its boundary", ""),
            (b"\r\n" + form(), "does not begin with its boundary", ""),
            (b"--xy--\r\n", "does not begin with its boundary", ""),
            (b"--xx \r\n" + head(), "goes on", ""),
            (b"--xx\nabc", "goes on", ""),
            (form(b"\r\nx"), "part 1 has no headers", ""),
            (form(head())[:-6], "ends within part 1, 'a', without its last boundary", "a"),
            (form(head() + b"x", b"y"), "ends without", ""),
            (form(b"X: y\r\n\r\n"), "part 1 needs the header Content-Disposition", ""),
            (form(head("attachment")), "part 1 needs the header", ""),
            (form(head("form-data")), "part 1 needs the header", ""),
            (form(head('form-data; name="a')), "part 1 needs the header", ""),
            (form(head('form-data; name="a"; name="b"')), "part 1 needs the header", ""),
            (form(head('form-data; name="a" filename=x')), "part 1 needs the header", ""),
            (form(head('form-data; name="\x01"')), "a header of part 1 is malformed", ""),
            (form(head('form-data;\r\n name="a"')), "a header of part 1 is malformed", ""),
            (form(head('form-data; name="a"\nX: y')), "a header of part 1 is malformed", ""),
            (form(head('form-data; name="a"', "X y")), "a header of part 1 is malformed", ""),
            (
                form(head('form-data; name="a"', "Content-Disposition: x")),
                "a header of part 1 is malformed, or given twice",
                "",
            ),
            (form(b'Content-Disposition: form-data; name="\xff"\r\n\r\n'), "is not UTF-8", ""),
            (
                form(head('form-data; name="a"', "Content-Transfer-Encoding: base64")),
                "part 1, 'a', has a transfer encoding",
                "a",
            ),
        ],
    )
    def test_malformed_form_is_refused_by_the_part(
        self, body: bytes, problem: str, part: str, step: int
    ) -> None:
        message, named = refusal(body, step=step)
        assert problem in message
        assert named == part

    @pytest.mark.parametrize("step", [0, 1])
    def test_too_many_parts_are_refused(self, step: int) -> None:
        with pytest.raises(Error, match="more than 4 parts") as refused:
            parse(form(*[head()] * 5), step=step)
        assert refused.value.code == 413

    @pytest.mark.parametrize("step", [0, 1, 64])
    def test_too_long_headers_are_refused(self, step: int) -> None:
        with pytest.raises(Error, match="headers of part 1 exceed 200 bytes") as refused:
            parse(b"--xx\r\nX: " + b"y" * 300, step=step)
        assert refused.value.code == 413

    def test_headers_of_just_the_limit_pass(self) -> None:
        start = 'form-data; name="a"'
        padding = 200 - len(head(start, "X: ")) + 4
        assert len(parse(form(head(start, f"X: {'y' * padding}")))) == 1
