"""Prints findings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping, Sequence

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import apart, nearest
from protoc_gen_kratos.findings import Finding

__all__ = ["chosen_rules", "report"]


def chosen_rules(
    args: argparse.Namespace, rules: Sequence[str], *, closed: bool
) -> set[str] | None:
    """Return the rules to keep; ``None`` for whichever there are.

    Args:
        args: Of the command line.
        rules: Names of rules that are known.
        closed: Whether there are no others.

    Raises:
        CommandFailure: A rule does not exist.
    """
    select, ignore = apart(args.select), apart(args.ignore)
    unknown = sorted({*select, *ignore} - set(rules))
    if closed and unknown:
        hint = nearest(unknown[0], rules) or f"; there are {', '.join(rules)}"
        raise CommandFailure(f"there is no rule {', '.join(unknown)}{hint}", status=2)
    if not select and not ignore:
        return None
    return set(select or rules) - set(ignore)


def report(
    found: Collection[Finding], paths: Mapping[str, str], *, as_json: bool, what: str
) -> int:
    """Print findings on standard output, and fail if there are any.

    Args:
        found: The findings.
        paths: Where definitions lie, by name.
        as_json: Whether to print a list of objects instead of lines.
        what: What they are called, in the singular.

    Raises:
        CommandFailure: There is at least one.
    """
    ordered = sorted(found)
    if as_json:
        print(json.dumps([one.as_json(paths) for one in ordered], indent=2, ensure_ascii=False))
    else:
        for one in ordered:
            print(one.text(paths))
    if ordered:
        raise CommandFailure(f"{len(ordered)} {what}{'s' if len(ordered) > 1 else ''}")
    return 0
