"""YAML by the core schema of version 1.2: ``yes`` is text, ``010`` is ten, a date is its text.

Anchors, aliases and ``<<`` work, as files of configuration use them; what they stand for is
counted, so that a few lines cannot mean gigabytes. One document, and no tags but the usual ones.
"""

from __future__ import annotations

from typing import Any, Final, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kratos.encoding.yaml_scalars import plain

__all__ = ["decode"]

_TAG: Final = "tag:yaml.org,2002:"
_MOST_VALUES: Final = 1_000_000
_KINDS: Final[dict[type[Node], str]] = {
    ScalarNode: f"{_TAG}str",
    SequenceNode: f"{_TAG}seq",
    MappingNode: f"{_TAG}map",
}
# libyaml's parser is ten times as fast, and not there in every build.
_BASE: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Loader(_BASE):  # type: ignore[misc]
    """Gives each node the tag of its kind; PyYAML looks for rules first, of which it has none."""

    def resolve(self, kind: type[Node], _value: object, _implicit: object) -> str:
        return _KINDS[kind]


def decode(data: bytes) -> Any:
    """Return the value of a document; of an empty one, ``None``.

    Raises:
        ValueError: It is no YAML, or beyond the above; the message holds line and column.
    """
    try:
        root: Node | None = yaml.compose(data.decode("utf-8-sig"), Loader=_Loader)
        return None if root is None else _Reader().value(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply, or an alias holds itself") from None


class _Reader:
    def __init__(self) -> None:
        self._values = 0

    def value(self, node: Node) -> Any:
        self._count()
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, SequenceNode):
            _require(node, "seq")
            return [self.value(item) for item in node.value]
        _require(node, "map")
        return self._mapping(cast("MappingNode", node))

    def _count(self) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise ValueError(f"aliases make more than {_MOST_VALUES} values of it")

    def _scalar(self, node: ScalarNode) -> Any:
        _require(node, "str")
        # In double quotes, single quotes or a block it is text, whatever it looks like.
        return plain(node.value) if node.style in (None, "") else node.value

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                raise _refusal(key, "a key must be a scalar")
            if key.value == "<<" and key.style in (None, ""):
                merged = self._merged(item) | merged
            elif key.value in own:
                raise _refusal(key, f"key {key.value!r} is given twice")
            else:
                own[key.value] = self.value(item)
        return merged | own

    def _merged(self, node: Node) -> dict[str, Any]:
        """Return what ``<<`` brings; of several mappings, the first that has a key counts."""
        found: dict[str, Any] = {}
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(part, MappingNode):
                raise _refusal(part, "<< takes a mapping or a list of them")
            self._count()  # empty ones, too: lists of lists of them take as long
            found = self._mapping(part) | found
        return found


def _require(node: Node, kind: str) -> None:
    # The base loader gives every node the tag of its kind, unless the document names another.
    if node.tag not in (_TAG + kind, "!"):
        raise _refusal(node, f"tag {node.tag} is refused")


def _refusal(node: Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
