"""Codec ``yaml``: the members of protobuf JSON, written as YAML.

Reading keeps to the core schema of YAML 1.2, so ``yes`` is text and ``2020-01-01`` no date,
and to what JSON can express: aliases, explicit tags and several documents are refused.
(Go writes the lower-cased names of struct fields, which only Go can read.)
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

import yaml
from google.protobuf.message import Message
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kratos.encoding._codec import CodecError, M
from kratos.encoding.json import JsonCodec
from kratos.encoding.yaml_scalars import FLOAT, OTHER_BASE, plain
from kratos_protojson.descriptors import MAX_DEPTH
from kratos_protojson.scalars import show

__all__ = ["YAML", "YamlCodec"]

_TAG: Final = "tag:yaml.org,2002:"
_LARGEST: Final = 128 * 1024
_OTHER_BREAKS: Final = re.compile("[\\r\\x85\\u2028\\u2029]")


class YamlCodec:
    """Messages as YAML.

    Args:
        name: Subtype of its content type.
        json: Decides how values are expressed; by default as the JSON codecs do.
        max_size: Bytes of the largest text that is read. Reading takes some ten seconds per
            megabyte, during which an event loop does nothing else.
    """

    __slots__ = ("_json", "_max_size", "_name")

    def __init__(
        self,
        *,
        name: str = "yaml",
        json: JsonCodec | None = None,
        max_size: int = _LARGEST,
    ) -> None:
        self._name = name
        self._json = json or JsonCodec()
        self._max_size = max_size

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return a message as YAML in block style.

        Raises:
            CodecError: There is no form for a value, as in JSON.
        """
        value = self._json.to_value(message)
        text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        return text.encode()

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; an empty document makes an empty one.

        Raises:
            CodecError: The data is no YAML, too large, uses what JSON lacks, or does not fit
                the type.
        """
        if len(data) > self._max_size:
            raise CodecError(
                f"{len(data)} bytes of YAML exceed {self._max_size}: send JSON, or register a "
                "YamlCodec of another max_size"
            )
        value = _load(data)
        return message_type() if value is None else self._json.from_value(value, message_type)


YAML: Final = YamlCodec()


def _load(data: bytes) -> Any:
    try:
        # Only the tree: what plain scalars mean is decided below.
        root: Any = yaml.compose(data.decode(), Loader=_Loader)
        return None if root is None else _value(root, set())
    except UnicodeDecodeError as error:
        raise CodecError(f"byte {error.start} is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        context = f"{error.context}: " if error.context else ""
        raise CodecError(f"{place}{context}{error.problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise CodecError(f"no YAML: {error}") from None


class _Loader(yaml.BaseLoader):
    """Ends where JSON would: the scanner looks far ahead, in time that grows with the square."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803  the base's name
        scanner: Any = self
        self._require_shallow(scanner.flow_level, scanner.get_mark())
        scanner_type: Any = super()
        scanner_type.fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        parser: Any = self
        self._require_shallow(self._depth, parser.peek_event().start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    @staticmethod
    def _require_shallow(depth: int, mark: Any) -> None:
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark
            )


def _value(node: Node, seen: set[int]) -> Any:
    # An alias is the same node again; a few aliases of aliases stand for gigabytes.
    if id(node) in seen:
        raise _refusal(node, "aliases are refused")
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        _require(node, "str")
        return plain(node.value) if node.style is None else node.value
    if isinstance(node, SequenceNode):
        _require(node, "seq")
        return [_value(item, seen) for item in node.value]
    _require(node, "map")
    members: dict[str, Any] = {}
    for key, item in cast("MappingNode", node).value:
        if not isinstance(key, ScalarNode):
            raise _refusal(key, "a key must be a scalar")
        if key.value in members:
            raise _refusal(key, f"member {show(key.value)} is given twice")
        # The text as written: keys of maps are text in JSON too.
        members[key.value] = _value(item, seen)
    return members


def _require(node: Node, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise _refusal(node, f"tag {show(node.tag)} is refused")


def _refusal(node: Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class _Dumper(yaml.SafeDumper):
    """Quotes text that any version of YAML would take for something else."""


def _represent_text(_dumper: _Dumper, text: str) -> ScalarNode:
    # The base class knows YAML 1.1 only, where 0o7 and 1e5 are text, and loses line breaks
    # other than \n between single quotes.
    if _OTHER_BREAKS.search(text):
        return ScalarNode(tag=f"{_TAG}str", value=text, style='"')
    style = "'" if OTHER_BASE.fullmatch(text) or FLOAT.fullmatch(text) else None
    return ScalarNode(tag=f"{_TAG}str", value=text, style=style)


_Dumper.add_representer(str, _represent_text)
