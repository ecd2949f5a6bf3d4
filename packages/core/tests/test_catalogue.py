"""Catalogues of texts: languages, places, files, and what is refused at the start."""

from __future__ import annotations

import gc
import struct
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.catalogue import Catalogue, Text
from kratos.errors import ConfigError

TEXTS = {
    "en": {"GONE": "{title} is gone", "FULL": "it is full"},
    "de": {"GONE": "{title} ist weg"},
    "de-CH": {"GONE": "{title} isch furt"},
    "zh-Hant-TW": {"GONE": "{title}"},
}


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("", ["en"]),
        ("de", ["de", "en"]),
        ("DE-ch", ["de-CH", "de", "en"]),
        ("de-AT", ["de", "en"]),
        ("fr, de;q=0.5", ["de", "en"]),
        ("de;q=0.5, de-CH;q=0.9", ["de-CH", "de", "en"]),
        ("en, de", ["en", "de"]),
        ("zh-Hant", ["en"]),
        ("zh-Hant-TW-x-private", ["zh-Hant-TW", "en"]),
        ("zh-Hant-TW-1-private-a-b", ["zh-Hant-TW", "en"]),
        ("de;q=0", ["en"]),
        ("de-CH, de;q=0", ["de-CH", "en"]),
        ("de-AT, de;q=0", ["en"]),
        ("fr, en;q=0", []),
        ("*", ["en"]),
        ("*;q=0", ["en"]),
        ("de ; Q = 0.8 ,en;q=0.9", ["en", "de"]),
        ("de;q=2, de;q=1.001, de;level=1, d\u00fc, -de, de-, \u212a", ["en"]),
        (",,de,,", ["de", "en"]),
        (", ".join(["fr"] * 31 + ["de"]), ["de", "en"]),
        (", ".join(["fr"] * 32 + ["de"]), ["en"]),
        (f"de,{'x' * 1020},de-CH", ["de", "en"]),
        (f"{' ' * 1020},de-CH", ["en"]),
    ],
)
def test_languages_are_found_as_callers_wish(header: str, languages: list[str]) -> None:
    assert list(Catalogue(TEXTS, default="en").accepted(header)) == languages


def test_long_headers_are_not_kept() -> None:
    class Header(str):  # noqa: SLOT000 - to be referred to weakly
        pass

    header = Header("de," + "x" * 100_000)
    kept = weakref.ref(header)
    catalogue = Catalogue(TEXTS, default="en")
    assert list(catalogue.accepted(header)) == ["de", "en"]
    del header
    gc.collect()
    assert kept() is None


def test_without_a_default_there_may_be_no_language() -> None:
    assert list(Catalogue(TEXTS).accepted("fr")) == []


@given(st.text(alphabet="deCHzxant-*,;q=01. \t", max_size=2000))
def test_any_header_gets_offered_languages_once_each(header: str) -> None:
    found = list(Catalogue(TEXTS, default="en").accepted(header))
    assert len(found) == len(set(found))
    assert set(found) <= set(TEXTS)


def test_text_is_that_of_the_first_language_which_has_it() -> None:
    catalogue = Catalogue(TEXTS, default="en")
    languages = catalogue.accepted("de-CH")
    assert catalogue.text(languages, "GONE", {"title": "Ulysses"}) == Text(
        "de-CH", "Ulysses isch furt"
    )
    assert catalogue.text(languages, "FULL", {}) == Text("en", "it is full")
    assert catalogue.text(languages, "NONE", {}) is None


def test_text_without_all_its_arguments_is_passed_over() -> None:
    catalogue = Catalogue({"en": {"A": "{x} {y}"}, "de": {"A": "{x}"}}, default="en")
    assert catalogue.text(["en", "de"], "A", {"x": "1"}) == Text("de", "1")
    assert catalogue.text(["en"], "A", {"x": "1"}) is None


def test_arguments_are_put_in_as_they_are() -> None:
    catalogue = Catalogue({"en": {"A": "{{{a.b}}} {c-d} {0}"}}, default="en")
    arguments = {"a.b": "{c-d}", "c-d": "%s {0.__class__}", "0": "\\1"}
    assert catalogue.text(["en"], "A", arguments) == Text("en", "{{c-d}} %s {0.__class__} \\1")


def test_half_a_surrogate_pair_in_an_argument_becomes_a_question_mark() -> None:
    catalogue = Catalogue({"en": {"A": "\u00fc {x}"}})
    assert catalogue.text(["en"], "A", {"x": "a\udcff"}) == Text("en", "\u00fc a?")


