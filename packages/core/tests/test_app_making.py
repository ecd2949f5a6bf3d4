"""From a factory to an application, and what is told of one that fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kratos.app import App, load, run
from kratos.app._making import made, told
from kratos.errors import ConfigError, KratosError


def good() -> App:
    return App(name="good")


def wants(config: object) -> App:
    return App()


async def waits() -> App:
    return App()


def gives() -> int:
    return 7


def test_factory_makes_an_application() -> None:
    assert made(good, "good").name == "good"


def test_class_whose_parameters_have_defaults_is_a_factory() -> None:
    assert isinstance(made(App, "App"), App)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (wants, r"it takes arguments \(missing a required argument: 'config'\)"),
        (waits, "it is async: define it with def"),
        (gives, "it returns 7; it must return an App"),
    ],
)
def test_what_is_no_factory_is_refused_with_what_to_do(
    build: Callable[..., Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        made(build, "it")


def test_program_whose_factory_is_none_ends_with_the_code_of_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(gives)  # type: ignore[arg-type]
    assert ended.value.code == 2
    assert "returns 7; it must return an App" in caplog.text


def frames(error: BaseException) -> list[str]:
    shown = told(error)
    assert isinstance(shown, BaseException)
    return [Path(frame.filename).name for frame in traceback.extract_tb(shown.__traceback__)]


def test_traceback_begins_in_the_program(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("def build():\n    raise LookupError('no luck today')\nbuild()\n")
    with pytest.raises(LookupError) as caught:
        load(str(program))
    trace = caught.value.__traceback__
    assert trace is not None
    caught.value.__traceback__ = trace.tb_next  # as if nobody but Kratos had called it
    assert frames(caught.value) == ["program.py", "program.py"]


def test_error_of_kratos_itself_is_its_text() -> None:
    assert told(KratosError("worker 1 could not start")) == "KratosError: worker 1 could not start"


def test_fault_of_kratos_itself_keeps_its_traceback() -> None:
    with pytest.raises(TypeError) as caught:
        load(7)  # type: ignore[arg-type]
    trace = caught.value.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    assert frames(caught.value.with_traceback(trace.tb_next))[0] == "_main.py"
