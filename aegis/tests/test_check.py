from __future__ import annotations

from typing import Any

import pytest

from aegis import Bbr, FixedLimit, Gcra, RetryBudget, SlidingWindow


@pytest.mark.parametrize("value", ["5", None, [], float("nan"), float("inf"), -1])
@pytest.mark.parametrize(
    ("make", "option"),
    [(Gcra, "rate"), (FixedLimit, "limit"), (Bbr, "threshold"), (RetryBudget, "ttl")],
)
def test_option_of_a_wrong_kind_is_named_too(make: Any, option: str, value: Any) -> None:
    others: dict[str, Any] = {"burst": 1} if make is Gcra else {}

    with pytest.raises(ValueError, match=rf"^{option} must .*, got {value!r}".replace("[", r"\[")):
        make(**others, **{option: value})


@pytest.mark.parametrize("value", ["5", None, 2.0])
def test_count_that_is_not_whole_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=f"^limit must be a whole number .*, got {value!r}"):
        SlidingWindow(limit=value, window=1.0)
