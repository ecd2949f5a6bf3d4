"""Text of scalars and of well-known types, both ways; errors are ``ValueError``."""

from __future__ import annotations

import binascii
import re
import struct
from datetime import date, datetime, timedelta
from typing import Final

__all__ = [
    "camel_case",
    "decode_base64",
    "duration_text",
    "encode_base64",
    "fits_float32",
    "parse_json_duration",
    "parse_timestamp",
    "shortest_float32",
    "show",
    "snake_case",
    "timestamp_text",
]

_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_JSON_DURATION: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_MIN_SECONDS: Final = -62135596800
_MAX_SECONDS: Final = 253402300799
_MAX_DURATION: Final = 315576000000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # its text must have no zone
_DAY: Final = 86400
_NANOS: Final = 1_000_000_000
_SMALLEST_NORMAL: Final = 2.0**-126
# From here on, rounding to 32 bits gives infinity.
_FLOAT32_LIMIT: Final = 3.4028235677973366e38
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_UNDERSCORE: Final = re.compile(r"_([a-z]?)")
_CAPITAL: Final = re.compile(r"[A-Z]")
_SHOWN: Final = 64


def show(value: object) -> str:
    """Return a value as an error message quotes it: cut short, because input is unlimited."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= _SHOWN else f'"{value[:_SHOWN]}"...'
    if isinstance(value, int):
        bits = value.bit_length()
        return str(value) if bits <= _SHOWN else f"a number of {bits} bits"
    return str(value) if isinstance(value, float) else f"a {type(value).__name__}"


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 in either alphabet; padding may be left out."""
    try:
        data = text.encode("ascii").translate(_TO_STANDARD)
        core = data.rstrip(b"=")
        if len(data) - len(core) <= 2 and len(core) % 4 != 1:
            return binascii.a2b_base64(core + b"=" * (-len(core) % 4), strict_mode=True)
    except ValueError:
        raise ValueError(f"{show(text)} is not base64") from None
    raise ValueError(f"{show(text)} is not base64")


def shortest_float32(value: float) -> float:
    """Return the double with the fewest digits that is ``value`` when rounded to 32 bits."""
    packed = struct.pack("f", value)
    # Six digits are always exact, but for the smallest numbers, which have fewer.
    for digits in (6, 7, 8) if abs(value) >= _SMALLEST_NORMAL else range(1, 9):
        short = float(f"{value:.{digits}g}")
        if fits_float32(short) and struct.pack("f", short) == packed:
            return short
    return float(f"{value:.9g}")


def fits_float32(value: float) -> bool:
    """Tell whether a number survives rounding to 32 bits; infinities and NaN do."""
    return abs(value) < _FLOAT32_LIMIT or value - value != 0


def timestamp_text(seconds: int, nanos: int) -> str:
    """Return RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second's fraction."""
    if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:
        raise ValueError(f"timestamp of {seconds} seconds is outside the years 1 to 9999")
    if not 0 <= nanos < _NANOS:
        raise ValueError(f"timestamp has {nanos} nanos, which are not 0 to 999999999")
    moment = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    return f"{moment}{_fraction(nanos)}Z" if nanos else f"{moment}Z"


def parse_timestamp(text: str) -> tuple[int, int]:
    """Return seconds and nanos of RFC 3339 text, whose zone is not optional."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"{show(text)} is not RFC 3339, such as 2006-01-02T15:04:05.5Z")
    moment = _moment(text)
    fraction, sign, zone_hour, zone_minute = found.groups()
    seconds = moment.days * _DAY + moment.seconds
    if sign:
        if int(zone_minute) > 59:
            raise ValueError(f"{show(text)} is no time of a day")
        offset = (int(zone_hour) * 60 + int(zone_minute)) * 60
        if offset >= _DAY:
            raise ValueError(f"{show(text)} has a zone of more than a day")
        seconds += offset if sign == "-" else -offset
        if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:
            raise ValueError(f"{show(text)} is outside the years 1 to 9999")
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0


def _moment(text: str) -> timedelta:
    """Return the time since 1970 of RFC 3339 text, without fraction and zone."""
    try:
        # Newer Pythons take 24:00 for the next day.
        if text[11:13] <= "23":
            return datetime.fromisoformat(text[:19]) - _EPOCH
    except ValueError:
        pass
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError(f"{show(text)} is no day of the calendar") from None
    raise ValueError(f"{show(text)} is no time of a day")


def duration_text(seconds: int, nanos: int) -> str:
    """Return a duration as protobuf JSON has it: ``-1.500s``."""
    total = seconds * _NANOS + nanos
    if abs(nanos) >= _NANOS or abs(seconds) > _MAX_DURATION or seconds * nanos < 0:
        raise ValueError(f"duration of {seconds} seconds and {nanos} nanos is not valid")
    whole, part = divmod(abs(total), _NANOS)
    return f"{'-' if total < 0 else ''}{whole}{_fraction(part)}s"


def parse_json_duration(text: str) -> tuple[int, int]:
    """Return seconds and nanos of a protobuf JSON duration."""
    found = _JSON_DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{show(text)} is no duration, such as 3.5s")
    sign = -1 if found[1] else 1
    seconds = int(found[2])
    nanos = int(found[3].ljust(9, "0")) if found[3] else 0
    if seconds > _MAX_DURATION:
        raise ValueError(f"duration {show(text)} is longer than 315576000000.999999999s")
    return sign * seconds, sign * nanos


def camel_case(path: str) -> str:
    """Return a field path as JSON spells it: ``a_b.c_d`` is ``aB.cD``."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), path)


def snake_case(path: str) -> str:
    """Return a field path as proto spells it: ``aB.cD`` is ``a_b.c_d``."""
    return _CAPITAL.sub(lambda found: "_" + found[0].lower(), path)


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03}"
    return f".{nanos // 1_000:06}" if nanos % 1_000 == 0 else f".{nanos:09}"
