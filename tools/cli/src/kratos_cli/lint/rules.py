"""Names of the rules, and what each is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import apart, nearest
from protoc_gen_kratos.lint import RULES as PROTO_RULES

__all__ = ["ALL", "RULES", "chosen"]

RULES: Final[Mapping[str, str]] = {
    "KR001": "a file that cannot be read",
    "KR002": "a comment 'kratos: ignore' that ignores nothing",
    "KR101": "a layer imports one that it must not know",
    "KR102": "the rules of the business import a transport",
    "KR201": "a call in async code that blocks the event loop",
    "KR202": "a coroutine that nothing awaits",
    "KR301": "an option that does not exist",
    "KR401": "a reason of an error that is not UPPER_SNAKE",
    "KR402": "a code of an error that tells no failure",
    "KR501": "a key of a configuration that its proto does not know",
    "KR502": "a value of a configuration that does not fit its proto",
}
"""Rules of code and configuration, by name."""

ALL: Final[Mapping[str, str]] = {
    **RULES,
    **dict.fromkeys(PROTO_RULES, "a rule of kratos proto lint"),
}
"""All rules."""


def chosen(select: Iterable[str], ignore: Iterable[str], *, where: str) -> frozenset[str]:
    """Return the rules to keep.

    Args:
        select: Names of rules, or how some begin, such as ``KR2``, or several with commas; all,
            if there is none.
        ignore: The same, for rules to do without.
        where: Who says so, for errors.

    Raises:
        CommandFailure: There is no such rule.
    """
    kept = {name for each in apart(select) for name in _named(each, where)} or {*ALL}
    return frozenset(kept.difference(*(_named(each, where) for each in apart(ignore))))


def _named(text: str, where: str) -> frozenset[str]:
    if text in ALL:
        return frozenset((text,))
    found = frozenset(name for name in RULES if name.startswith(text))
    if not found or not text:
        hint = nearest(text, ALL) or f"; there are {', '.join(RULES)}, and those of proto lint"
        raise CommandFailure(f"{where}: there is no rule {text!r}{hint}", status=2)
    return found
