"""Encoding: codecs between messages and bytes, found by name or by header.

Two JSON codecs exist, ``json`` and ``protojson``, as in Go Kratos; both write protobuf JSON
and read protobuf JSON as well as the plain JSON of Go Kratos v3.
"""

from kratos.encoding._codec import Codec, CodecError, FieldCodec
from kratos.encoding._codecs import DEFAULT, Codecs, Selection
from kratos.encoding._content import content_subtype, content_type

__all__ = [
    "DEFAULT",
    "Codec",
    "CodecError",
    "Codecs",
    "FieldCodec",
    "Selection",
    "content_subtype",
    "content_type",
    "find",
    "get",
    "register",
    "select",
]

find = DEFAULT.find
get = DEFAULT.get
register = DEFAULT.register
select = DEFAULT.select
