"""What all suites for authors of adapters have in common."""

from __future__ import annotations

from importlib import import_module
from inspect import getmembers, isclass, iscoroutinefunction, isfunction
from pathlib import Path

import pytest

import kratos.testing

SUITES = [
    suite
    for file in sorted(Path(kratos.testing.__file__).parent.glob("*_contract.py"))
    for name, suite in getmembers(import_module(f"kratos.testing.{file.stem}"), isclass)
    if name.endswith("Contract") and suite.__module__ == f"kratos.testing.{file.stem}"
]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.__name__)
def test_one_mark_serves_a_whole_suite(suite: type) -> None:
    # pytest-asyncio warns of tests that are marked and do not run in a loop.
    tests = [test for name, test in getmembers(suite, isfunction) if name.startswith("test_")]
    assert tests
    assert len({iscoroutinefunction(test) for test in tests}) == 1
