"""The catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, cast

from kratos.catalogue._files import read
from kratos.catalogue._languages import MOST_CHARACTERS, chosen, tag_of
from kratos.catalogue._template import Template
from kratos.errors import ConfigError

__all__ = ["Catalogue", "Text"]

_MOST_KEPT: Final = 256
_MOST_READ: Final = MOST_CHARACTERS + 1  # one more tells that something was cut off


class Text(NamedTuple):
    """A text in one of the catalogue's languages.

    Attributes:
        language: Its tag.
        text: For people.
    """

    language: str
    text: str


class Catalogue:
    """Texts by language and key, with places for arguments such as ``{title}``.

    Keys are reasons of errors and of field violations. A text has no place that the same key
    has not in the default language, where it is there.

    Args:
        texts: Texts by their keys, by language tags.
        default: The language of those who ask for none that there is; empty for none, their
            errors are as they were raised.

    Attributes:
        languages: The tags, in order.

    Raises:
        ConfigError: A tag, a text or a place is wrong, with where it is.
    """

    def __init__(self, texts: Mapping[str, Mapping[str, str]], *, default: str = "") -> None:
        self._templates: Final = {
            _checked_tag(language): _templates(language, each) for language, each in texts.items()
        }
        self.languages: Final = tuple(sorted(self._templates))
        self._offered: Final = {tag.lower(): tag for tag in self.languages}
        if len(self._offered) < len(texts):
            raise ConfigError(f"languages differ by more than their writing: {sorted(texts)}")
        found = self._offered.get(_checked_tag(default).lower()) if default else None
        self._default: Final = found or ""
        if default and not self._default:
            raise ConfigError(f"default language {default!r} has no texts; {self.languages} have")
        self._check_places()
        self._chosen = lru_cache(_MOST_KEPT)(self._choose)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, default: str = "") -> Catalogue:
        """Read the files of a folder: ``de.json``, ``errors.pt-BR.toml``, ``de.mo`` ...

        The last part of a name before its ending is the language. JSON, TOML and YAML have
        texts by key; keys of nested tables are joined by dots. Files ``.mo`` of gettext have the
        key as ``msgid``, and may lie in ``de/LC_MESSAGES``. All files of a language add up.

        Raises:
            ConfigError: A file cannot be read or is wrong, with where.
        """
        try:
            texts = read(Path(folder))
        except (OSError, ValueError) as error:
            raise ConfigError(f"catalogue: {error}") from error
        return cls(texts, default=default)

    def accepted(self, header: str, /) -> Sequence[str]:
        """Return the languages for a value of ``Accept-Language``, the best first.

        Lookup as in RFC 4647 3.4, then the default language. The value may come from anybody:
        what is malformed or beyond 1024 characters or 32 ranges is passed over.
        """
        return self._chosen(header[:_MOST_READ])

    def text(
        self, languages: Iterable[str], key: str, /, arguments: Mapping[str, str]
    ) -> Text | None:
        """Return a text in the first of some languages that has it.

        Args:
            languages: From ``accepted``.
            key: Of the text.
            arguments: For its places; a text that has one more is passed over.
        """
        for language in languages:
            template = self._templates[language].get(key)
            if template is not None:
                filled = template.fill(arguments)
                if filled is not None:
                    return Text(language, filled)
        return None

    def missing(self, keys: Iterable[str], /) -> dict[str, list[str]]:
        """Return which of some keys have no text, by language; for tests of programs.

        assert catalogue.missing(BookError.keys()) == {}
        """
        wanted = list(keys)
        found = {
            language: [key for key in wanted if key not in templates]
            for language, templates in self._templates.items()
        }
        return {language: lacking for language, lacking in found.items() if lacking}

    def _choose(self, header: str) -> tuple[str, ...]:
        return chosen(header, self._offered, self._default)

    def _check_places(self) -> None:
        if not self._default:
            return
        originals = self._templates[self._default]
        for language, templates in self._templates.items():
            for key, template in templates.items():
                original = originals.get(key)
                unknown = () if original is None else sorted(template.names - original.names)
                if unknown:
                    raise ConfigError(
                        f"text {key} in {language} has a place {{{unknown[0]}}} that it has not "
                        f"in {self._default}"
                    )


def _checked_tag(name: str) -> str:
    try:
        return tag_of(name)
    except ValueError as error:
        raise ConfigError(f"catalogue: {error}") from error


def _templates(language: str, texts: Mapping[str, str]) -> dict[str, Template]:
    found: dict[str, Template] = {}
    for key, text in texts.items():
        given = cast("object", text)
        if not isinstance(given, str) or not given:
            raise ConfigError(f"text {key} in {language} is {text!r}, not a text")
        try:
            found[key] = Template(text)
        except ValueError as error:
            raise ConfigError(f"text {key} in {language}: {error}") from error
    return found
