"""Errors that enums declare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import DefinitionError, Result

Generate = Callable[..., Result]

HEADER = 'syntax = "proto3";\npackage test;\nimport "errors/errors.proto";\n'


def typed(result: Result) -> str | None:
    found = [file.content for file in result.files if file.path.endswith("_kratos.py")]
    return found[0] if found else None


def refused(generated: Generate, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as error:
        generated({"test.proto": HEADER + text})
    return [problem.text() for problem in error.value.problems]


def test_a_value_takes_its_own_code_else_the_default(generated: Generate) -> None:
    content = typed(
        generated(
            {
                "test.proto": HEADER
                + """enum E {
  option (errors.default_code) = 500;
  UNKNOWN = 0;
  NOT_FOUND = 1 [(errors.code) = 404];
}"""
            }
        )
    )
    assert content is not None
    assert 'return Error(500, "UNKNOWN", message, metadata)' in content
    assert 'return Error(404, "NOT_FOUND", message, metadata)' in content


def test_a_value_without_any_code_is_no_error(generated: Generate) -> None:
    text = HEADER + "enum E { NONE = 0; BUSY = 1 [(errors.code) = 503]; }"
    content = typed(generated({"test.proto": text}))
    assert content is not None
    assert '__all__ = ["error_busy", "is_busy"]' in content


def test_comment_of_a_value_follows_the_summary_at_its_margin(generated: Generate) -> None:
    text = (
        HEADER
        + "enum E {\n  NONE = 0;\n  // Try\n  //   later.\n  BUSY = 1 [(errors.code) = 503];\n}"
    )
    content = typed(generated({"test.proto": text}))
    assert content is not None
    assert '    """Return the error 503 BUSY.\n\n    Try\n      later.\n    """' in content


def test_a_file_without_errors_and_services_has_no_typed_module(generated: Generate) -> None:
    assert typed(generated({"test.proto": HEADER + "enum E { NONE = 0; }"})) is None


def test_enums_inside_messages_declare_no_errors(generated: Generate) -> None:
    text = HEADER + "message M { enum E { A = 0 [(errors.code) = 400]; } }"
    assert typed(generated({"test.proto": text})) is None


@pytest.mark.parametrize("code", [1, 600])
def test_codes_from_1_to_600_are_taken(generated: Generate, code: int) -> None:
    text = HEADER + f"enum E {{ A = 0 [(errors.code) = {code}]; }}"
    assert f"Error({code}, " in (typed(generated({"test.proto": text})) or "")


@pytest.mark.parametrize("code", [-1, 601])
def test_other_codes_are_refused_with_their_line(generated: Generate, code: int) -> None:
    assert refused(generated, f"enum E {{\n  A = 0 [(errors.code) = {code}];\n}}") == [
        f"test.proto:5: errors.code is {code}; a code is 1 to 600, and 0 means no error"
    ]
    assert refused(
        generated, f"enum E {{\n  option (errors.default_code) = {code}; A = 0;\n}}"
    ) == [f"test.proto:5: errors.default_code is {code}; a code is 1 to 600, and 0 means no error"]


def test_two_reasons_that_fold_to_one_name_are_refused(generated: Generate) -> None:
    text = """enum E {
  option (errors.default_code) = 500;
  NOT_FOUND = 0;
  NotFound = 1;
}"""
    (problem,) = refused(generated, text)
    assert problem == (
        "test.proto:7: NotFound and NOT_FOUND (line 6) would both be 'error_not_found' in "
        "Python; rename one"
    )


def test_reason_and_code_decide_what_an_error_is(
    generated: Generate,
    written: Callable[[Result, Path], Path],
    python: Callable[..., str],
    tmp_path: Path,
) -> None:
    text = (
        HEADER
        + """enum E {
  // There is no such thing.
  NOT_FOUND = 0 [(errors.code) = 404];
  GONE = 1 [(errors.code) = 410];  // It was here.
}"""
    )
    written(generated({"test.proto": text}), tmp_path / "made")
    program = """
from kratos.errors import Error
from made.test_kratos import error_gone, error_not_found, is_gone, is_not_found

error = error_not_found("no such thing", metadata={"id": "7"})
assert (error.code, error.reason, error.message) == (404, "NOT_FOUND", "no such thing")
assert error.metadata == {"id": "7"}
wrapped = RuntimeError("outer")
wrapped.__cause__ = error
assert is_not_found(error) and is_not_found(wrapped)
assert not is_not_found(None) and not is_not_found(RuntimeError()) and not is_gone(error)
assert not is_not_found(Error(400, "NOT_FOUND")) and not is_not_found(Error(404, "GONE"))
assert "There is no such thing." in error_not_found.__doc__
assert "It was here." in is_gone.__doc__
"""
    python(program, tmp_path)
