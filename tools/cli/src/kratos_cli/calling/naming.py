"""From what a user calls a method to the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kratos_cli.calling.definitions import Described
from kratos_cli.calling.sources import Source
from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import nearest

__all__ = ["Found", "find"]

_INFRASTRUCTURE = "grpc."  # health, reflection and the like, which every server may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a name means.

    Attributes:
        service: The service.
        method: The last part of a method's name; empty if the service itself was named.
    """

    service: Described
    method: str = ""


async def find(word: str, source: Source) -> Found:
    """Return what ``word`` names.

    That is a service, by its full name or the last parts of it, or a method: ``Service/Method``,
    ``Service.Method``, or ``Method`` alone where only one service has it.

    Raises:
        CommandFailure: There is none, or there are several.
        Error: The server did not answer.
    """
    names = await source.names()
    head, slash, tail = word.strip("/").rpartition("/")
    if slash:
        return await _method(_service(head, names), tail, source)
    matches = _matching(word, names)
    if matches:
        return Found(service=await source.service(_sole(word, matches)))
    head, dot, tail = word.rpartition(".")
    if dot and (matches := _matching(head, names)):
        return await _method(_sole(head, matches), tail, source)
    return await _anywhere(word, names, source)


async def _method(name: str, method: str, source: Source) -> Found:
    service = await source.service(name)
    if method in service.rpcs:
        return Found(service=service, method=method)
    hint = nearest(method, service.rpcs) or f"; it has {', '.join(service.rpcs) or 'none'}"
    raise CommandFailure(f"{name} has no method {method!r}{hint}", status=2)


async def _anywhere(word: str, names: Sequence[str], source: Source) -> Found:
    """Look for a method by its own name, in all services that have a definition."""
    found: list[Found] = []
    known = {name.rpartition(".")[2]: name for name in names}
    words = [*names, *known]
    for name in names:
        try:
            service = await source.service(name)
        except CommandFailure:
            continue  # another service may well have the method
        words += [f"{name}/{method}" for method in service.rpcs]
        words += service.rpcs
        if word in service.rpcs:
            found.append(Found(service=service, method=word))
    own = [each for each in found if not each.service.name.startswith(_INFRASTRUCTURE)]
    found = own or found
    if len(found) > 1:
        having = ", ".join(each.service.name for each in found)
        raise CommandFailure(f"{word!r} is a method of {having}; write Service/Method", status=2)
    if not found:
        hint = nearest(word, words) or f"; there are the services {', '.join(names)}"
        raise CommandFailure(f"there is no service or method {word!r}{hint}", status=2)
    return found[0]


def _service(word: str, names: Sequence[str]) -> str:
    matches = _matching(word, names)
    if not matches:
        last = {name.rpartition(".")[2]: name for name in names}
        hint = nearest(word, [*names, *last]) or f"; there are {', '.join(names) or 'none'}"
        raise CommandFailure(f"there is no service {word!r}{hint}", status=2)
    return _sole(word, matches)


def _matching(word: str, names: Sequence[str]) -> Sequence[str]:
    if word in names:
        return [word]
    return [name for name in names if name.endswith(f".{word}")]


def _sole(word: str, matches: Sequence[str]) -> str:
    if len(matches) > 1:
        raise CommandFailure(f"{word!r} may be {' or '.join(matches)}; write it whole", status=2)
    return matches[0]
