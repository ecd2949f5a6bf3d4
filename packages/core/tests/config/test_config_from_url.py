"""Sources that are chosen by URL, as registries and stores are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kratos import plugins
from kratos.config import Config, EnvSource, FileSource, MemorySource, Source, from_url
from kratos.errors import ConfigError, PluginNotFound
from kratos.url import Url


async def test_files_and_variables_are_layers_of_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings").write_text("a: {b: 1, c: 2}", encoding="utf-8")
    monkeypatch.setenv("KRATOS_TEST_A__B", "3")
    monkeypatch.setenv("OTHER_TEST_A__C", "4")
    config = Config(
        from_url(f"file://{tmp_path / 'settings'}?format=yaml"),
        from_url("env://?prefix=KRATOS_TEST_&prefix=OTHER_TEST_&nested=__"),
    )
    async with config:
        assert [config.snapshot.get(f"a.{key}", int) for key in "bc"] == [3, 4]


async def test_file_may_be_optional(tmp_path: Path) -> None:
    async with Config(from_url(f"file://{tmp_path / 'none.yaml'}?optional=true&poll=1s")) as config:
        assert config.loaded
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        await Config(from_url(f"file://{tmp_path / 'none.yaml'}")).load()


def test_scheme_chooses_the_adapter() -> None:
    assert isinstance(from_url("env://"), EnvSource)
    assert isinstance(from_url("file:///tmp"), FileSource)


def test_adapter_of_a_distribution_gets_the_parsed_url() -> None:
    seen: list[Url] = []

    def factory(url: Url) -> Source:
        seen.append(url)
        return MemorySource()

    undo = plugins.register("kratos.config", "centre", factory)
    try:
        from_url("centre://10.0.0.1:1234/configs?token=x")
    finally:
        undo()
    assert (seen[0].path, seen[0].query) == ("/configs", {"token": ("x",)})


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("file://host/path", "three slashes"),
        ("file://", "three slashes"),
        ("file:///path?pol=1s", "poll"),
        ("file:///path?optional=yes", "true or false"),
        ("env://host", "nothing else"),
        ("env://?prefix=A&nested=_&nested=__", "nested"),
        ("configs", "scheme://"),
    ],
)
def test_wrong_url_is_refused_with_what_to_write(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        from_url(url)


def test_missing_adapter_says_what_there_is() -> None:
    with pytest.raises(PluginNotFound, match=r"installed: .*\benv\b.*\bfile\b"):
        from_url("nowhere://127.0.0.1")
