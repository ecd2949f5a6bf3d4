"""Forms with parts, whole and in pieces, against a reader that has all of it at once."""

from __future__ import annotations

from typing import Final

from tests.fuzz.cut import cut

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos_http._multipart import FormLimits, MultipartParser, Part

__all__ = ["SEEDS", "WORDS", "check"]

_KIND: Final = "multipart/form-data; boundary=B"
_DELIMITER: Final = b"\r\n--B"
_LIMITS: Final = FormLimits(max_parts=10, max_head=300)
_HEAD: Final = b"--B\r\nContent-Disposition: form-data; "
_FORMS: Final = (
    _HEAD + b'name="a"\r\n\r\nx\r\n--B--\r\n',
    _HEAD + b'name="a"; filename="c:\\d\\"e"\r\nContent-Type: a/b\r\n\r\n\r\n--A\r\n--\r\n--B--x',
    _HEAD + b"name=a\r\n\r\n1\r\n" + _HEAD + b"name*=utf-8''b; name=%22\r\n\r\n\r\n--B--",
    b"--B--",
)
SEEDS: Final = tuple(bytes((5 * i, i)) + form for i, form in enumerate(_FORMS))
WORDS: Final = (
    b"\r\n--B\r\n", b"\r\n--B--", b"--B", b"\r\n\r\n", b"\r\n", b"--", b"form-data", b'"', b"'",
    b"Content-Disposition: ", b"Content-Type: text/plain", b"; filename=", b'; name="', b"%22",
    b"%0D", b"\\", b"Content-Transfer-Encoding: base64",
)  # fmt: skip

Parts = list[tuple[Part, bytes]]


def check(data: bytes) -> None:
    """Read a form: the same parts or the same refusal, however cut, and what stands in it."""
    plan, form = data[:2], data[2:]
    whole, cuts = _read([form]), _read(cut(form, plan))
    assert whole == cuts
    if not isinstance(whole, int):
        assert [body for _, body in whole] == _bodies(b"\r\n" + form)


def _read(pieces: list[bytes]) -> Parts | int:
    """Return the parts, or the code of the error."""
    parser = MultipartParser(_KIND, _LIMITS)
    parts: Parts = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                if isinstance(event, Part):
                    parts.append((event, b""))
                else:
                    assert event, "a piece is never empty"
                    parts[-1] = (parts[-1][0], parts[-1][1] + event)
        parser.finish()
    except CodecError:
        return 400
    except Error as error:
        return error.code
    return parts


def _bodies(form: bytes) -> list[bytes]:
    """Return what follows each head, up to the next boundary."""
    found: list[bytes] = []
    _, begun, rest = form.partition(_DELIMITER)
    while begun and not rest.startswith(b"--"):
        assert rest.startswith(b"\r\n")
        _, _, rest = rest.partition(b"\r\n\r\n")
        body, begun, rest = rest.partition(_DELIMITER)
        assert begun, "a part without its end"
        found.append(body)
    return found
