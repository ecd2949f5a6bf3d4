"""``kratos lint``: layers, the event loop, options, errors, definitions, configuration."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from protoc_gen_kratos.findings import Finding

__all__ = ["register", "run"]

_DESCRIPTION: Final = """\
Check a project: layers that import what they must not know, calls that block the event loop,
coroutines that nothing awaits, options of Kratos that do not exist, reasons of errors, definitions
by the rules of 'kratos proto lint', and files of configuration against their proto.

Nothing of the project is run. A comment '# kratos: ignore[KR201]' allows its line to break a rule;
[tool.kratos.lint] in pyproject.toml says what holds for all of it."""


def register(subparsers: Subparsers) -> None:
    """Add ``lint``."""
    parser = subparsers.add_parser(
        "lint", help="find what a project should not do", description=_DESCRIPTION
    )
    parser.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="file or folder (default: .)"
    )
    parser.add_argument(
        "--fix", action="store_true", help="mend what can be mended safely, and tell the rest"
    )
    parser.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="RULE",
        help="keep only this rule, or those that begin so: KR2; may be given again",
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="RULE", help="do without it, likewise"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the findings as JSON")
    form.add_argument("--sarif", action="store_true", help="print them as SARIF 2.1.0")
    form.add_argument("--rules", action="store_true", help="print the rules and do nothing else")


def run(args: argparse.Namespace) -> int:
    """Check, mend if asked for, and fail if something is left."""
    from kratos_cli.lint import lint
    from kratos_cli.lint.fixing import fix
    from kratos_cli.lint.rules import RULES

    if args.rules:
        print("\n".join(f"{name}  {about}" for name, about in RULES.items()))
        return 0
    found = lint(args.paths, select=args.select, ignore=args.ignore)
    if args.fix:
        try:
            mended = fix(found)
        except OSError as error:
            raise CommandFailure(f"{error.filename}: {error.strerror}") from error
        if mended:
            sys.stderr.write(f"kratos lint: {_counted(mended)} mended\n")
            found = lint(args.paths, select=args.select, ignore=args.ignore)
    _show([each.finding for each in found], as_json=args.json, as_sarif=args.sarif)
    if not found:
        return 0
    fixable = sum(bool(each.edits) for each in found)
    hint = f"; --fix mends {fixable}" if fixable and not args.fix else ""
    raise CommandFailure(f"{_counted(len(found))}{hint}")


def _show(findings: Sequence[Finding], *, as_json: bool, as_sarif: bool) -> None:
    if as_sarif:
        from kratos_cli.lint import sarif

        print(json.dumps(sarif.as_sarif(findings), indent=2, ensure_ascii=False))
    elif as_json:
        print(json.dumps([each.as_json() for each in findings], indent=2, ensure_ascii=False))
    else:
        for each in findings:
            print(each.text())


def _counted(count: int) -> str:
    return f"{count} finding{'' if count == 1 else 's'}"
