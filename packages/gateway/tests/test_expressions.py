"""Expressions mean the same by whatever runs them, and of those that may be slow it is told."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kratos.transport.http import Head
from kratos_gateway.api.gateway_pb2 import Match
from kratos_gateway.api.rewrite_pb2 import RegexRewrite
from kratos_gateway.expressions import NoExpressionError, compiled
from kratos_gateway.expressions._engines import OfPython, OfRe2, re2_module
from kratos_gateway.expressions._growth import Growth, growth_of
from kratos_gateway.expressions._reading import (
    Chars,
    Choice,
    End,
    Node,
    NotReadError,
    Repeat,
    Row,
    read,
)
from kratos_gateway.middleware.replacing import regex_replaced
from kratos_gateway.routing import HostPattern, PathPattern
from kratos_gateway.routing.match import MatchCondition
from kratos_gateway.routing.particulars import Particulars

SLOW = "(?:(?:x+)+y)?(?:{})"  # what begins so is left to RE2 where it is installed


@pytest.fixture(params=["re2", "re"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What runs an expression that may be slow."""
    name: str = request.param
    if name == "re":
        monkeypatch.setitem(sys.modules, "re2", None)
    return name


MEANINGS = [
    ("", "", "a"),
    ("a|", "", "b"),
    (r"\d+", "12", "\N{ARABIC-INDIC DIGIT ONE}"),
    (r"\w+", "a_1", "ä"),
    (r"[\w.]+", "a.1", "ä"),
    (r"\s", "\t", "\N{NO-BREAK SPACE}"),
    (r"\S", "\N{NO-BREAK SPACE}", " "),
    (r"[^\d]", "\N{ARABIC-INDIC DIGIT ONE}", "1"),
    (r"[\D]", "\N{ARABIC-INDIC DIGIT ONE}", "1"),
    (r"a\b.*", "aä", "ab"),
    (r"(?:a\B.*)", "ab", "aä"),
    (r"\B", "", "a"),
    ("(?i)straße", "STRASSE".replace("SS", "ß"), "strasse"),
    ("a(?i)b|c", "C", "Ab"),
    ("(?i:a)b", "Ab", "AB"),
    ("(?i:a(?-i)b)", "Ab", "AB"),
    ("(?i)i", "I", "\N{LATIN SMALL LETTER DOTLESS I}"),
    ("(?i)[a-z]", "K", "İ"),
    ("(?i)[^a-z]", "\N{LATIN SMALL LETTER DOTLESS I}", "I"),
    ("(?i)[a-zà-ü]", "Ü", "\N{LATIN SMALL LETTER DOTLESS I}"),
    ("(?i)[^a-zà-ü]", "İ", "Ü"),
    ("(?i)\N{LATIN SMALL LETTER DOTLESS I}", "\N{LATIN SMALL LETTER DOTLESS I}", "i"),
    (r"(?i)[\W]", "İ", "i"),
    ("(?i)[b-Ω]", "S", "a"),
    ("(?s).", "\n", ""),
    (".", "ü", "\n"),
    ("a$", "a", "a\n"),
    ("(?m)a$\n^b", "a\nb", "ab"),
    (r"\Aa\z", "a", "a\n"),
    (r"\\Za\Z", "\\Za", "a\n"),
    ("a{,2}", "a{,2}", "aa"),
    ("a{1", "a{1", "a"),
    ("a{01}", "a{01}", "a"),
    (r"^*a(?:\A?b$+|\z{2})", "ab", "a$"),
    (r"a*a*(?:[^\s\S]|b)", "ab", "a"),
    ("[[:alpha:]-]+", "a-b", "a:"),
    ("[[:^alpha:]]", "1", "a"),
    (r"\x41\x{fc}\077", "Aü?", "A"),
    ("(?P<name>a)b", "ab", "a"),
    ("(?<name>a)b", "ab", "a"),
    ("[]a^-]+", "]a^-", "b"),
    (r"a\-\/\#\ ", "a-/# ", "a"),
    ("[^/]", "\udcff", "/"),
    ("ü.", "ü\udcff", "ü"),
    ("[\N{REPLACEMENT CHARACTER}a]", "a", "b"),
]


