"""Scripts of three shells, out of the outline of a command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from kratos_cli.parsing import Option, Outline

__all__ = ["SHELLS"]

_BASH: Final = """\
_{name}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} at={name} word
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$at $word" in
{steps}
        esac
    done
    case "$at $prev" in
{values}
    esac
    case "$at" in
{words}
    esac
}}
complete -o default -F _{name} {name}
"""
_ZSH: Final = """\
#compdef {name}
_{name}() {{
    local at={name} word
    local -a found
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
{steps}
        esac
    done
    case "$at ${{words[CURRENT-1]}}" in
{values}
    esac
    case "$at" in
{words}
    esac
    _describe {name} found || _files
}}
if [ "$funcstack[1]" = _{name} ]; then _{name} "$@"; else compdef _{name} {name}; fi
"""
_FISH: Final = """\
function __{name}_at
    set -l at {name}
    for word in (commandline -opc)[2..]
        switch "$at $word"
{steps}
        end
    end
    test "$at" = "$argv"
end
"""


def _bash(outline: Outline) -> str:
    steps: list[str] = []
    values: list[str] = []
    words: list[str] = []
    for path, each in _walk(outline, outline.name):
        flags = [flag for option in each.options for flag in option.flags]
        names = [*each.commands, *each.words, *flags]
        words.append(f'        "{path}") {_bash_words(names)} ;;')
        steps += [f'            "{path} {name}") at="{path} {name}" ;;' for name in each.commands]
        values += [
            f"        {pattern}) {reply}; return ;;"
            for pattern, option in _patterns(path, each)
            for reply in [_bash_values(option)]
        ]
    return _filled(_BASH, outline, steps, values, words)


def _bash_values(option: Option) -> str:
    if not option.choices:
        return "COMPREPLY=()"  # and the shell completes files, by default
    return _bash_words(option.choices)


def _bash_words(words: Sequence[str]) -> str:
    return f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(words))} -- "$cur"))'


def _zsh(outline: Outline) -> str:
    steps: list[str] = []
    values: list[str] = []
    words: list[str] = []
    for path, each in _walk(outline, outline.name):
        found = [_described(name, sub.help) for name, sub in each.commands.items()]
        found += [_described(word, "") for word in each.words]
        found += [_described(flag, option.help) for option in each.options for flag in option.flags]
        words.append(f'        "{path}") found=({" ".join(found)}) ;;')
        steps += [f'            "{path} {name}") at="{path} {name}" ;;' for name in each.commands]
        values += [
            f"        {pattern}) {reply}; return ;;"
            for pattern, option in _patterns(path, each)
            for reply in [f"compadd -- {' '.join(option.choices)}" if option.choices else "_files"]
        ]
    return _filled(_ZSH, outline, steps, values, words)


def _described(word: str, text: str) -> str:
    return shlex.quote(f"{word}:{text}" if text else word)


def _fish(outline: Outline) -> str:
    steps = [
        f'            case "{path} {name}"\n                set at "{path} {name}"'
        for path, each in _walk(outline, outline.name)
        for name in each.commands
    ]
    lines = [_FISH.format(name=outline.name, steps="\n".join(steps))]
    for path, each in _walk(outline, outline.name):
        start = f"complete -c {outline.name} -n '__{outline.name}_at {path}'"
        lines += [
            f"{start} -f -a {name} -d {shlex.quote(sub.help)}\n"
            for name, sub in each.commands.items()
        ]
        lines += [f"{start} -f -a {shlex.quote(word)}\n" for word in each.words]
        lines += [f"{start}{_fish_option(option)}\n" for option in each.options]
    return "".join(lines)


def _fish_option(option: Option) -> str:
    flags = "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in option.flags
    )
    value = ""
    if option.choices:
        value = f" -x -a {shlex.quote(' '.join(option.choices))}"
    elif option.takes_value:
        value = " -r"
    return f"{flags}{value} -d {shlex.quote(option.help)}"


def _walk(outline: Outline, path: str) -> Iterator[tuple[str, Outline]]:
    yield path, outline
    for name, command in outline.commands.items():
        yield from _walk(command, f"{path} {name}")


def _patterns(path: str, outline: Outline) -> Iterator[tuple[str, Option]]:
    """Yield the options that take a value, with what stands before it on a command line."""
    for option in outline.options:
        if option.takes_value:
            yield "|".join(f'"{path} {flag}"' for flag in option.flags), option


def _filled(
    template: str, outline: Outline, steps: list[str], values: list[str], words: list[str]
) -> str:
    return template.format(
        name=outline.name,
        steps="\n".join(steps),
        values="\n".join(values),
        words="\n".join(words),
    )


SHELLS: Final[Mapping[str, Callable[[Outline], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
"""Writers of scripts, by the name of the shell."""
