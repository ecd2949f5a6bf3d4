from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos_redis import RedisGcra, RedisRegistry, RedisSlidingWindow, RedisSource, RedisStore

GCRA: dict[str, Any] = {"rate": 1, "burst": 1}
SLIDING_WINDOW: dict[str, Any] = {"limit": 1, "window": 1.0}


class Nobody:
    """A client that is never asked."""

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        raise AssertionError(script)

    async def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        raise AssertionError(sha)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "rate must be"),
        ({"burst": 0}, "burst must be"),
        ({"timeout": 0}, "timeout must be finite and more than 0 seconds, got 0"),
        ({"on_error": "wait"}, "on_error must be local, allow, deny or raise, got 'wait'"),
        ({"replicas": 0}, "replicas must be at least 1, got 0"),
        ({"rate": 1e-9, "burst": 10}, "a burst of 10 at 1e-09 per second takes too long"),
    ],
)
def test_options_of_gcra_out_of_range_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RedisGcra(Nobody(), **(GCRA | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must"),
        ({"window": 0}, "window must"),
        ({"window": 1e-5}, "window must be at least a millisecond"),
        ({"replicas": 0}, "replicas must be at least 1, got 0"),
    ],
)
def test_options_of_sliding_window_out_of_range_are_errors(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RedisSlidingWindow(Nobody(), **(SLIDING_WINDOW | options))


@pytest.mark.parametrize(
    "make", [RedisRegistry.from_url, RedisSource.from_url, RedisStore.from_url]
)
@pytest.mark.parametrize("scheme", ["memcached", "redi", "http", "redis+cluste"])
def test_urls_of_other_servers_are_refused_with_the_schemes_there_are(
    make: Callable[[str], object], scheme: str
) -> None:
    known = r"redis:// or rediss:// or redis\+cluster:// or redis\+sentinel://"
    with pytest.raises(ConfigError, match=f"this is no URL of Redis: write {known}") as refusal:
        make(f"{scheme}://app:s3cret@127.0.0.1:11211/0?path=config")
    assert "s3cret" not in str(refusal.value)
