"""Files of configuration against the message that they are read as."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from kratos.config import Snapshot
from kratos.config.formats import decoder
from kratos.config.scan import scan
from kratos.errors import ConfigError
from kratos_cli.lint.source import Found, unreadable
from kratos_cli.parsing import nearest
from protoc_gen_kratos.findings import Finding

__all__ = ["check_configuration"]

_PLACEHOLDER: Final = "${"
_PLAIN: Final = "google.protobuf."  # read in forms of their own, not field by field


def check_configuration(path: Path, kind: Any) -> Iterator[Found]:
    """Yield keys that a message does not have, and values that do not fit it.

    Values with placeholders are not looked at, for what fills them is not known.

    Args:
        path: The file.
        kind: Class of the message.
    """
    decode = decoder(path.suffix[1:])
    try:
        content = path.read_bytes()
        tree: object = None if decode is None else decode(content)
    except (OSError, ValueError) as error:
        yield unreadable(path, error)
        return
    if not isinstance(tree, Mapping):
        return  # nothing in it
    document = _Document(path, content.decode("utf-8-sig"))
    yield from _members(document, cast("Mapping[str, object]", tree), kind, kind.DESCRIPTOR, ())


def _members(
    document: _Document,
    tree: Mapping[str, object],
    kind: Any,
    message: Any,
    above: tuple[str, ...],
) -> Iterator[Found]:
    fields = {name: each for each in message.fields for name in (each.json_name, each.name)}
    for key, value in tree.items():
        path = (*above, str(key))
        field = fields.get(str(key))
        if field is None:
            yield document.unknown(path, message.name, fields)
        elif _has_members(field) and isinstance(value, Mapping):
            part = cast("Mapping[str, object]", value)
            yield from _members(document, part, kind, field.message_type, path)
        elif _PLACEHOLDER not in json.dumps(value, default=str):
            yield from _value(document, kind, path, value)


def _has_members(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and not field.is_repeated and not kind.full_name.startswith(_PLAIN)


def _value(document: _Document, kind: Any, path: Sequence[str], value: object) -> Iterator[Found]:
    tree: object = value
    for name in reversed(path):
        tree = {name: tree}
    try:
        scan(Snapshot(cast("Mapping[str, object]", tree)), kind, strict=True)
    except ConfigError as error:
        yield document.found(path, "KR502", str(error))


@dataclass(frozen=True, slots=True)
class _Document:
    """A file of configuration, and where its keys stand."""

    path: Path
    text: str

    def unknown(self, path: Sequence[str], message: str, known: Mapping[str, object]) -> Found:
        hint = nearest(path[-1], known) or f"; it has {', '.join(sorted(known)) or 'none'}"
        key = ".".join(path)
        return self.found(path, "KR501", f"{key}: {message} has no field {path[-1]!r}{hint}")

    def found(self, path: Sequence[str], rule: str, message: str) -> Found:
        line, column = self._place(path)
        finding = Finding(
            file=str(self.path),
            line=line,
            column=column,
            end_line=line,
            end_column=column + len(path[-1]) if line else 0,
            rule=rule,
            message=message,
        )
        return Found(finding=finding)

    def _place(self, path: Sequence[str]) -> tuple[int, int]:
        if self.path.suffix == ".toml":
            return self._searched(path[-1])
        try:
            node = _composed(self.text)
        except yaml.YAMLError:  # JSON with what YAML does not take, tabs for instance
            return self._searched(path[-1])
        mark: Any = None
        for name in path:
            pairs: list[tuple[Any, Any]] = getattr(node, "value", [])
            found = next((each for each in pairs if each[0].value == name), None)
            if found is None:  # what is left comes from an anchor
                break
            mark, node = found[0].start_mark, found[1]
        return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)

    def _searched(self, name: str) -> tuple[int, int]:
        """Return the first place where a key is given, or the name of a table ends so."""
        key = rf'["\']?{re.escape(name)}["\']?'
        pattern = re.compile(rf"^[ \t{{,]*(?:\[[^\]\n]*?)?({key})\s*[=:\].]", re.MULTILINE)
        found = pattern.search(self.text)
        if found is None:
            return 0, 0
        before = self.text[: found.start(1)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def _composed(text: str) -> Any:
    untyped: Any = yaml
    return untyped.compose(text, Loader=yaml.SafeLoader)
