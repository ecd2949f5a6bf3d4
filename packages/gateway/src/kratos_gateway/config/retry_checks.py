"""What may be wrong with the further attempts of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import GRPC, Condition, Endpoint, Retry
from kratos_gateway.conditions import judge_of
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.retries import backoff_of, budget_of, hedge_delay_of, is_idempotent
from kratos_gateway.streams import stream_problem
from kratos_gateway.times import in_seconds

__all__ = ["DEFAULT_TIMEOUT", "condition_problem", "retry_troubles"]

DEFAULT_TIMEOUT: Final = 1.0  # seconds

_READERS: Final[tuple[Callable[[Retry], object], ...]] = (hedge_delay_of, backoff_of, budget_of)
_FURTHER: Final = ("hedge_delay", "backoff", "budget")


def retry_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    """Tell what is wrong with the retries of an endpoint."""
    retry = endpoint.retry
    problem = stream_problem(endpoint)
    if problem is not None:
        yield Trouble("retry", problem)
    for at, condition in enumerate(retry.conditions):
        problem = condition_problem(condition)
        if problem is not None:
            yield Trouble(f"retry.conditions[{at}]", problem)
    if retry.conditions and retry.attempts < 2:
        text = "there are conditions, but no second attempt: set it to 2 or more"
        yield Trouble("retry.attempts", text, fatal=False)
    for read in _READERS:
        try:
            read(retry)
        except ConfigError as error:
            field, _, text = str(error).partition(": ")
            yield Trouble(field, text)
    given = [field for field in _FURTHER if retry.HasField(field)]
    if given and retry.attempts < 2:
        text = f"there is {given[0]}, but no second attempt: set it to 2 or more"
        yield Trouble("retry.attempts", text, fatal=False)
    elif retry.HasField("hedge_delay"):
        yield from _hedge_troubles(endpoint)


def condition_problem(condition: Condition) -> str | None:
    """Return what is wrong with a condition; ``None`` if it is well."""
    try:
        judge_of(condition)
    except ConfigError as error:
        return str(error)
    return None


def _hedge_troubles(endpoint: Endpoint) -> Iterator[Trouble]:
    retry, method = endpoint.retry, endpoint.method.upper()
    whole = in_seconds(endpoint.timeout)
    if in_seconds(retry.hedge_delay) >= (whole if whole > 0 else DEFAULT_TIMEOUT):
        text = "it is not shorter than timeout, so no other attempt begins in time"
        yield Trouble("retry.hedge_delay", text, fatal=False)
    if retry.HasField("idempotent_only") and not retry.idempotent_only:
        return
    never = method not in ("", "*") and not is_idempotent(method)
    if endpoint.protocol == GRPC or never:
        what = "calls of gRPC" if endpoint.protocol == GRPC else method
        text = f"it is not for {what}, which may have been meant once: say idempotent_only: false"
        yield Trouble("retry.hedge_delay", text, fatal=False)
