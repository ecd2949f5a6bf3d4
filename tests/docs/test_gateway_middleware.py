"""The page about the gateway's middleware tells all of it, and every option; its YAML works."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from kratos.plugins import find
from kratos_gateway.api.gateway_pb2 import Gateway, Middleware
from kratos_gateway.middleware import GROUP, Context, create

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-middleware.md").read_text(encoding="utf-8")
NAMES = [plugin.name for plugin in find(GROUP) if plugin.distribution == "kratos-gateway"]
WITHOUT = ("bbr", "grpcweb")  # options
MODULES = {name: f"kratos_gateway.api.{name}_pb2" for name in NAMES if name not in WITHOUT}
MODULES["Reflection"] = "kratos_gateway.api.reflection_pb2"  # a part of others' options


def part(name: str) -> str:
    """Return what stands below the heading of a middleware."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no heading for {name}"
    return found[1]


def options(name: str) -> Any:
    """Return the type of a middleware's options, by the name that the page gives."""
    found = re.search(r"`([a-z0-9.]+)\.([A-Z][A-Za-z]+)`", part(name))
    assert found is not None, f"the options of {name} have no type on the page"
    kind = getattr(import_module(MODULES[name]), found[2])
    assert kind.DESCRIPTOR.full_name == f"{found[1]}.{found[2]}"
    return kind.DESCRIPTOR


def test_every_middleware_is_in_the_list_and_has_a_part() -> None:
    listed = re.findall(r"^\| \[`([a-z]+)`\]\(#\1\) \|", PAGE, re.MULTILINE)
    assert listed == sorted(NAMES)
    for name in NAMES:
        part(name)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_option_is_told_and_no_other(name: str) -> None:
    rows = re.findall(r"^\| (`[^|]*`) \|", part(name), re.MULTILINE)
    told = [option for row in rows for option in re.findall(r"`([^`]+)`", row)]
    assert sorted(told) == sorted(field.json_name for field in options(name).fields)


def test_yaml_of_the_page_is_a_configuration() -> None:
    text, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for module in MODULES.values():
        import_module(module)
    gateway = json_format.ParseDict(yaml.safe_load(text), Gateway())
    configured = [*gateway.middlewares, *gateway.endpoints[0].middlewares]
    assert len(configured) == 4
    for each in configured:
        each.required = True
        create(each, context=Context())


def test_options_of_the_page_make_a_middleware() -> None:
    _, *texts = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert texts
    for text in texts:
        told = yaml.safe_load(text)
        name = told["options"]["@type"].rpartition(".")[2].lower()
        whole = {"name": name, "required": True, **told}
        create(json_format.ParseDict(whole, Middleware()), context=Context())
