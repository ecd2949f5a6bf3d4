"""``kratos proto wheel``: packages of definitions that live beside each other."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main

Write = Callable[[Mapping[str, str]], None]
Python = Callable[..., str]

MONEY = """syntax = "proto3";
package common.v1;
message Money { int64 cents = 1; }
"""
SHOP = """syntax = "proto3";
package shop.v1;
import "common/v1/money.proto";
import "errors/errors.proto";
import "google/api/annotations.proto";
service Shop {
  // Tells what an order costs.
  rpc Price(PriceRequest) returns (common.v1.Money) {
    option (google.api.http) = {get: "/v1/prices/{name}"};
  }
}
message PriceRequest { string name = 1; }
enum ShopErrorReason {
  SHOP_UNSPECIFIED = 0;
  SHOP_UNKNOWN_GOODS = 1 [(errors.code) = 404];
}
"""
COMMAND = ["proto", "wheel", "api", "--name", "Acme.Protos", "--version", "1.2.0"]
PROGRAM = "import sys; from kratos_cli.main import main; sys.exit(main())"
WHEEL = "dist/acme_protos-1.2.0-py3-none-any.whl"


def install(wheel: Path, target: Path) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = os.environ.get("HATCH_UV") or shutil.which("uv") or (beside.is_file() and str(beside))
    pip = (
        [uv, "pip", "install", "--python", sys.executable]
        if uv
        else [sys.executable, "-m", "pip", "install"]
    )
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
    )


@pytest.mark.slow
def test_a_wheel_holds_code_definitions_and_what_describes_them(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"api/common/v1/money.proto": MONEY, "api/shop/v1/shop.proto": SHOP})
    assert main([*COMMAND, "--mock", "--requires", "acme-auth>=2"]) == 0
    assert capsys.readouterr().out == f"{WHEEL}\n"
    with zipfile.ZipFile(folder / WHEEL) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    package = {name.removeprefix("acme_protos/") for name in texts if "dist-info" not in name}
    assert package == {
        "__init__.py",
        "common/__init__.py",
        "common/v1/__init__.py",
        "common/v1/money.proto",
        "common/v1/money_pb2.py",
        "common/v1/money_pb2.pyi",
        "descriptors.binpb",
        "errors.md",
        "openapi.json",
        "py.typed",
        "shop/__init__.py",
        "shop/v1/__init__.py",
        "shop/v1/shop.proto",
        "shop/v1/shop_kratos.py",
        "shop/v1/shop_kratos_mock.py",
        "shop/v1/shop_pb2.py",
        "shop/v1/shop_pb2.pyi",
    }
    assert texts["acme_protos/shop/v1/shop.proto"].decode() == SHOP
    assert b"| 404 | `SHOP_UNKNOWN_GOODS` | `NOT_FOUND` |" in texts["acme_protos/errors.md"]
    document = json.loads(texts["acme_protos/openapi.json"])
    assert document["info"] == {"title": "Acme.Protos", "version": "1.2.0"}
    assert document["paths"]["/v1/prices/{name}"]["get"]["summary"] == "Tells what an order costs."
    told = texts["acme_protos-1.2.0.dist-info/METADATA"].decode().splitlines()
    assert [line for line in told if line.startswith("Requires-Dist")] == [
        "Requires-Dist: acme-auth>=2",
        "Requires-Dist: googleapis-common-protos>=1.63",
        "Requires-Dist: kratos-core>=0.1,<1",
        "Requires-Dist: protobuf>=6.31",
    ]


@pytest.mark.slow
def test_the_bytes_are_the_same_in_every_process_and_folder(
    folder: Path, write: Write, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    for seed in ("1", "2"):
        write({f"{seed}/common/v1/money.proto": MONEY, f"{seed}/shop/v1/shop.proto": SHOP})
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        name = ("--name", "acme-protos", "--version", "1.2.0", "--out", f"dist{seed}")
        python("-c", PROGRAM, "proto", "wheel", seed, *name)
        made.append((folder / f"dist{seed}" / "acme_protos-1.2.0-py3-none-any.whl").read_bytes())
    assert made[0] == made[1]


@pytest.mark.slow
def test_wheels_build_on_each_other(folder: Path, write: Write, python: Python) -> None:
    write({"common/common/v1/money.proto": MONEY, "api/shop/v1/shop.proto": SHOP})
    common = ["proto", "wheel", "common", "--name", "acme-common", "--version", "2.0"]
    assert main(common) == 0
    site = folder / "site"
    install(folder / "dist/acme_common-2.0-py3-none-any.whl", site)
    python("-c", PROGRAM, *COMMAND, path=site)
    install(folder / WHEEL, site)
    [metadata] = site.glob("acme_protos-*.dist-info/METADATA")
    assert "Requires-Dist: acme-common>=2.0\n" in metadata.read_text()
    user = """
import asyncio

