"""Options of a wrong type, as they are handed over by mistake, are refused with what to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from kratos.client import Client
from kratos.config import Config, MemorySource
from kratos.errors import ConfigError, TargetError
from kratos.middleware import (
    cache,
    hedging,
    idempotency,
    logging,
    metadata,
    recovery,
    request_id,
    retry,
    scopes,
    timeout,
    tracing,
)
from kratos.options import (
    require_callable,
    require_count,
    require_instance,
    require_methods,
    require_number,
)
from kratos.store import MemoryStore

HERE = "direct:///127.0.0.1:1"

MISTAKES: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any], str]] = [
    (retry, (), {"attempts": "3"}, "attempts is a whole number from 1, not '3'"),
    (retry, (), {"attempts": 2.5}, "attempts is a whole number"),
    (retry, (), {"attempt_timeout": "1s"}, "attempt_timeout is a number above 0 and finite or"),
    (retry, (), {"retryable": 503}, "retryable is a function or None, not 503"),
    (retry, (), {"meter": 3}, "meter is a meter, with counter"),
    (hedging, (), {"attempts": "2"}, "attempts is a whole number"),
    (hedging, (), {"idempotent": True}, "idempotent is a function"),
    (timeout, ("1s",), {}, "seconds of timeout is a number above 0"),
    (timeout, (), {"operations": ["/a/B"]}, "operations"),
    (timeout, (), {"operations": {"/a/B": "1s"}}, "seconds of /a/B is a number above 0"),
    (recovery, (), {"handler": 3}, "handler is a function"),
    (metadata, (), {"prefixes": "x-md-"}, r"prefixes is a list of texts, .* write \['x-md-'\]"),
    (metadata, (), {"constants": {"a": "b"}}, r"constants is Metadata\(...\) or None"),
    (tracing, (1,), {}, "tracer is a tracer, with start"),
    (logging, ("info",), {}, "logger is a logger, with log"),
    (request_id, (), {"max_length": "9"}, "max_length is a whole number from 1"),
    (scopes, (["a"],), {}, r"scopes are texts: scopes\('a', 'b'\), not \['a'\]"),
    (idempotency, ("redis://x",), {}, "store is a store, with get"),
    (idempotency, (MemoryStore(),), {"ttl": "1h"}, "ttl is a number"),
    (cache, (1,), {}, "store is a store, with get"),
    (cache, (MemoryStore(),), {"ttl": "1h"}, "ttl is a number"),
    (cache, (MemoryStore(),), {"stale": "1h"}, "stale is a number"),
    (Config, (MemorySource(),), {"schema": {"a": 1}}, "schema is a dataclass, a protobuf"),
    (Config, (MemorySource(),), {"schema": dict}, "schema is a dataclass, a protobuf"),
    (Config, (MemorySource(),), {"load_timeout": "1s"}, "load_timeout is a number"),
    (Config, (MemorySource(),), {"meter": 3}, "meter is a meter"),
    (Client, (HERE,), {"meter": 3}, "meter is a meter"),
    (Client, (HERE,), {"timeout": "1s"}, "timeout must be a number"),
    (Client, (HERE,), {"filters": len}, "filters must be a list"),
    (Client, (HERE,), {"subset": "3"}, "subset is a whole number from 0"),
    (Client, (HERE,), {"drain": "1s"}, "drain is a number from 0"),
    (Client, (HERE,), {"transport": 3}, "transport 3 is neither a name nor a connector"),
]


@pytest.mark.parametrize(("make", "given", "options", "told"), MISTAKES)
def test_option_of_a_wrong_type_is_refused_with_what_to_write(
    make: Callable[..., object], given: tuple[Any, ...], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        make(*given, **options)


@pytest.mark.parametrize("target", [3, None, b"direct:///127.0.0.1:1"])
def test_target_that_is_no_text_is_refused_with_what_to_write(target: Any) -> None:
    with pytest.raises(TargetError, match=r"target must be text, not .*: write discovery:///name"):
        Client(target)


@pytest.mark.parametrize("value", [None, 1, 0.5, math.inf])
def test_number_within_its_range_passes(value: object) -> None:
    require_number("x", value, above=0, optional=True)
    require_number("x", value, least=0.5, optional=True)


@pytest.mark.parametrize("value", [0, -1, math.nan, "1", None, math.inf])
def test_number_out_of_its_range_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"x is a number above 0 and finite, not"):
        require_number("x", value, above=0, finite=True)


def test_what_fits_passes() -> None:
    require_instance("x", "text", str)
    require_callable("x", len)
    require_methods("x", "text", "a text", "upper", "lower")
    require_count("x", 0, least=0)
    require_instance("x", None, str)
    require_callable("x", None)
    require_methods("x", None, "a text", "upper")


@pytest.mark.parametrize("value", [0, 1.0, "1", None])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="x is a whole number from 1, not"):
        require_count("x", value)


def test_what_lacks_a_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="x is a text, with upper, nothing, or None, not 'text'"):
        require_methods("x", "text", "a text", "upper", "nothing")
