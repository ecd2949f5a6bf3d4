"""What a project may be called, and what follows from it."""

from __future__ import annotations

import pytest

from kratos_cli.failure import CommandFailure
from kratos_cli.new.names import names_of


@pytest.mark.parametrize(
    ("name", "package", "prefix"),
    [
        ("shop", "shop", "SHOP_"),
        ("my-shop", "my_shop", "MY_SHOP_"),
        ("shop2", "shop2", "SHOP2_"),
        ("a-1-b", "a_1_b", "A_1_B_"),
    ],
)
def test_package_and_variables_follow_from_the_name(name: str, package: str, prefix: str) -> None:
    names = names_of(name)
    assert (names.distribution, names.package, names.prefix) == (name, package, prefix)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Shop", "shop"),
        ("my_shop", "my-shop"),
        ("MyShop", "my-shop"),
        ("my shop", "my-shop"),
        ("-shop", "shop"),
        ("shop--one", "shop-one"),
        ("1shop", "shop"),
        ("shop.service", "shop-service"),
    ],
)
def test_what_is_no_name_is_answered_with_one(name: str, meant: str) -> None:
    with pytest.raises(CommandFailure, match=f"did you mean '{meant}'") as caught:
        names_of(name)
    assert caught.value.status == 2


@pytest.mark.parametrize("name", ["", "...", "42", "ß", "../shop"])
def test_what_is_like_no_name_is_refused(name: str) -> None:
    with pytest.raises(CommandFailure, match="is no name for a project"):
        names_of(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("class", "is a word of Python"),
        ("match", "is a word of Python"),
        ("json", "would hide a module of Python"),
        ("kratos", "would hide one that projects use"),
        ("kratos-http", "would hide one that projects use"),
        ("typing-extensions", "would hide one that projects use"),
        ("tests", "would hide one that projects use"),
    ],
)
def test_a_package_that_would_hide_another_is_refused(name: str, why: str) -> None:
    with pytest.raises(CommandFailure, match=why) as caught:
        names_of(name)
    assert f"{name}-service" in str(caught.value)


@pytest.mark.parametrize("name", ["python", "protobuf", "pyyaml", "pytest-asyncio", "types-yaml"])
def test_name_that_would_take_the_place_of_what_is_installed_is_refused(name: str) -> None:
    with pytest.raises(CommandFailure, match="a library or a program that projects use") as caught:
        names_of(name)
    assert f"my-{name}" in str(caught.value)
    assert names_of(f"my-{name}").distribution == f"my-{name}"


def test_names_fit_into_those_of_kubernetes() -> None:
    assert names_of("a" * 40).package == "a" * 40
    with pytest.raises(CommandFailure, match="40 characters at most"):
        names_of("a" * 41)
