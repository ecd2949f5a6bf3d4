"""Options of a wrong type, as they are handed over by mistake, are refused with what to write."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos_http import HttpConnector, HttpServer, Limits


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (HttpServer, {"limits": 3}, r"limits is Limits\(...\) or None, not 3"),
        (HttpServer, {"streams": 3}, r"streams is StreamOptions\(...\) or None"),
        (HttpServer, {"timeout": "1s"}, "timeout must be a number"),
        (HttpServer, {"cancel_grace": "1s"}, "cancel_grace is a number from 0"),
        (HttpServer, {"filters": len}, "filters must be a list"),
        (Limits, {"max_body": "4MB"}, "max_body is a number above 0, not '4MB'"),
        (HttpConnector, {"connect_timeout": "5s"}, "connect_timeout is a number above 0"),
        (HttpConnector, {"max_connections": "5"}, "max_connections is a whole number from 1"),
        (HttpConnector, {"redirects": -1}, "redirects is a whole number from 0"),
    ],
)
def test_option_of_a_wrong_type_is_refused_with_what_to_write(
    make: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        make(**options)