@given(st.text(), st.text())
def test_whatever_an_argument_is_it_comes_out_as_it_went_in(before: str, argument: str) -> None:
    escaped = before.replace("{", "{{").replace("}", "}}") + "{x}"
    catalogue = Catalogue({"en": {"A": escaped}})
    assert catalogue.text(["en"], "A", {"x": argument}) == Text("en", before + argument)


@pytest.mark.parametrize(
    "text",
    ["{x.__class__!r}", "{x!r}", "{x:>10000000}", "{x[0]}", "{}", "{x", "x}", "{ x }", "{x:{y}}"],
)
def test_text_that_asks_for_more_than_a_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"text GONE in de: "):
        Catalogue({"de": {"GONE": text}})


def test_place_that_the_default_language_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"GONE in de has a place \{tittle\} .* in en"):
        Catalogue({"en": {"GONE": "{title}"}, "de": {"GONE": "{tittle}"}}, default="en")


@pytest.mark.parametrize(
    ("texts", "default", "told"),
    [
        ({"deutsch-": {}}, "", "no language tag"),
        ({"../de": {}}, "", "no language tag"),
        ({"de": {}}, "en", "default language 'en' has no texts"),
        ({"de": {}}, "e n", "no language tag"),
        ({"de": {"A": ""}}, "", "text A in de is ''"),
        ({"de": {"A": 7}}, "", "text A in de is 7"),
        ({"de": {}, "DE": {}}, "", "more than their writing"),
    ],
)
def test_what_is_wrong_is_told_at_the_start(texts: Any, default: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Catalogue(texts, default=default)


def test_missing_texts_are_named_by_language() -> None:
    catalogue = Catalogue(TEXTS, default="en")
    assert catalogue.missing(["GONE"]) == {}
    assert catalogue.missing(["GONE", "FULL"]) == {
        "de": ["FULL"],
        "de-CH": ["FULL"],
        "zh-Hant-TW": ["FULL"],
    }


def compiled(texts: dict[str, str]) -> bytes:
    """Return a catalogue as ``msgfmt`` writes it."""
    pairs = [(b"", b"Content-Type: text/plain; charset=UTF-8\n")]
    pairs += [(key.encode(), text.encode()) for key, text in sorted(texts.items())]
    start = 28 + 16 * len(pairs)
    tables, data = [b"", b""], b""
    for which in (0, 1):
        for pair in pairs:
            tables[which] += struct.pack("<II", len(pair[which]), start + len(data))
            data += pair[which] + b"\0"
    count = len(pairs)
    head = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    return head + tables[0] + tables[1] + data


def test_files_of_all_kinds_are_read_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text('{"GONE": "gone", "string": {"email": "no address"}}')
    (tmp_path / "errors.en.toml").write_text('FULL = "full"\n[int32]\ngt = "too small"\n')
    (tmp_path / "pt_BR.yaml").write_text("GONE: foi-se\n")
    (tmp_path / "de.mo").write_bytes(compiled({"GONE": "weg \u00fc"}))
    (tmp_path / "fr" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "fr" / "LC_MESSAGES" / "errors.mo").write_bytes(compiled({"GONE": "parti"}))
    (tmp_path / "README.md").write_text("none of them")
    (tmp_path / ".hidden.json").write_text("none either")
    catalogue = Catalogue.load(tmp_path, default="en")
    assert catalogue.languages == ("de", "en", "fr", "pt-BR")
    found = {each: catalogue.text([each], "GONE", {}) for each in catalogue.languages}
    assert {each: text and text.text for each, text in found.items()} == {
        "de": "weg \u00fc",
        "en": "gone",
        "fr": "parti",
        "pt-BR": "foi-se",
    }
    assert catalogue.missing(["FULL", "string.email", "int32.gt"]).keys() == {"de", "fr", "pt-BR"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("de.json", b"{", "de.json"),
        ("de.json", b"[]", "texts by their keys"),
        ("de.json", b'{"a": {"b": 1}}', r"a\.b is 1, not a text"),
        ("de.mo", b"no catalogue", "no catalogue of gettext"),
        ("de.mo", compiled({"A": "b"})[:40], "no catalogue of gettext"),
        ("messages!.json", b"{}", "no language tag"),
        ("de.txt", b"", "no catalogue such as"),
    ],
)
def test_file_that_is_none_is_refused_with_its_name(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=told) as refused:
        Catalogue.load(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_folder_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        Catalogue.load("/nowhere")


def test_two_files_with_one_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.de.json").write_text('{"GONE": "weg"}')
    (tmp_path / "b.de.json").write_text('{"GONE": "fort"}')
    with pytest.raises(ConfigError, match=r"b\.de\.json: GONE has a text in .*a\.de\.json"):
        Catalogue.load(tmp_path)
