"""``kratos proto lint``: rules that definitions should keep."""

from __future__ import annotations

import argparse
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_DESCRIPTION: Final = """\
Check definitions: names and places, paths of HTTP that clash or cannot be, enums of errors.

Rules of style are kept by buf if it is installed, by buf.yaml if there is one, else by Kratos under
the same names. A comment 'buf:lint:ignore RULE' in front of an element allows it to break one."""


def register(subparsers: Subparsers) -> None:
    """Add ``lint``."""
    from kratos_cli.proto.options import add_engine, add_inputs, add_rules

    parser = subparsers.add_parser(
        "lint", help="check names, paths and errors", description=_DESCRIPTION
    )
    add_inputs(parser)
    add_rules(parser)
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, check, report."""
    from kratos_cli.proto.buf import buf_lint, chosen_buf
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs
    from kratos_cli.proto.report import chosen_rules, report
    from protoc_gen_kratos import DefinitionError
    from protoc_gen_kratos.lint import KRATOS_RULES, RULES, check

    buf = chosen_buf(args.engine)
    rules = chosen_rules(args, RULES, closed=buf is None)
    inputs = find_inputs(args.inputs, args.proto_path)
    if not inputs.paths:
        raise CommandFailure("there is no definition in what was given", status=2)
    compiled = compile_definitions(list(inputs.paths), inputs, protoc=args.protoc)
    try:
        found = check(compiled, list(inputs.paths), rules=RULES if buf is None else KRATOS_RULES)
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        raise CommandFailure("\n".join(lines)) from error
    if buf is not None:
        found += buf_lint(buf, compiled, inputs.paths)
    kept = [one for one in found if rules is None or one.rule in rules]
    return report(kept, inputs.paths, as_json=args.json, what="finding")
