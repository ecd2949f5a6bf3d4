"""Parsers whose errors say what was probably meant."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

__all__ = ["Option", "Outline", "Parser", "Subparsers", "apart", "nearest", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command.

    Attributes:
        flags: Its names, with their dashes.
        help: What it does, in a line.
        takes_value: Whether a word follows it.
        choices: The words that may follow it; empty for any.
    """

    flags: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a command takes.

    Attributes:
        name: What is typed; the last word of it for a subcommand.
        help: What it does, in a line.
        options: Its options.
        commands: Its subcommands, by name.
        words: Those that an argument has to be one of; empty for any.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    commands: Mapping[str, Outline]
    words: tuple[str, ...] = ()


class Subparsers(Protocol):
    """Where a subcommand adds its parser."""

    def add_parser(self, name: str, /, *, help: str, description: str) -> Parser:  # noqa: A002
        """Return a new parser for ``name``."""
        ...


class _Commands:
    """Subparsers of ``argparse``, remembered with what each is for."""

    def __init__(self, subparsers: Any) -> None:
        self._subparsers = subparsers
        self.children: dict[str, tuple[Parser, str]] = {}

    def add_parser(self, name: str, /, *, help: str, description: str) -> Parser:  # noqa: A002
        """Return a new parser for ``name``."""
        parser: Parser = self._subparsers.add_parser(name, help=help, description=description)
        self.children[name] = parser, help
        return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Gives names of commands the room that argparse forgets before 3.13: their indentation."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        for command in self._iter_indented_subactions(action):
            length = len(self._format_action_invocation(command)) + self._current_indent
            self._action_max_length = max(self._action_max_length, length)


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that takes options by their whole names only.

    Args:
        prog: What the user types to reach it.
        description: What it does; line breaks are kept.
    """

    def __init__(self, *, prog: str | None = None, description: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=_Help,
        )
        self._default: str | None = None
        self._choices: frozenset[str] = frozenset()
        self._rest: str | None = None
        self._mixed = False
        self._inside = False
        self._commands: _Commands | None = None

    def add_commands(self, dest: str, metavar: str) -> Subparsers:
        """Let this parser have subcommands; ``dest`` of the result names the chosen one."""
        self._commands = _Commands(self.add_subparsers(dest=dest, metavar=metavar))
        return self._commands

    def default_command(self, name: str, choices: Iterable[str]) -> None:
        """Take words that begin with none of ``choices`` as meant for ``name``."""
        self._default = name
        self._choices = frozenset(choices)

    def take_rest(self, dest: str) -> None:
        """Leave what follows ``--`` to others: ``dest`` of the result has those words."""
        self._rest = dest

    def mix_options(self) -> None:
        """Take options between words that may be left out, too; not with subcommands."""
        self._mixed = True

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, after putting the default command in where the user left it out."""
        if self._inside:  # where options are mixed, argparse parses twice
            return super().parse_known_args(args, namespace)
        words = list(sys.argv[1:] if args is None else args)
        first = words[0] if words else ""
        if self._default and first not in self._choices and first not in ("-h", "--help"):
            self._refuse_slip(first)
            words.insert(0, self._default)
        self._refuse_options(words)
        left: list[str] = []
        if self._rest is not None and "--" in words:
            left = words[words.index("--") + 1 :]
            del words[words.index("--") :]
        parsed, rest = self._parse(words, namespace)
        if self._rest is not None:
            setattr(parsed, self._rest, left)
        if rest and self._subparsers is None:  # said here, where the options are known
            options = [word for word in rest if word.startswith("-")]
            if options:
                self.error(f"there is no option {' '.join(options)}")
            self.error(f"there is nothing to do with {' '.join(map(repr, rest))}")
        return parsed, rest

    def _parse(self, words: list[str], namespace: Any) -> tuple[argparse.Namespace, list[str]]:
        if not self._mixed:
            return super().parse_known_args(words, namespace)
        self._inside = True
        try:
            return self.parse_known_intermixed_args(words, namespace)
        finally:
            self._inside = False

    def _refuse_slip(self, first: str) -> None:
        """Fail if a word is most probably no argument of the default command."""
        if not first:
            there = ", ".join(sorted(self._choices))
            self.error(f"say what to do: {there}; or name what '{self._default}' is to take")
        hint = nearest(first, self._choices) if Path(first).name == first else ""
        if hint and not Path(first).exists():
            self.error(f"there is no command, file or folder {first!r}{hint}")

    def _refuse_options(self, words: Sequence[str]) -> None:
        """Fail at a long option that is not known: what else is missing is told afterwards."""
        own = words[: words.index("--")] if "--" in words else words
        known = {name for action in self._actions for name in action.option_strings}
        names = [word for word in own if word.startswith("--")]
        unknown = [word for word in names if word.partition("=")[0] not in known]
        if unknown and self._subparsers is None:
            self.error(f"there is no option {' '.join(unknown)}")

    def outline(self, help: str = "") -> Outline:  # noqa: A002
        """Return what this parser takes; ``help`` tells what it does, in a line."""
        children = {} if self._commands is None else self._commands.children
        commands = {name: parser.outline(told) for name, (parser, told) in children.items()}
        return Outline(
            name=self.prog.rpartition(" ")[2],
            help=_in_a_line(help),
            options=tuple(_option(each) for each in self._actions if each.option_strings),
            commands=commands,
            words=tuple(
                str(word)
                for each in self._actions
                if not each.option_strings and each.nargs != argparse.PARSER
                for word in each.choices or ()
            ),
        )

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to read on, and exit with 2."""
        sys.stderr.write(f"{self.prog}: error: {message}{self._hint(message)}\n")
        sys.stderr.write(f"Run '{self.prog} --help' for what it takes.\n")
        sys.exit(2)

    def _hint(self, message: str) -> str:
        if message.startswith("argument "):  # the option was found, its value is wrong
            return ""
        known = [name for action in self._actions for name in action.option_strings]
        words = (word.partition("=")[0] for word in message.split() if word.startswith("-"))
        return next((nearest(word, known) for word in words if word not in known), "")


def _option(action: argparse.Action) -> Option:
    return Option(
        flags=tuple(action.option_strings),
        help=_in_a_line(action.help or ""),
        takes_value=action.nargs != 0,
        choices=tuple(str(each) for each in action.choices or ()),
    )


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def apart(texts: Iterable[str]) -> list[str]:
    """Return what is given by several options, or by one with commas."""
    return [each.strip() for text in texts for each in text.split(",")]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question naming the known word that looks most like ``word``, or nothing."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def seconds(text: str) -> float:
    """Return the seconds of ``2.5``, or of a duration as Go writes them: ``500ms``, ``1m30s``.

    Raises:
        ArgumentTypeError: It is neither, or negative.
    """
    from kratos.duration import parse_duration

    try:
        found = float(text) if text[-1:].isdigit() else parse_duration(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, or such as 500ms")
    return found
