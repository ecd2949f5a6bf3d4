"""Options of the JSON codecs."""

from __future__ import annotations

from dataclasses import dataclass

from kratos_protojson import ParseOptions, PrintOptions

__all__ = ["JsonOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOptions:
    """How messages become JSON; the defaults are those of Kratos' protojson codec.

    Attributes:
        emit_unset: Write fields that are not set: zeros, ``[]``, ``{}``, and ``null`` for
            messages. Left out all the same are members of a oneof, ``optional`` fields,
            and a ``google.protobuf.Value``, for which ``null`` would be a value.
        enum_numbers: Write enums as numbers, not names.
        proto_names: Use the names of the definition, not lowerCamelCase.
        int64_numbers: Write 64-bit integers as numbers, not text. Readers that keep
            numbers as doubles, such as JavaScript, then lose digits beyond 2^53.
        discard_unknown: Ignore fields that the message type does not have when reading.
    """

    emit_unset: bool = True
    enum_numbers: bool = False
    proto_names: bool = False
    int64_numbers: bool = False
    discard_unknown: bool = True

    def printing(self) -> PrintOptions:
        """Return the part that is about writing; what has no other form is a plain object."""
        return PrintOptions(
            emit_unset=self.emit_unset,
            enum_numbers=self.enum_numbers,
            proto_names=self.proto_names,
            int64_numbers=self.int64_numbers,
            plain_objects=True,
        )

    def parsing(self) -> ParseOptions:
        """Return the part that is about reading; both dialects of Kratos are read."""
        return ParseOptions(ignore_unknown=self.discard_unknown, plain_objects=True)