from acme_common.common.v1.money_pb2 import Money
from acme_protos.shop.v1.shop_kratos import Shop, ShopClient, error_shop_unknown_goods
from acme_protos.shop.v1.shop_pb2 import PriceRequest
from kratos.testing import serving


class ShopService(Shop):
    async def price(self, request: PriceRequest, /) -> Money:
        if request.name != "tea":
            raise error_shop_unknown_goods(request.name)
        return Money(cents=250)


async def main() -> None:
    async with serving(ShopService()) as caller:
        print((await ShopClient(caller).price(PriceRequest(name="tea"))).cents)


asyncio.run(main())
"""
    write({"user.py": user})
    assert python("user.py", path=site) == "250\n"
    # Definitions elsewhere import those of the wheels without any option.
    python("-c", PROGRAM, "proto", "api", "-I", "api", "--out", "gen", path=site)
    typed = (folder / "gen/shop/v1/shop_kratos.py").read_text()
    assert "from acme_common.common.v1.money_pb2 import Money" in typed


@pytest.mark.slow
def test_an_installed_wheel_is_typed(folder: Path, write: Write, python: Python) -> None:
    write({"api/common/v1/money.proto": MONEY})
    assert main(COMMAND) == 0
    install(folder / WHEEL, folder / "site")
    wrong = 'from acme_protos.common.v1.money_pb2 import Money\n\nMoney(cents="many")\n'
    write({"wrong.py": wrong, "right.py": wrong.replace('"many"', "1")})
    check = ("-m", "mypy", "--strict", "--cache-dir=.mypy")
    python(*check, "right.py", path=folder / "site")
    assert 'wrong.py:3: error: Argument "cents"' in python(
        *check, "wrong.py", path=folder / "site", status=1
    )


def test_what_http_does_not_serve_has_no_document(folder: Path, write: Write) -> None:
    write({"api/common/v1/money.proto": MONEY})
    assert main(COMMAND) == 0
    with zipfile.ZipFile(folder / WHEEL) as archive:
        assert "acme_protos/openapi.json" not in archive.namelist()


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"--version": "1.2-beta"}, 2, "'1.2-beta' is no version in normal form"),
        ({"--name": "acme protos", "--package": "acme"}, 2, "is no name of a distribution"),
        ({"--name": "2protos"}, 2, "'2protos' cannot be imported; choose a --package"),
        ({"--summary": "a\nb"}, 2, "has to be one line"),
        ({"--summary": "a\rName: b"}, 2, "has to be one line"),
        ({"--requires": "a\nName: b"}, 2, "has to be one line"),
        ({"--package": "class"}, 2, "'class' cannot be imported"),
        ({"--package": "os"}, 2, "a package 'os' would hide another one of that name"),
        ({"--name": "kratos"}, 2, "a package 'kratos' would hide another one"),
        ({"--name": "kratos-http"}, 2, "a package 'kratos_http' would hide another one"),
        ({"--out": "api/common/v1/money.proto"}, 1, "api/common/v1/money.proto: "),
    ],
)
def test_what_no_wheel_can_be_is_refused(
    write: Write,
    capsys: pytest.CaptureFixture[str],
    changes: Mapping[str, str],
    status: int,
    reason: str,
) -> None:
    write({"api/common/v1/money.proto": MONEY})
    options = {"--name": "acme-protos", "--version": "1.2.0", **changes}
    words = [word for option in options.items() for word in option]
    assert main(["proto", "wheel", "api", *words]) == status
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({}, "api is no folder"),
        ({"api/README.md": ""}, "there is no definition in api"),
        (
            {"api/shop.proto": SHOP, "other/common/v1/money.proto": MONEY},
            "api/shop.proto:3: it uses common/v1/money.proto, which is neither in the folder",
        ),
        (
            {"api/x.proto": SHOP.replace("{name}", "{nam}"), "other/common/v1/money.proto": MONEY},
            "api/x.proto:9: Shop.Price: path variable 'nam'",
        ),
    ],
    ids=["no folder", "no definition", "import from elsewhere", "wrong rule"],
)
def test_definitions_that_make_no_package_are_refused(
    folder: Path,
    write: Write,
    capsys: pytest.CaptureFixture[str],
    texts: Mapping[str, str],
    reason: str,
) -> None:
    write(texts)
    (folder / "other").mkdir(exist_ok=True)
    assert main([*COMMAND, "-I", "api", "-I", "other"] if texts else COMMAND) != 0
    assert reason in capsys.readouterr().err
    assert not (folder / "dist").exists()


def test_names_with_commas_and_quotes_are_recorded_as_they_are(folder: Path, write: Write) -> None:
    name = 'a,"b".proto'
    write({f"api/{name}": MONEY})
    assert main(COMMAND) == 0
    with zipfile.ZipFile(folder / WHEEL) as archive:
        record = archive.read("acme_protos-1.2.0.dist-info/RECORD").decode()
        recorded = [row[0] for row in csv.reader(record.splitlines())]
        assert sorted(recorded) == sorted(archive.namelist())
    assert f"acme_protos/{name}" in recorded
