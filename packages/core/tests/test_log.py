from __future__ import annotations

import logging

import pytest

from kratos.log import Level, NopLogger, StdLogger


@pytest.fixture
def std(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.INFO, "kratos.test")
    return logging.getLogger("kratos.test")


def test_fields_follow_the_message_in_the_text(
    std: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    StdLogger(std).log(Level.INFO, "registered", {"name": "greeter", "port": 80})
    assert caplog.records[0].getMessage() == "registered name=greeter port=80"


def test_handlers_find_the_fields_unrendered(
    std: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    StdLogger(std).log(Level.INFO, "registered", {"port": 80})
    assert caplog.records[0].__dict__["kratos"] == {"port": 80}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("x\nlevel=ERROR", r'"x\nlevel=ERROR"'),
        ("x\u2028y", r'"x\u2028y"'),
        ("größe", "größe"),
        (1.5, "1.5"),
        (None, "None"),
        (ValueError("no"), '"ValueError: no"'),
        (ValueError(), "ValueError"),
    ],
)
def test_no_value_can_forge_a_field_or_a_line(
    std: logging.Logger, caplog: pytest.LogCaptureFixture, value: object, text: str
) -> None:
    StdLogger(std).log(Level.INFO, "m", {"k": value})
    assert caplog.records[0].getMessage() == f"m k={text}"


def test_record_is_attributed_to_the_caller(
    std: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    StdLogger(std).log(Level.INFO, "here")
    assert caplog.records[0].filename == "test_log.py"


def test_level_below_the_loggers_costs_no_rendering(
    std: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("rendered")

    StdLogger(std).log(Level.DEBUG, "hidden", {"value": Costly()})
    assert caplog.records == []


@pytest.mark.parametrize(("level", "traced"), [(Level.WARN, False), (Level.ERROR, True)])
def test_error_field_brings_its_trace_from_level_error_on(
    std: logging.Logger, caplog: pytest.LogCaptureFixture, level: Level, traced: bool
) -> None:
    StdLogger(std).log(level, "failed", {"error": OSError("gone")})
    assert bool(caplog.records[0].exc_info) is traced


def test_default_logger_is_named_after_the_framework(caplog: pytest.LogCaptureFixture) -> None:
    StdLogger().log(Level.FATAL, "over")
    assert [(record.name, record.levelno) for record in caplog.records] == [("kratos", 50)]


def test_level_is_found_where_its_number_is_a_key() -> None:
    assert {10: "ten"}[Level.DEBUG] == "ten"


def test_nop_logger_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    NopLogger().log(Level.FATAL, "over", {"k": "v"})
    assert caplog.records == []
