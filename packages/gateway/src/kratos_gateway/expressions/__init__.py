"""Expressions of configurations, in the syntax of Go's gateway.

``re`` goes back and tries again where an expression does not fit, so an expression such as
``(a+)+b`` takes longer than anybody waits for a few dozen characters, and all requests wait with
it. Go's gateway has RE2, whose time grows with the text alone. Where that is installed, it runs
what ``re`` may be slow at. All else is run by ``re``, which needs no wrapper.

An expression means the same by either: what it means in Go. Two things differ. Where what is
repeated may be empty, as in ``(a*)+`` and ``(?:a||b)+``, groups may hold another part of the text,
and less of it may be taken, though the whole fits or not by either; and what ``re`` alone knows,
such as looking ahead, it runs as Python means it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from kratos_gateway.expressions._engines import (
    Expression,
    NoExpressionError,
    OfPython,
    OfRe2,
    Replace,
    re2_module,
)
from kratos_gateway.expressions._growth import Growth, growth_of
from kratos_gateway.expressions._reading import NotReadError, read

__all__ = ["Expression", "NoExpressionError", "Replace", "compiled"]

_INSTALL: Final = 'pip install "kratos-gateway[re2]"'
_OF_RE2: Final = re.compile(r"(?s)(?:[^\\]|\\[^pPQ])*?(?:\\[pPQ]|\(\?[imsU]*U)")
_POWERS: Final = {2: "the square", 3: "the cube"}
_SHOWN: Final = 40  # characters of an example
_KEPT: Final = 1024  # expressions: a check reads each several times, and so does a change


def compiled(text: str, /, *, whole: bool = True, anywhere: bool = False) -> Expression:
    """Make an expression ready.

    Args:
        text: The expression.
        whole: Whether it will be held to whole texts, or else to beginnings.
        anywhere: Whether it will be looked for anywhere in a text, which ``whole`` says nothing of.

    Raises:
        NoExpressionError: It is none; says what is wrong.
    """
    study = _study(text, whole and not anywhere, anywhere)
    return _made(study, None if study.linear else re2_module())


@dataclass(frozen=True, slots=True)
class _Study:
    """What is known of an expression before it is run.

    Attributes:
        text: The expression.
        source: What ``re`` has to be told; ``None`` if that is not known.
        linear: Whether ``re`` is never slow at it.
        growth: How its time grows with texts of one line; ``None`` if that is not known.
    """

    text: str
    source: str | None
    linear: bool
    growth: Growth | None


@lru_cache(_KEPT)
def _study(text: str, whole: bool, anywhere: bool, /) -> _Study:  # noqa: FBT001
    try:
        reading = read(text)
    except NotReadError:
        return _Study(text, None, linear=False, growth=None)
    tree = reading.tree
    if tree is None:
        return _Study(text, reading.source, linear=False, growth=None)
    anywhere = anywhere and not reading.begins
    sure = reading.sure
    growth = growth_of(tree, whole=whole, anywhere=anywhere, sure=sure)
    if growth is None or growth.power == 1:
        return _Study(text, reading.source, linear=growth is not None, growth=growth)
    of_lines = growth_of(tree, whole=whole, anywhere=anywhere, one_line=True, sure=sure)
    return _Study(text, reading.source, linear=False, growth=of_lines)


@lru_cache(_KEPT)
def _made(study: _Study, module: Any | None, /) -> Expression:
    unknown = None
    if module is not None:
        try:
            return OfRe2(study.text, module)
        except NoExpressionError as error:
            unknown = str(error)
    try:
        slow = _slow(study.growth, unknown)
        return OfPython(study.text if study.source is None else study.source, slow=slow)
    except NoExpressionError as error:
        raise _in_own_words(study.text, error, installed=module is not None) from error


def _in_own_words(text: str, error: NoExpressionError, *, installed: bool) -> NoExpressionError:
    """Return an error about an expression as it was written, and not as ``re`` was told."""
    told = str(error)
    try:
        OfPython(text)
    except NoExpressionError as plain:
        told = str(plain)
    if not installed and _OF_RE2.match(text):
        told += f"; RE2 may know it: {_INSTALL}"
    return NoExpressionError(told)


def _slow(growth: Growth | None, unknown: str | None) -> str | None:
    """Tell what happens; ``unknown`` is why RE2 does not run it, ``None`` if it is not there."""
    if growth is None or growth.power == 1:
        return None
    if math.isinf(growth.power):
        how = "doubles with every few characters"
        otherwise = "without a repetition of what repeats or of what fits in two ways"
    else:
        power = _POWERS.get(int(growth.power), f"power {growth.power}")
        how = f"grows with {power} of the length of a text"
        otherwise = "so that no repetition takes what comes after it"
    example = f"{growth.again[:_SHOWN]!r} again and again"
    if growth.before:
        example = f"{growth.before[:_SHOWN]!r} and {example}"
    advice = f"write it {otherwise}"
    advice += f", or {_INSTALL}" if unknown is None else f", or so that RE2 knows it ({unknown})"
    return f"its time {how}, such as {example}, and all requests wait: {advice}"
