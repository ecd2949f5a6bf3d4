from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kratos import plugins
from kratos.errors import ConfigError, PluginNotFound
from kratos.registry import Registry, from_url
from kratos.registry.file import FileRegistry
from kratos.registry.memory import MemoryRegistry
from kratos.url import Url, parse_url

Seen = list[Url]


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Urls that the adapter for ``fake://`` was given."""
    urls: Seen = []

    def factory(url: Url) -> Registry:
        urls.append(url)
        if "bad" in url.query:
            raise ValueError("bad must not be given")
        return MemoryRegistry()

    undo = plugins.register("kratos.registry", "fake", factory)
    yield urls
    undo()


def test_scheme_chooses_the_adapter(tmp_path: Path) -> None:
    assert isinstance(from_url("memory://"), MemoryRegistry)
    assert isinstance(from_url(f"file://{tmp_path}"), FileRegistry)


def test_adapter_gets_the_parsed_url(seen: Seen) -> None:
    from_url("FAKE://root:pw@a:1,b/ns?ttl=15s")

    assert seen == [parse_url("fake://root:pw@a:1,b/ns?ttl=15s")]


def test_parsed_url_is_taken_as_it_is(seen: Seen) -> None:
    url = Url(scheme="fake", password="${NOT_EXPANDED}")

    from_url(url)

    assert seen == [url]


def test_secrets_may_come_from_the_environment(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOS_TEST_PASSWORD", "p@ss/word")

    from_url("fake://root:${KRATOS_TEST_PASSWORD}@a")

    assert seen[0].password == "p@ss/word"


def test_wrong_value_is_a_config_error_without_the_secret(seen: Seen) -> None:
    with pytest.raises(ConfigError, match=r"fake://\*\*\*@a\?bad=1: bad must not be given"):
        from_url("fake://root:hunter2@a?bad=1")


def test_missing_adapter_says_what_there_is() -> None:
    with pytest.raises(PluginNotFound, match=r"installed: .*\bfile\b.*\bmemory\b"):
        from_url("eureka://127.0.0.1:8761")


def test_text_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="must look like scheme://"):
        from_url("127.0.0.1:2379")
