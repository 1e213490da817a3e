"""The meanings of a source's words and how its values are read, as a member set them. Stored in
``SourceMapping``."""

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from checks.errors import ChecksError
from checks.importing import spellings
from checks.importing.placeholders import fold
from checks.importing.rules import ENTRA_COLUMNS, ENTRA_PROVIDERS, ReadingRules
from checks.importing.values import FLAGS, TIMES
from checks.models import Source, SourceKind, SourceMapping, Status, UserType

DATE_ORDERS = ("mdy", "dmy", "ymd")
_FACTORS = tuple(
    dict.fromkeys(kind for kind in spellings.FACTOR_KINDS.values() if kind != spellings.NO_FACTOR)
)
# Field → what a word of it may mean, besides unknown.
MEANINGS: Mapping[str, tuple[str, ...]] = {
    "status": tuple(Status.values),
    "user_type": (*UserType.values, "none"),
    "mfa_factors": (*_FACTORS, "none"),
    **dict.fromkeys(FLAGS, ("true", "false")),
    "last_sign_in_at": ("never",),
    **dict.fromkeys(TIMES, ()),
}


class MappingError(ChecksError, ValueError):
    """A mapping is not accepted; the text says what is wrong and what is expected."""


def clean_word(field: str, word: str, meaning: str) -> tuple[str, str, str]:
    """The triple in its stored form. Raises :class:`MappingError`."""
    field, word, meaning = field.strip(), word.strip(), meaning.strip()
    if field == "last_sign_in_country":
        if len(meaning) != 2 or not (meaning.isascii() and meaning.isalpha()):
            raise MappingError(f"“{meaning}” is not an ISO 3166 code of two letters, such as DE.")
        meaning = meaning.upper()
    elif field not in MEANINGS:
        fields = ", ".join((*MEANINGS, "last_sign_in_country"))
        raise MappingError(
            f"The words of “{field}” have no meanings to choose. Use one of these fields: {fields}."
        )
    elif meaning.casefold() not in (allowed := (*MEANINGS[field], "unknown")):
        raise MappingError(f"“{meaning}” is not a meaning for {field}. Use one of: {', '.join(allowed)}.")
    else:
        meaning = meaning.casefold()
    if not word or len(word) > 255 or not word.isprintable():
        raise MappingError(f"A word for {field} needs 1 to 255 printable characters.")
    return field, word, meaning


def check_zone(name: str) -> str:
    """The IANA name of a time zone. Raises :class:`MappingError`."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise MappingError(
            f"Unknown time zone “{name}”. Use a name of the IANA database, such as Europe/Berlin."
        ) from None
    return name


def extended_mapping(
    source: Source, words: Iterable[tuple[str, str, str]] = (), dates: str = "", zone: str = ""
) -> SourceMapping:
    """The source's mapping with these words, order of dates and time zone added; it is not saved.

    ``words``: (field, word of the source, meaning). Raises :class:`MappingError`.
    """
    stored = SourceMapping.objects.filter(source_id=source.pk).first() if source.pk else None
    mapping = stored or SourceMapping(source=source)
    for field, word, meaning in words:
        field, word, meaning = clean_word(field, word, meaning)
        mapping.words = {**mapping.words, field: {**mapping.words.get(field, {}), word: meaning}}
    if dates and dates not in DATE_ORDERS:
        raise MappingError(f"Unknown order of dates “{dates}”. Use {', '.join(DATE_ORDERS)}.")
    mapping.date_order = dates or mapping.date_order
    mapping.zone = check_zone(zone) if zone else mapping.zone
    return mapping


def rules_of(source: Source, columns: Iterable[str] = ()) -> ReadingRules:
    """The rules by which a source's values are read. ``columns``: the file's own names of its columns."""
    stored = SourceMapping.objects.filter(source_id=source.pk).first() if source.pk else None
    return rules_from(source, stored, columns)


def rules_from(
    source: Source, mapping: SourceMapping | None, columns: Iterable[str] = (), *, is_entra: bool = False
) -> ReadingRules:
    """The rules of a source with this mapping, stored or not. ``columns`` as in :func:`rules_of`; ``is_entra``: the
    file is known to be Microsoft Entra's."""
    words = (mapping.words if mapping else {}).items()
    names = (*columns, *(mapping.columns if mapping else ()))
    return ReadingRules(
        dates=mapping.date_order if mapping else "",
        zone=mapping.zone if mapping else "",
        words=tuple(
            sorted((field, word, meaning) for field, each in words for word, meaning in each.items())
        ),
        entra=is_entra
        or fold(source.provider) in ENTRA_PROVIDERS
        or any(fold(name) in ENTRA_COLUMNS for name in names),
        hr=source.kind == SourceKind.HR,
    )
