"""What the services have counted, if a package that counts is installed."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from typing import Final

from kratos.metrics import NopMeter, default_meter
from kratos.registry import Discovery, get_service
from kratos_cli.demo.account import Account
from kratos_cli.demo.stage import StageError

__all__ = ["DEBUG", "METRICS", "is_counting", "tell_figures"]

DEBUG: Final = "debug"  # metadata of a service: where its listener for operators is
METRICS: Final = "/metrics"

_TIMEOUT: Final = 5.0  # seconds
_CALLS: Final = re.compile(r"^server_requests_code_total\{.*\} (\S+)$", re.MULTILINE)


def is_counting() -> bool:
    """Tell whether a package is installed that counts; the services have the same ones."""
    return not isinstance(default_meter(), NopMeter)


async def tell_figures(account: Account, discovery: Discovery, names: tuple[str, ...]) -> None:
    """Ask each service what it has counted, and tell of it.

    Raises:
        StageError: It has counted nothing.
    """
    account.title("A meter is installed, so calls were counted, without a line of code")
    for name in names:
        instance = (await get_service(discovery, name))[0]
        url = instance.metadata[DEBUG] + METRICS
        text = await asyncio.to_thread(_get, url)
        calls = sum(map(float, _CALLS.findall(text)))
        if not calls:
            raise StageError(f"{name} has counted no call")
        account.note(f"{name:9} {calls:.0f} calls  {url}")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as reply:  # noqa: S310  the service told it
        return str(reply.read().decode())
