"""The page about the gateway's middleware tells all of it, and every option; its YAML works."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from kratos.plugins import clear, find
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Gateway, Middleware
from kratos_gateway.command import main
from kratos_gateway.config import parse
from kratos_gateway.middleware import GROUP, Context, create
from kratos_gateway.proxy import Proxy
from kratos_gateway.testing import backend, say
from kratos_http.testing import SocketPeer, listening

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-middleware.md").read_text(encoding="utf-8")
NAMES = [plugin.name for plugin in find(GROUP) if plugin.distribution == "kratos-gateway"]
WITHOUT = ("bbr", "grpcweb")  # options
MODULES = {name: f"kratos_gateway.api.{name}_pb2" for name in NAMES if name not in WITHOUT}
MODULES["Reflection"] = "kratos_gateway.api.reflection_pb2"  # a part of others' options


def blocks(language: str) -> list[str]:
    """Return the examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


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
    text, *_ = blocks("yaml")
    for module in MODULES.values():
        import_module(module)
    gateway = json_format.ParseDict(yaml.safe_load(text), Gateway())
    configured = [*gateway.middlewares, *gateway.endpoints[0].middlewares]
    assert len(configured) == 4
    for each in configured:
        each.required = True
        create(each, context=Context())


def test_options_of_the_page_make_a_middleware() -> None:
    texts = [text for text in blocks("yaml") if text.startswith("options:")]
    assert texts
    for text in texts:
        told = yaml.safe_load(text)
        name = told["options"]["@type"].rpartition(".")[2].lower()
        import_module(MODULES[name])  # by which its type is known
        whole = {"name": name, "required": True, **told}
        create(json_format.ParseDict(whole, Middleware()), context=Context())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of what the page says of middleware of one's own, as pip would install it."""
    [module] = [text for text in blocks("python") if "def build(" in text]
    source, wheels, site = (tmp_path / name for name in ("source", "wheels", "site"))
    source.mkdir()
    (source / "shop_hello.py").write_text(module, encoding="utf-8")
    [project] = blocks("toml")
    (source / "pyproject.toml").write_text(project, encoding="utf-8")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(command, cwd=source, check=True, timeout=60, capture_output=True)
    [wheel] = wheels.iterdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    clear()
    yield tmp_path
    sys.modules.pop("shop_hello", None)
    clear()


def own(target: str) -> str:
    """Return a configuration with the middleware of the page."""
    [text] = [text for text in blocks("yaml") if "name: hello" in text]
    endpoint = f"{{path: /*, protocol: HTTP, backends: [{{target: '{target}'}}]}}"
    return f"{text}endpoints: [{endpoint}]\n"


def test_middleware_of_ones_own_is_known_to_check(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = installed / "config.yaml"
    file.write_text(own("127.0.0.1:80"), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["check", str(file)])
    assert (ended.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.usefixtures("installed")
async def test_middleware_of_ones_own_works_by_what_the_page_says() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(script) as node:
        config = parse(own(node.address))
        proxy = await Proxy.opened(config, middleware=partial(create, context=Context()))
        async with listening(proxy) as gateway:
            peer = await SocketPeer.connect("127.0.0.1", gateway.port)
            assert (await peer.request("GET", "/a")).header("x-hello") == "shop"
            await peer.aclose()
        await proxy.aclose(drain=0)
