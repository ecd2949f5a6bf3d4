"""The contract of codecs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from kratos.encoding import Codec
from kratos.testing.codec_contract import CodecContract
from kratos_msgpack import MSGPACK

LIST = b"\x81\xa4Kind\x81\xa9ListValue\x81\xa6Values\x91"


class TestMsgpack(CodecContract):
    bad: ClassVar[Sequence[bytes]] = (
        b"\x81",
        b"\xc1",
        b"\x01",
        b"\x91\xa1a",
        b"\x81\xa4Name\x01",
        b"\x81\xa4Name\xa1\xff",
        b"\x81\xa4Name\xdb\xff\xff\xff\xff",
        b"\x81\xa6Number\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",
        b"\x81\xa6Number\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x82\xa4Name\xa1a\xa4Name\xa1b",
        b"\x81\xa7Options\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x80\xc0",
    )
    deep: ClassVar[bytes] = LIST * 10_000 + b"\xc0"

    @pytest.fixture
    def codec(self) -> Codec:
        return MSGPACK
