"""The languages of what people read: gettext catalogues, and dates in the reader's words.

A catalogue is ``integrations/locale/LANGUAGE.po``; the key of a text is its English form. It is read where it is first
needed, so nothing is to be compiled (docs/messages.md says how to translate). What a catalogue lacks stays English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

ENGLISH = "en"
TODAY = "{date}, today"
# Dates in English without a region: 3 August 2026.
DEFAULT_REGIONS = {"en": "en_GB"}
FOLDER = Path(__file__).parent / "locale"
LANGUAGES: Mapping[str, str] = {
    language: Locale.parse(language).get_display_name(language) or language
    for language in (ENGLISH, *sorted(path.stem for path in FOLDER.glob("*.po")))
}


@dataclass(frozen=True, slots=True)
class Translator:
    """Texts and dates for one reader. ``tag`` is the BCP 47 tag; ``locale`` that of dates, which may have a region."""

    tag: str
    locale: Locale
    catalogue: NullTranslations

    def __call__(self, text: str, /, **values: object) -> str:
        """The text in the reader's language, with ``{name}`` replaced by the values."""
        found = self.catalogue.gettext(text) if text else ""  # the empty key holds a catalogue's own header
        return found.format(**values) if values else found

    def plural(self, one: str, many: str, count: int, /, **values: object) -> str:
        """The form for ``count``, which it contains as ``{count}``."""
        return self.catalogue.ngettext(one, many, count).format(count=self.number(count), **values)

    def number(self, value: int) -> str:
        """12,345 or 12.345"""
        return str(format_decimal(value, locale=self.locale))

    def country(self, code: str) -> str:
        """“North Korea” for ``KP`` (ISO 3166-1 alpha-2); another text as it is."""
        return str(self.locale.territories.get(code, code))

    def long_date(self, day: date) -> str:
        """3 August 2026"""
        return str(format_date(day, "long", locale=self.locale))

    def full_date(self, day: date) -> str:
        """Monday, 3 August 2026"""
        return str(format_date(day, "full", locale=self.locale))

    def interval(self, first: date, last: date) -> str:
        """First and last day of a period, in short."""
        # Unicode puts thin spaces around the dash, which a mailbox may show as squares.
        return str(format_interval(first, last, "yMMMd", locale=self.locale)).replace("\u2009", " ")

    def date_and_age(self, day: datetime, now: datetime) -> str:
        """3 August 2026, 114 days ago; of both in the same zone."""
        days = (now.date() - day.date()).days
        if days < 0:
            return self.long_date(day)
        if days == 0:
            return self(TODAY, date=self.long_date(day))
        return self.plural(
            "{date}, {count} day ago", "{date}, {count} days ago", days, date=self.long_date(day)
        )


def base_language(tag: str) -> str:
    """``de`` of ``de-AT``."""
    return tag.replace("_", "-").partition("-")[0].lower()


def language_of(locale: str, default: str = ENGLISH) -> str:
    """The tag in which a reader with this locale (BCP 47, may be empty) is written to: theirs if there is a catalogue
    for it, else ``default``."""
    tag = locale.replace("_", "-")
    return tag if base_language(tag) in LANGUAGES else default


@lru_cache(maxsize=256)
def translator_for(tag: str) -> Translator:
    """The translator of a tag such as ``de`` or ``de-AT``; English for a language without a catalogue."""
    base = base_language(tag)
    if base not in LANGUAGES:
        return translator_for(ENGLISH)
    try:
        locale = Locale.parse(DEFAULT_REGIONS.get(tag, tag.replace("-", "_")))
    except (UnknownLocaleError, ValueError):
        locale = Locale.parse(DEFAULT_REGIONS.get(base, base))
    return Translator(tag, locale, _catalogue(base))


@lru_cache(maxsize=16)
def _catalogue(language: str) -> NullTranslations:
    path = FOLDER / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
