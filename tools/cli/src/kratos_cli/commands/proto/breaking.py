"""``kratos proto breaking``: what a change takes from those who use definitions."""

from __future__ import annotations

import argparse
from typing import Final

from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_DESCRIPTION: Final = """\
Compare definitions with an older state: what is gone, renumbered, retyped, or served elsewhere.

The older state is a folder that names start from, a file with descriptors, a wheel of 'kratos proto
wheel', or a revision of git. Rules that buf has too are kept by buf if it is installed."""


def register(subparsers: Subparsers) -> None:
    """Add ``breaking``."""
    from kratos_cli.proto.options import add_engine, add_inputs, add_rules

    parser = subparsers.add_parser(
        "breaking", help="compare with an older state", description=_DESCRIPTION
    )
    add_inputs(parser)
    parser.add_argument(
        "--against",
        required=True,
        metavar="STATE",
        help="folder, descriptors, wheel, or revision of git, such as main",
    )
    add_rules(parser)
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Compile both states, compare, report."""
    from kratos_cli.failure import CommandFailure
    from kratos_cli.proto.against import read_state
    from kratos_cli.proto.buf import buf_breaking, chosen_buf
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs
    from kratos_cli.proto.report import chosen_rules, report
    from protoc_gen_kratos import DefinitionError
    from protoc_gen_kratos.breaking import KRATOS_RULES, RULES, compare

    buf = chosen_buf(args.engine)
    rules = chosen_rules(args, RULES, closed=buf is None)
    inputs = find_inputs(args.inputs, args.proto_path)
    names = list(inputs.paths)
    new = compile_definitions(names, inputs, protoc=args.protoc) if names else b""
    old = read_state(
        args.against,
        inputs,
        given=args.inputs,
        proto_path=args.proto_path,
        protoc=args.protoc,
    )
    try:
        found = compare(
            old.compiled, new, old.sources, rules=RULES if buf is None else KRATOS_RULES
        )
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        raise CommandFailure("\n".join(lines)) from error
    if buf is not None and old.compiled:
        found += buf_breaking(buf, old.compiled, new, {*old.sources, *inputs.paths})
    kept = [one for one in found if rules is None or one.rule in rules]
    return report(kept, inputs.paths, as_json=args.json, what="breaking change")
