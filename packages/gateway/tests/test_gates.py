"""Feature gates have Go's names, defaults and words."""

from __future__ import annotations

import pytest

from kratos.errors import ConfigError
from kratos_gateway.gates import Gates


def test_gates_have_the_defaults_of_go() -> None:
    assert Gates().states == {"gw:Retry": True, "gw:PriorityConfig": False}


def test_a_text_opens_and_closes_gates() -> None:
    gates = Gates.parse("gw:Retry=false, gw:PriorityConfig=1,")
    assert gates.states == {"gw:Retry": False, "gw:PriorityConfig": True}


@pytest.mark.parametrize("text", ["gw:Retry", "gw:Retry=maybe", "gw:Retri=true"])
def test_a_text_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="feature gate"):
        Gates.parse(text)


def test_a_gate_is_switched_and_unknown_ones_are_left_out() -> None:
    gates = Gates()
    gates.switch({"gw:Retry": False, "gw:Tomorrow": True})
    assert not gates.enabled("gw:Retry")
    assert "gw:Tomorrow" not in gates.states
