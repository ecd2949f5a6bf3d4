"""Findings as SARIF 2.1.0, which code hosts and editors show beside the lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from kratos_cli.lint.rules import ALL
from protoc_gen_kratos.findings import Finding

__all__ = ["as_sarif"]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_VERSION: Final = "2.1.0"
_ROOT: Final = "SRCROOT"


def as_sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return a log with one run; paths are told from the current folder where they are below it."""
    rules = list(ALL)
    described = [{"id": name, "shortDescription": {"text": ALL[name]}} for name in rules]
    driver = {"name": "kratos lint", "version": version("kratos-cli"), "rules": described}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": f"{Path.cwd().as_uri()}/"}},
        "results": [_result(each, rules.index(each.rule)) for each in findings],
    }
    return {"$schema": _SCHEMA, "version": _VERSION, "runs": [run]}


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _location(finding.file)}
    if finding.line:  # else it is about the file as a whole
        place["region"] = {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        }
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }


def _location(file: str) -> dict[str, str]:
    path = Path(os.path.abspath(file))  # noqa: PTH100 - links keep their names
    if path.is_relative_to(Path.cwd()):
        return {
            "uri": quote(os.fsencode(path.relative_to(Path.cwd()).as_posix())),
            "uriBaseId": _ROOT,
        }
    return {"uri": path.as_uri()}
