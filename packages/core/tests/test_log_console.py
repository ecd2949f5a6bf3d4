"""What a program without a logging configuration shows."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from kratos.log import Level, StdLogger
from kratos.log._console import shown


@contextmanager
def unconfigured() -> Generator[logging.Logger]:
    """Take pytest's own handlers away, which it adds anew for every phase of a test."""
    root, logger = logging.getLogger(), logging.getLogger("kratos")
    handlers, level = root.handlers, logger.level
    root.handlers = []
    logger.setLevel(logging.NOTSET)
    try:
        yield logger
    finally:
        root.handlers = handlers
        logger.setLevel(level)


def test_records_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured(), shown():
        StdLogger().log(Level.DEBUG, "a detail")
        StdLogger().log(Level.INFO, "application started", {"name": "greeter"})
        logging.getLogger("kratos.calls").info("server request")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" ", 2)[2] for line in err.splitlines()] == [
        "INFO kratos: application started name=greeter",
        "INFO kratos.calls: server request",
    ]


def test_text_of_an_exception_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured(), shown():
        try:
            raise ValueError("x\n2026-01-01 INFO kratos: all is well\x1b[2J")
        except ValueError:
            logging.getLogger("kratos.http").exception("failed")
    first, *trace = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR kratos.http: failed")
    assert trace[-1] == "  2026-01-01 INFO kratos: all is well\\x1b[2J"
    assert all(line.startswith("  ") for line in trace)


def test_nothing_is_left_configured() -> None:
    with unconfigured() as logger:
        with shown():
            assert logger.handlers
        assert logger.handlers == []
        assert logger.level == logging.NOTSET


def test_handler_of_the_program_is_the_only_one() -> None:
    own = logging.NullHandler()
    with unconfigured() as logger:
        logger.addHandler(own)
        try:
            with shown():
                assert logger.handlers == [own]
                assert logger.level == logging.NOTSET
        finally:
            logger.removeHandler(own)


def test_handler_that_the_program_adds_later_takes_over(capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured(), shown():
        logging.basicConfig(format="mine %(message)s")
        StdLogger().log(Level.INFO, "started")
    assert capsys.readouterr().err == "mine started\n"


def test_level_of_the_program_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with unconfigured() as logger:
        logger.setLevel(logging.WARNING)
        with shown():
            StdLogger().log(Level.INFO, "started")
        assert logger.level == logging.WARNING
    assert capsys.readouterr().err == ""
