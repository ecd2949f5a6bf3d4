"""The page of the gateway: its configuration is well, and its tables name every flag and field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.message import Message

from kratos_gateway.api.gateway_pb2 import (
    Backend,
    Balancer,
    Endpoint,
    Gateway,
    HealthCheck,
    Match,
    OutlierEjection,
    Redirect,
    Response,
    Retry,
)
from kratos_gateway.config import problems, read
from kratos_gateway.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
# What nothing reads, here as in Go.
SILENT = {"description", "priorities"}


def section(title: str) -> str:
    return PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]


def test_configurations_of_the_page_have_no_problem() -> None:
    found = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    for text in found:
        parsed = read(text, Gateway, name="gateway.md", environ={})
        assert problems(parsed.message, oddities=parsed.oddities) == []


def test_the_page_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.of(["--help"], environ={})
    flags = set(re.findall(r" --([a-z.-]+)", capsys.readouterr().out)) - {"help"}
    assert len(flags) > 10
    assert set(re.findall(r"`-([a-z.-]+)`", section("Flags"))) == flags


@pytest.mark.parametrize(
    ("title", "message"),
    [("Endpoints", Endpoint), ("Back ends", Backend), ("Further attempts", Retry)],
)
def test_the_page_names_every_field(title: str, message: type[Endpoint | Backend | Retry]) -> None:
    assert named(title) == fields(message)


def test_the_page_names_every_field_of_what_is_not_gos() -> None:
    assert named("Balancers") == fields(Balancer) | fields(OutlierEjection)
    assert named("Health checks") == fields(HealthCheck)
    assert named("Which requests") == fields(Match) | {"percentage"}
    assert named("Redirects and fixed answers") == fields(Redirect) | fields(Response)


def fields(message: type[Message]) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields} - SILENT


def named(title: str) -> set[str]:
    cells = re.findall(r"^\| (`[^|]+) \|", section(title), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
