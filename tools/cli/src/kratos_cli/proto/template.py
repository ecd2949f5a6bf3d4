"""The definition that ``kratos proto add`` writes (Go: cmd/kratos/internal/proto/add)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protoc_gen_kratos.naming import upper_camel

__all__ = ["Definition"]

_VERBS: Final = ("Create", "Update", "Delete", "Get", "List")
_WITH_ID: Final = ("Update", "Delete", "Get")


def _literal(text: str) -> str:
    """Return a text as definitions write one: the name of a project may have quotes in it."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a new definition is about.

    Attributes:
        folder: Folders that imports name it by, with slashes.
        stem: Name of the file without its ending.
        go_folder: Folders from where Go's module begins, with slashes.
        go_module: Path of Go's module; empty where there is none.
        http: Whether methods get paths.
        errors: Whether there is an enum of errors.
    """

    folder: str
    stem: str
    go_folder: str
    go_module: str
    http: bool = False
    errors: bool = False

    @property
    def package(self) -> str:
        """The protobuf package, which is Java's package, too."""
        return self.folder.replace("/", ".")

    @property
    def service(self) -> str:
        """The service."""
        return upper_camel(self.stem)

    def text(self) -> str:
        """Return the file."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        last = self.go_folder.rpartition("/")[2]
        go_package = "/".join(filter(None, (self.go_module, self.go_folder)))
        yield 'syntax = "proto3";'
        yield ""
        yield f"package {self.package};"
        yield ""
        imports = (
            ("errors/errors.proto", self.errors),
            ("google/api/annotations.proto", self.http),
        )
        needed = [f'import "{name}";' for name, used in imports if used]
        if needed:
            yield from (*needed, "")
        yield f"option go_package = {_literal(f'{go_package};{last}')};"
        yield "option java_multiple_files = true;"
        yield f'option java_package = "{self.package}";'
        yield ""
        yield from self._service()
        for verb in _VERBS:
            yield ""
            yield from self._messages(verb)
        if self.errors:
            yield ""
            yield from self._errors()

    def _service(self) -> Iterator[str]:
        yield f"service {self.service} {{"
        for verb in _VERBS:
            stem = f"{verb}{self.service}"
            head = f"  rpc {stem} ({stem}Request) returns ({stem}Reply)"
            if not self.http:
                yield f"{head};"
                continue
            yield f"{head} {{"
            yield f"    option (google.api.http) = {{{self._rule(verb)}}};"
            yield "  }"
        yield "}"

    def _rule(self, verb: str) -> str:
        all_ = f"/{self.folder.rpartition('/')[2]}/{self.stem}"
        one = f"{all_}/{{id}}"
        match verb:
            case "Create":
                return f'post: "{all_}" body: "*"'
            case "Update":
                return f'put: "{one}" body: "*"'
            case "List":
                return f'get: "{all_}"'
            case _:
                return f'{verb.lower()}: "{one}"'

    def _messages(self, verb: str) -> Iterator[str]:
        stem = f"{verb}{self.service}"
        if self.http and verb in _WITH_ID:
            yield from (f"message {stem}Request {{", "  string id = 1;", "}")
        else:
            yield f"message {stem}Request {{}}"
        yield f"message {stem}Reply {{}}"

    def _errors(self) -> Iterator[str]:
        # A prefix keeps values of several enums of a package apart.
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.service).upper()
        yield f"enum {self.service}ErrorReason {{"
        yield "  option (errors.default_code) = 500;"
        yield f"  {prefix}_UNSPECIFIED = 0;"
        yield f"  {prefix}_NOT_FOUND = 1 [(errors.code) = 404];"
        yield "}"
