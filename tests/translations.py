"""The catalogues of what people read: ``python -m tests.translations`` brings them up to date with the sources.

It writes each ``integrations/locale/LANGUAGE.po`` again: new texts without a translation, the others as they are, and
without those that no source has any more.
"""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
# Calls of Translator (integrations/translation.py).
KEYWORDS = {"translate": None, "plural": (1, 2)}
HEADER = "# What people read (docs/messages.md). Update: python -m tests.translations"
DAY = datetime(2026, 11, 28, tzinfo=UTC)
Text = str | tuple[str, str]


def texts() -> Iterator[tuple[str, Text]]:
    """Each text with where it stands: of the sources, of the checks, and of tables of words."""
    for package in ("integrations", "notifications", "cii_project/reporting"):
        found = extract_from_dir(ROOT / package, [("**.py", "python")], keywords=KEYWORDS)
        for path, _, text, *_ in sorted(found, key=lambda row: row[:2]):
            yield f"{package}/{path}", text
    yield from _tables()
    yield from _checks()


def _tables() -> Iterator[tuple[str, Text]]:
    from checks.catalogue.hr_mismatch import check
    from cii_project.reporting.report import NO_DEPARTMENT, REST
    from integrations.targets.shared import formatting, summary
    from integrations.translation import TODAY
    from notifications.rendering import combined_text, payloads

    yield "integrations/translation.py", TODAY
    for text in (REST, NO_DEPARTMENT):
        yield "cii_project/reporting/report.py", text
    for text in (payloads.CONNECTIVITY_TITLE, *payloads.CONNECTIVITY_DESCRIPTION):
        yield "notifications/rendering/payloads.py", text
    tables = (formatting.LABELS, formatting.FACTORS, formatting.RESOLUTIONS)
    labels = [label for table in tables for label in table.values() if label]
    for label in (*labels, *sorted(formatting.VALUES)):
        yield "integrations/targets/shared/formatting.py", label.replace("_", " ")
    for severity in summary.SEVERITIES:
        yield "integrations/targets/shared/summary.py", severity
    for introduction in combined_text.INTRODUCTIONS.values():
        yield "notifications/rendering/combined_text.py", introduction
    for name, _ in check.fields["fields"].choices:
        yield "checks/catalogue/hr_mismatch.py", name


def _checks() -> Iterator[tuple[str, Text]]:
    from checks.catalogue import CATALOGUE

    for slug in CATALOGUE:
        for text in texts_of_check(slug):
            yield f"checks/catalogue/{slug.replace('-', '_')}.py", text


def texts_of_check(slug: str) -> Iterator[str]:
    """The title of a check, and its texts for all audiences."""
    from checks.catalogue import catalogue_check

    check = catalogue_check(slug)
    texts = check.texts
    yield from (check.title, *check.description, *check.recommended_actions, texts.list.found)
    yield from (texts.subject, texts.user.found, texts.user.why, *texts.user.actions, texts.user.contact)
    yield from (texts.manager.found, *texts.manager.actions)


def untranslated_checks(catalogue: Catalog) -> set[str]:
    """The checks of which the catalogue has no text of what was found: they are written in English."""
    from checks.catalogue import CATALOGUE

    return {
        slug
        for slug, check in CATALOGUE.items()
        if (found := catalogue.get(check.texts.user.found)) is None or not found.string
    }


def updated(language: str, path: Path) -> Catalog:
    """The catalogue of a language with the texts of now."""
    stored = read(language, path) if path.exists() else Catalog()
    # A fixed header: the file changes with its texts alone.
    catalogue = Catalog(
        locale=language, header_comment=HEADER, fuzzy=False, creation_date=DAY, revision_date=DAY
    )
    for place, text in texts():
        known = stored.get(text)
        translation = known.string if known else None
        catalogue.add(text, translation, locations=[(place, None)])
    return catalogue


def read(language: str, path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language)


def write(catalogue: Catalog, path: Path) -> None:
    with path.open("wb") as file:
        write_po(file, catalogue, width=100, omit_header=False, include_lineno=False)


def write_all() -> None:
    for path in sorted((ROOT / "integrations" / "locale").glob("*.po")):
        write(updated(path.stem, path), path)
        sys.stdout.write(f"{path.relative_to(ROOT)} is up to date.\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    write_all()
