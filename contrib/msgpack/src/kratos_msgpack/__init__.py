"""Codec ``msgpack``: messages in the MessagePack that services of Go Kratos write and read."""

from kratos_msgpack.codec import MSGPACK, MsgpackCodec

__all__ = ["MSGPACK", "MsgpackCodec"]
