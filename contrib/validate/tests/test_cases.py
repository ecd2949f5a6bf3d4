"""Every rule, held to what Go said of the same messages.

The texts in ``cases.json`` are Go's; ``tests/interop/validate`` asks it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from shop import accounts_pb2, orders_pb2

from kratos.middleware import Check, ValidationError
from kratos_validate import LegacyRules, ModernRules

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())
RULES = (ModernRules(), LegacyRules())
MODULES: tuple[Any, ...] = (accounts_pb2, orders_pb2)
CAUSE = " | caused by: "
# Go words what is wrong with an address of mail and with a URI in many ways; ours are fewer.
OTHER_CAUSES = ("value must be a valid email address", "value must be a valid URI")


def message_of(case: dict[str, Any]) -> Any:
    name = case["type"].partition(".")[2]
    kind = next(getattr(module, name) for module in MODULES if hasattr(module, name))
    return json_format.ParseDict(case["message"], kind())


KNOWN: dict[str, list[Check]] = {}


def checks_of(message: Any) -> list[Check]:
    name: str = message.DESCRIPTOR.full_name
    if name not in KNOWN:
        kind: Any = message.__class__
        found = [rules.for_type(kind) for rules in RULES]
        KNOWN[name] = [check for check in found if check is not None]
    return KNOWN[name]


def text_of(message: Any) -> str:
    for check in checks_of(message):
        try:
            check(message)
        except ValidationError as error:
            return str(error)
    return ""


def comparable(text: str) -> str:
    if text.startswith("runtime error: "):
        return text.rpartition(": ")[0]
    if any(each in text for each in OTHER_CAUSES):
        return text.partition(CAUSE)[0]
    return text


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['type']}-{json.dumps(case['message'])[:40]}"
)
def test_message_is_judged_as_by_go_and_in_the_same_words(case: dict[str, Any]) -> None:
    assert comparable(text_of(message_of(case))) == comparable(case["text"])
