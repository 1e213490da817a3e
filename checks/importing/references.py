"""Managers and owners that a source names by distinguished name, and those that match nobody."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.folding import folded
from checks.importing.employee_ids import reference_key
from checks.importing.reports import ReadingWarning
from checks.importing.values import REFERENCES, common_name, is_distinguished_name, shorten
from checks.models import Account, Source

SHOWN_EXAMPLES = 3


_IS_NUMBER = "ltrim({0}, '0123456789') = ''"


def resolve_padded_numbers(cursor: CursorWrapper, source: Source) -> list[int]:
    """Let references that are employee ids with other leading zeros than in the same source (``77`` for ``0077``) point at the
    id that the source has.

    A reference that an account of the source has as login or employee id stays as it is. So does one that fits several ids.
    Returns the accounts that change.
    """
    changed: list[int] = []
    for field in REFERENCES:
        for text, key, resolved in _padded_numbers(cursor, source, field):
            if resolved != key:
                pending = Account.objects.filter(source=source, **{field: text, f"{field}_key": key})
                changed += pending.values_list("pk", flat=True)
                pending.update(**{f"{field}_key": resolved})
    return changed


def _padded_numbers(cursor: CursorWrapper, source: Source, field: str) -> list[tuple[str, str, str]]:
    """The references that are numbers and that no account of the source has, or that were resolved before: the text, the
    stored key, and the key that it has now."""
    key = f"{field}_key"
    known = " OR ".join(
        f"EXISTS (SELECT 1 FROM checks_account b WHERE b.{name} = a.{key} AND {dialect.given(f'b.{name}')} "
        f"AND b.source_id = a.source_id)"
        for name in ("login_key", "employee_key")
    )
    doubtful = (
        f"FROM checks_account a WHERE a.source_id = %s AND {dialect.given(f'a.{key}')} "
        f"AND {_IS_NUMBER.format(f'a.{key}')} AND (a.{field} <> a.{key} OR NOT ({known}))"
    )
    cursor.execute(f"SELECT DISTINCT a.{field}, a.{key} {doubtful} ORDER BY 1, 2", [source.pk])
    rows = [(text, stored, reference_key(text)) for text, stored in cursor.fetchall()]
    # A distinguished name may have been resolved to a login that is a number.
    rows = [row for row in rows if row[2].isdigit()]
    if not rows:
        return []
    ids, logins = (
        _spellings(cursor, source, name, f"SELECT ltrim(a.{key}, '0') {doubtful}")
        for name in ("employee_key", "login_key")
    )

    def resolved(written: str) -> str:
        number = written.lstrip("0")
        spellings = ids.get(number, set())
        is_exact = written in spellings or written in logins.get(number, ())
        return written if is_exact or len(spellings) != 1 else min(spellings)

    return [(text, stored, resolved(written)) for text, stored, written in rows]


def _spellings(cursor: CursorWrapper, source: Source, column: str, numbers: str) -> dict[str, set[str]]:
    """Number without leading zeros → the values of the source's column that are this number. ``numbers``: a select."""
    cursor.execute(
        f"SELECT DISTINCT {column} FROM checks_account WHERE source_id = %s AND {dialect.given(column)} "
        f"AND {_IS_NUMBER.format(column)} AND ltrim({column}, '0') IN ({numbers})",
        [source.pk, source.pk],
    )
    found: dict[str, set[str]] = {}
    for (text,) in cursor.fetchall():
        found.setdefault(text.lstrip("0"), set()).add(text)
    return found


def resolve_distinguished_names(source: Source) -> list[int]:
    """Let references that are distinguished names point at the account of the same source that they name.

    The name is compared with the immutable ids, then the value of its first part with the logins and the display names.
    A name that fits several accounts stays as it is. Returns the accounts that change.
    """
    changed: list[int] = []
    for field in REFERENCES:
        accounts = Account.objects.filter(source=source)
        texts = accounts.filter(**{f"{field}__contains": "="}).values_list(field, f"{field}_key").distinct()
        names = {
            key: text for text, key in texts if text and key == folded(text) and is_distinguished_name(text)
        }
        for key, login in _logins_of(source, names).items():
            pending = accounts.filter(**{f"{field}_key": key})
            changed += pending.values_list("pk", flat=True)
            pending.update(**{f"{field}_key": login})
    return changed


def _logins_of(source: Source, names: dict[str, str]) -> dict[str, str]:
    """Folded distinguished name → login key of the one account that it names."""
    if not names:
        return {}
    first_parts = {folded(common_name(text)) for text in names.values()}
    by_key: dict[str, str] = {}
    by_login: set[str] = set()
    by_name: dict[str, list[str]] = {}
    rows = Account.objects.filter(source=source).exclude(status="deleted")
    for login, name, source_key in rows.values_list("login_key", "display_name", "source_key").iterator():
        if source_key and folded(source_key) in names:
            by_key[folded(source_key)] = login
        if login in first_parts:
            by_login.add(login)
        if (shown := folded(name)) in first_parts:
            by_name.setdefault(shown, []).append(login)
    found = {}
    for key, text in names.items():
        part = folded(common_name(text))
        fitting = {*by_name.get(part, ()), *({part} & by_login)}
        candidates = {by_key[key]} if key in by_key else fitting
        if len(candidates) == 1:
            (found[key],) = candidates
    return found


def unmatched_references(cursor: CursorWrapper, source: Source) -> list[ReadingWarning]:
    """A warning for each kind of reference of which some match no user."""
    return [
        ReadingWarning(field, _sentence(field, rows))
        for field in REFERENCES
        if (rows := _unmatched(cursor, source, field))
    ]


def _unmatched(cursor: CursorWrapper, source: Source, field: str) -> list[tuple[str, int]]:
    """The references that match no account of any source, with the number of accounts that have them."""
    column = f"{field}_key"
    known = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM checks_account b WHERE b.{key} = g.name AND {dialect.given(f'b.{key}')})"
        for key in ("login_key", "email_key", "employee_key")
    )
    cursor.execute(
        f"SELECT g.shown, g.number FROM (SELECT {column} AS name, MIN({field}) AS shown, COUNT(*) AS number "
        f"FROM checks_account WHERE source_id = %s AND {dialect.given(column)} AND COALESCE(status, '') <> 'deleted' "
        f"GROUP BY {column}) g WHERE {known} ORDER BY g.number DESC, g.name",
        [source.pk],
    )
    return list(cursor.fetchall())


def _sentence(field: str, rows: Iterable[tuple[str, int]]) -> str:
    rows = list(rows)
    records = sum(number for _, number in rows)
    shown = ", ".join(f"“{shorten(text)}”" for text, _ in rows[:SHOWN_EXAMPLES]) + (
        ", …" if len(rows) > SHOWN_EXAMPLES else ""
    )
    accounts = "1 account names" if records == 1 else f"{records:,} accounts name"
    advice = "export the login, e-mail or employee id"
    if any(is_distinguished_name(text) for text, _ in rows):
        advice = f"distinguished names are found by the display name or login of one account of the source; {advice}"
    return f"{accounts} a {field} that matches no user ({shown}): {advice} of the {field}."