@pytest.mark.parametrize(("text", "fitting", "other"), MEANINGS)
@pytest.mark.usefixtures("engine")
def test_an_expression_means_the_same_by_either(text: str, fitting: str, other: str) -> None:
    for written in (text, SLOW.format(text)):
        expression = compiled(written)
        assert expression.fits(fitting)
        assert not expression.fits(other)


@pytest.mark.parametrize(
    ("text", "held", "taken"),
    [("a", "ab", 1), ("a*", "b", 0), ("a", "b", None), ("ü+", "üüx", 2), (".", "\udcffx", 1)],
)
@pytest.mark.usefixtures("engine")
def test_a_beginning_is_counted_in_characters(text: str, held: str, taken: int | None) -> None:
    assert compiled(SLOW.format(text), whole=False).taken(held) == taken


@pytest.mark.parametrize(
    ("text", "template", "held", "told"),
    [
        ("(a)(b)?", r"<\2\1>", "aab", "<a><ba>"),
        ("(?P<one>[a-z]+)-(?P<two>[a-z]+)", r"\g<two>-\g<one>", "a-b", "b-a"),
        ("(ü)x", r"\1\g<1>\g<0>", "äüxß", "äüüüxß"),
        ("a", r"\\1\t\101{}", "ba", "b\\1\tA{}"),
        ("x*", "-", "abxd", "-a-b-d-"),
        (".*", "/new", "/old", "/new"),
        ("ü*", "-", "aüüb", "-a-b-"),
        ("(?:|a)", "-", "aa", "-a-a-"),
        ("^a|a$", "-", "aaa", "-a-"),
        (r"\bü", "-", "aü ü", "a- ü"),
        (r"\B", "-", "aüüb", "aü-üb"),
        ("", "-", "üb", "-ü-b-"),
        ("/b", "", "/a\udcff/b", "/a\udcff"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_groups_take_the_place_of_what_fits(text: str, template: str, held: str, told: str) -> None:
    for written in (text, f"(?:{text}|(?:q+)+r)"):
        assert compiled(written, anywhere=True).replacing(template)(held) == told


@pytest.mark.parametrize(
    ("template", "why"),
    [(r"\2", "invalid group reference"), (r"\g<b>", "unknown group name"), (r"\q", "bad escape")],
)
@pytest.mark.usefixtures("engine")
def test_a_bad_template_is_refused(template: str, why: str) -> None:
    with pytest.raises(NoExpressionError, match=why):
        compiled("(?:(?:a+)+)(?P<a>b)", anywhere=True).replacing(template)


@pytest.mark.parametrize("text", ["(", "[", "a**", r"\C", "[z-a]", "(?q)", "a{3,2}"])
@pytest.mark.usefixtures("engine")
def test_what_nobody_knows_is_no_expression(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NoExpressionError):
        compiled(text)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "fitting", "other"),
    [
        ("(?=.*b)a+b", "aab", "aa"),
        (r"(a|b)\1", "aa", "ab"),
        ("(?P<n>a|b)(?P=n)", "bb", "ab"),
        ("(?>a|ab)c", "ac", "abc"),
        ("a++b", "aab", "aa"),
        (r"(?<!a)\d(?#a comment)", "1", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("a{1001}", "a" * 1001, "a"),
        (r"(?x) a # letters", "a", "b"),
        (r"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10", "abcdefghijj", "abcdefghij\b"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_what_re2_does_not_know_is_run_by_python(text: str, fitting: str, other: str) -> None:
    expression = compiled(text)
    assert expression.fits(fitting)
    assert not expression.fits(other)


@pytest.mark.parametrize(
    ("text", "fitting", "other"),
    [(r"\pN+", "1Ⅷ", "a"), (r"\Qa.b\E", "a.b", "aXb"), (r"[\p{Greek}]", "λ", "l")],
)
def test_what_re2_alone_knows_needs_it(
    text: str, fitting: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expression = compiled(text)
    assert expression.fits(fitting)
    assert not expression.fits(other)
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(NoExpressionError, match=r"bad escape .*; RE2 may know it: pip install"):
        compiled(text)


def test_a_group_may_have_a_name_that_re_does_not_know() -> None:
    expression = compiled("(?P<1st>(?:a+)+)b", anywhere=True)
    assert isinstance(expression, OfRe2)
    assert expression.replacing(r"\1")("xab") == "xa"


def test_no_text_is_tried_again_and_again_by_re2() -> None:
    held = "a" * 60_000
    condition = MatchCondition(Match(query="a", regex="(a+)+b"))
    assert not condition.fits(Particulars(Head("GET", b"/", f"a={held}".encode(), [])))
    assert not PathPattern.parse("/{x:(?:a|a)*}-").matches(f"/{held}")
    assert not HostPattern.parse("{x:(?:a*)*}.example").matches(held)
    replaced = regex_replaced(RegexRewrite(pattern="a+b", substitution="/"))
    assert replaced(f"/{held * 10}") == f"/{held * 10}"


def test_what_cannot_be_slow_is_left_to_python() -> None:
    assert isinstance(compiled("[0-9]+"), OfPython)
    assert isinstance(compiled("(?:[a-z0-9]+-)*[a-z]+"), OfPython)
    assert isinstance(compiled("(?:[a-z]+)+"), OfRe2)


def test_flags_may_stand_at_the_beginning_of_a_variable() -> None:
    pattern = PathPattern.parse("/a/{x:(?i)b}/c")
    assert pattern.matches("/a/B/c")
    assert not pattern.matches("/A/b/c")


# The same expressions by both, whoever would run them. Repeated empty texts, and choices that
# prefer them, are left out: what comes of these differs, as the documentation says.

_ATOMS = st.sampled_from(
    [
        *("a", "b", "ü", ".", "-", "{", "K", "[ab]", "[^a]", "[a-c]", "[]a]", "[^]a]", "a{,2}"),
        *(r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"[\w.]", r"[^\W]", r"\x61", r"\x{fc}"),
        *("^", "$", r"\b", r"\B", r"\A", r"\z", r"\.", r"\-", r"\n", "[[:alpha:]]", "[[:^digit:]]"),
        *("(?i)", "(?s)", "(?m)", "(?-i)"),
    ]
)
_REPEATED = st.builds(
    "{}{}".format,
    st.sampled_from(["a", "[ab]", ".", r"\w", "(?:ab)", "(?:a|b)", "ü"]),
    st.sampled_from(["*", "+", "?", "{2}", "{1,2}"]),
)
_EXPRESSIONS = st.recursive(
    _ATOMS | _REPEATED,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        inner.map("({})".format),
        inner.map("(?i:{})".format),
        st.builds("(?:{}|{})".format, inner, inner),
    ),
    max_leaves=6,
)
_TEXTS = st.text(st.sampled_from("abcüK\N{LATIN SMALL LETTER LONG S}k1 \n._-{,2}]^"), max_size=8)


@given(_EXPRESSIONS, _TEXTS)
def test_both_find_the_same(text: str, held: str) -> None:
    python, re2 = OfPython(read(text).source), OfRe2(text, re2_module())
    assert python.fits(held) == re2.fits(held)
    assert python.taken(held) == re2.taken(held)
    assert python.groups == re2.groups
    if "|" not in text:
        template = "".join(rf"<\g<{group}>>" for group in range(python.groups + 1))
        assert python.replacing(template)(held) == re2.replacing(template)(held)


# What is told about time, beside a search that goes back and counts.

_ENOUGH = 50_000


class Search:
    """Tries all ways in which an expression fits a text, and counts the characters looked at."""

    def __init__(self, tree: Node, text: str, *, anywhere: bool = False) -> None:
        self.steps = 0
        self._text = text
        for begin in range(len(text) + 1 if anywhere else 1):
            for _ in self._ends(tree, begin):
                if self.steps > _ENOUGH:
                    return

    def _ends(self, node: Node, at: int) -> Iterator[int]:
        if isinstance(node, Chars):
            self.steps += 1
            code = ord(self._text[at]) if at < len(self._text) else -1
            if any(begin <= code <= end for begin, end in node.ranges):
                yield at + 1
        elif isinstance(node, End):
            if at == len(self._text):
                yield at
        elif isinstance(node, Row):
            yield from self._row(node.parts, at)
        elif isinstance(node, Choice):
            for part in node.parts:
                yield from self._ends(part, at)
        else:
            yield from self._repeated(node, at)

    def _row(self, parts: tuple[Node, ...], at: int) -> Iterator[int]:
        if not parts:
            yield at
            return
        for end in self._ends(parts[0], at):
            yield from self._row(parts[1:], end)

    def _repeated(self, node: Repeat, at: int, done: int = 0, before: int = -1) -> Iterator[int]:
        if self.steps > _ENOUGH:
            return
        # As in ``re``: the empty text is tried, but not again after it.
        if done < node.least or (at != before and (node.most is None or done < node.most)):
            for end in self._ends(node.part, at):
                yield from self._repeated(node, end, done + 1, at)
        if done >= node.least:
            yield at


def steps(text: str, held: str, *, anywhere: bool = False) -> int:
    tree = read(text).tree
    assert tree is not None
    return Search(tree, held, anywhere=anywhere).steps


def growth(text: str, *, anywhere: bool = False) -> Growth:
    reading = read(text)
    assert reading.tree is not None
    anywhere = anywhere and not reading.begins
    found = growth_of(reading.tree, whole=not anywhere, anywhere=anywhere)
    assert found is not None
    return found


DOUBLING = [
    "(a+)+b",
    "(a*)*b",
    "(a|a)*b",
    "(?:a|aa)+b",
    r"(\w+\s?)*x",
    "(.*,)*x",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    r"([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3}))",
    r"(?:(?:a?)?b)*c",
    r"(?:(?:a*)*b)*c",
    r"(?:(?:|)b)*c",
    "(?:a|aa){1,40}b",
    "(?:a{1,30}){1,30}b",
    "(?i)(?:a|A)*b",
    "(x+x+)+y",
    "(?:[a-z]{1,63}[.]?){1,9}x",
    "(?:(?:[0-9]{1,3}){1,9}){1,9}x",
    "(?:a?){30}b",
    "(?i)(?:éa|Éa)*c",
]


@pytest.mark.parametrize("text", DOUBLING)
def test_what_doubles_its_time_is_told(text: str) -> None:
    found = growth(text)
    assert math.isinf(found.power)
    assert steps(text, found.before + found.again * 10) >= 2**10


POWERS = [
    ("a*a*b", 2),
    ("a*a*a*b", 3),
    ("a+b?a+c", 2),
    (r"[^/]+-[^/]+-[^/]+x", 3),
    (r"\d+\w+x", 2),
    (".*.*=.*", 3),
    ("(?:ab)*(?:abab)*c", 2),
    (r"(?:/[a-z]*)*(?:/[a-z]+)*\.", 2),
    (r"\d{1,200}\d{1,200}x", 2),
    ("[a-z]{1,63}[a-z]{1,63}[a-z]{1,63}[a-z]{1,63}x", 4),
]


@pytest.mark.parametrize(("text", "power"), POWERS)
def test_the_power_of_a_time_is_told(text: str, power: int) -> None:
    found = growth(text)
    assert found.power == power
    some, twice = (steps(text, found.before + found.again * times) for times in (12, 24))
    assert twice / some > 2 ** (power - 0.6)


@pytest.mark.parametrize("text", [r"\s+$", "a+b", "[^/]+/x$", r"(.*)\.json$"])
def test_what_is_looked_for_anywhere_is_looked_for_again(text: str) -> None:
    found = growth(text, anywhere=True)
    assert found.power == 2
    some, twice = (
        steps(text, found.before + found.again * times, anywhere=True) for times in (12, 24)
    )
    assert twice / some > 2**1.4


@pytest.mark.parametrize(
    ("text", "anywhere", "power"),
    [
        ("(?:x(?:a+)+b)*", False, math.inf),
        ("(?:a*a*b)*", False, 2),
        (r"(?:a+)+\b", False, math.inf),
        ("(?m)(?:a+)+$", False, math.inf),
        (r"(?:[a-z]+[.])+", True, 2),
        (r"\b(?:a+)+", False, 1),
        (r"(?:a+b)*", False, 1),
    ],
)
def test_of_a_beginning_what_is_found_already_may_be_gone_on_from(
    text: str, anywhere: bool, power: float
) -> None:
    reading = read(text)
    assert reading.tree is not None
    found = growth_of(reading.tree, whole=False, anywhere=anywhere, sure=reading.sure)
    assert found is not None
    assert found.power == power


HARMLESS = [
    "[0-9]+",
    "[a-z0-9]+(?:-[a-z0-9]+)*",
    "[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}",
    r"(?:\d{1,3}\.){3}\d{1,3}",
    r"(?:[a-z0-9-]{1,63}\.)+[a-z]{2,}",
    r"(?:[a-z0-9-]{1,63}\.){1,9}[a-z]{2,10}",
    r"(?:[0-9]{1,3}\.?){4}",
    r"[^\s\S](?:a+)+b",
    r"v\d+(?:\.\d+)*",
    "(?:/[^/]+)*/x",
    "(?i)(?:en|de|fr)(?:-[a-z]{2})?",
    "(?:a|b|ab?c)*d",
    r".*\.(?:png|jpe?g|css|js)",
    r"\w+([-+.']\w+)*@\w+\.com",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_nothing_is_told_of_what_is_harmless(text: str) -> None:
    assert growth(text).power == 1
    assert compiled(text).slow is None


@pytest.mark.parametrize("text", ["/(.*)", "/v1/[^/]+/x", r"^/users/(\d+)/(.*)$", "^/a+b"])
def test_nothing_is_told_of_harmless_rewriting(text: str) -> None:
    assert growth(text, anywhere=True).power == 1
    assert isinstance(compiled(text, anywhere=True), OfPython)


_PARTS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "a?", "a*", "b+", "[ab]*"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.builds("(?:{})*".format, inner),
        st.builds("(?:{}|{})".format, inner, inner),
    ),
    max_leaves=5,
)


@pytest.mark.slow
@given(_PARTS, st.text("ab", max_size=2), st.text("ab", min_size=1, max_size=3))
def test_what_is_told_is_what_happens(part: str, before: str, again: str) -> None:
    text = f"{part}c"
    found = growth(text)
    if math.isinf(found.power):
        assert steps(text, found.before + found.again * 10) >= 2**10
        return
    some, twice = (steps(text, before + again * times) for times in (12, 24))
    assume(twice <= _ENOUGH)
    assert twice <= some * 2**found.power * 1.3


def test_of_large_expressions_nothing_is_known() -> None:
    tree = read("(?:a|b)*" * 100).tree
    assert tree is not None
    assert growth_of(tree, whole=True, anywhere=False) is None
    assert compiled("(?:a|b)*" * 100).slow is None


@pytest.mark.parametrize(
    "text",
    [
        "(?:" * 40 + "^" + "){3}" * 40,
        "".join(f"[{''.join(map(chr, range(begin, 9000, 2)))}]+" for begin in (300, 301)) * 9,
    ],
    ids=["empty again and again", "large classes"],
)
def test_to_look_at_an_expression_takes_no_long_time(text: str) -> None:
    tree = read(text).tree
    assert tree is not None
    assert growth_of(tree, whole=True, anywhere=False) is None


def test_what_is_not_understood_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert compiled("(?=x)(a+)+b").slow is None
    with pytest.raises(NotReadError):
        read("(" * 100 + ")" * 100)


def test_only_what_is_not_run_by_re2_is_slow(engine: str) -> None:
    slow = compiled("(a+)+b").slow
    if engine == "re2":
        assert slow is None
    else:
        assert slow is not None
        assert slow.startswith("its time doubles with every few characters, such as 'a' and 'a'")
        assert slow.endswith('or pip install "kratos-gateway[re2]"')


def test_another_module_of_its_name_is_not_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", ModuleType("re2"))
    assert isinstance(compiled("(?:[a-z]+)+"), OfPython)


def test_what_re2_does_not_know_is_slow_and_the_reason_is_told() -> None:
    slow = compiled("(a+)+a{1001}").slow
    assert slow is not None
    assert slow.endswith("or so that RE2 knows it (invalid repetition size: {1001})")


@pytest.mark.parametrize("text", [".*Chrome/.*", "^(.*)/v1/(.*)$"])
def test_what_is_slow_at_lines_alone_is_not_told_of_but_run_by_re2(text: str, engine: str) -> None:
    expression = compiled(text)
    assert expression.slow is None
    assert isinstance(expression, OfRe2 if engine == "re2" else OfPython)
