"""Doubtful joins: what joining leaves to a member, and the records that wait for a decision."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from datetime import datetime

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from checks import dialect
from checks.importing.joining.by_employee_id import MOST_OF_ONE_SOURCE
from checks.importing.joining.nodes import NODES, SUGGESTIONS, JoinReport
from checks.importing.reports import ReadingWarning
from checks.models import Import, JoinReason, JoinSuggestion

SHOWN_IDS = 5
WAS_EXCLUDED = "They were one user until now. That user is excluded from checks; this account no longer is."
ONLY_IMMUTABLE_ID = (
    "The record has this account's immutable id, but another login, e-mail address and employee id."
)


def store(cursor: CursorWrapper, done: Import | None) -> int:
    """Store what joining found doubtful for the accounts that it looked at; returns the number of new suggestions.

    ``done``: the import that found it, None outside an import.
    """
    now = _db(timezone.now())
    cursor.execute(
        f"INSERT INTO {SUGGESTIONS} SELECT n.account_id, MIN(o.account_id), MIN(n.old_reason), %s FROM {NODES} n "
        f"JOIN {NODES} o ON o.user_id = n.old_user WHERE n.old_user <> n.user_id AND EXISTS ("
        f"SELECT 1 FROM checks_exclusion x WHERE x.user_id = n.old_user AND (x.until IS NULL OR x.until > %s)) "
        f"GROUP BY n.account_id ON CONFLICT DO NOTHING",
        [WAS_EXCLUDED, now],
    )
    found = (
        f"SELECT s.account_id, t.user_id, MIN(s.reason) AS reason, MIN(s.doubt) AS doubt FROM {SUGGESTIONS} s "
        f"JOIN {NODES} n ON n.account_id = s.account_id JOIN {NODES} t ON t.account_id = s.part "
        f"WHERE n.user_id <> t.user_id GROUP BY s.account_id, t.user_id"
    )
    with dialect.temporary(
        cursor,
        "suggested",
        "(account_id bigint, user_id bigint, reason varchar(16), doubt varchar(255), PRIMARY KEY (account_id, user_id))",
    ):
        cursor.execute(f"INSERT INTO suggested {found}")
        cursor.execute(
            f"DELETE FROM checks_joinsuggestion WHERE state = 'open' AND record IS NULL AND doubt <> %s "
            f"AND account_id IN (SELECT account_id FROM {NODES}) AND NOT EXISTS (SELECT 1 FROM suggested g "
            f"WHERE g.account_id = checks_joinsuggestion.account_id AND g.user_id = checks_joinsuggestion.user_id)",
            [WAS_EXCLUDED],
        )
        cursor.execute(
            "INSERT INTO checks_joinsuggestion (account_id, user_id, reason, doubt, found_by_id, created_at, state) "
            "SELECT account_id, user_id, reason, doubt, %s, %s, 'open' FROM suggested WHERE true ON CONFLICT DO NOTHING",
            [done.pk if done else None, now],
        )
        return int(cursor.rowcount)


def hold(cursor: CursorWrapper, done: Import) -> int:
    """Store the records that wait for a decision; returns their number. What was decided by a later record goes."""
    cursor.execute(
        "DELETE FROM checks_joinsuggestion WHERE state = 'open' AND record IS NOT NULL "
        "AND account_id IN (SELECT account_id FROM seen_records WHERE account_id IS NOT NULL) "
        "AND account_id NOT IN (SELECT account_id FROM held_records)"
    )
    record = "CAST(h.record AS jsonb)" if dialect.is_postgres() else "h.record"
    cursor.execute(
        f"INSERT INTO checks_joinsuggestion (account_id, user_id, reason, doubt, record, found_by_id, created_at, state) "
        f"SELECT a.id, a.user_id, %s, %s, {record}, %s, %s, 'open' FROM held_records h "
        f"JOIN checks_account a ON a.id = h.account_id WHERE a.user_id IS NOT NULL "
        f"ON CONFLICT (account_id, user_id) DO UPDATE SET record = excluded.record, state = 'open', "
        f"doubt = excluded.doubt, reason = excluded.reason, decided_at = NULL, decided_by_id = NULL",
        [JoinReason.SOURCE_KEY.value, ONLY_IMMUTABLE_ID, done.pk, _db(timezone.now())],
    )
    return int(cursor.rowcount)


def _db(moment: datetime) -> str | datetime:
    stored: str | datetime = JoinSuggestion._meta.get_field("created_at").get_db_prep_value(
        moment, connection
    )
    return stored


def warnings(joined: JoinReport, held: int) -> list[ReadingWarning]:
    """The warnings of an import about joining."""
    found = []
    if joined.crowded_ids:
        found.append(
            ReadingWarning(
                "employee_id",
                f"More than {MOST_OF_ONE_SOURCE} accounts of one source have the employee id "
                f"{_listed(joined.crowded_ids)}: it joins nobody.",
            )
        )
    if joined.contradicting_ids:
        found.append(
            ReadingWarning(
                "employee_id",
                f"Accounts of one source with different names have the employee id "
                f"{_listed(joined.contradicting_ids)}: it joins nobody.",
            )
        )
    if joined.unjoined_accounts:
        text = (
            "1 account is" if joined.unjoined_accounts == 1 else f"{joined.unjoined_accounts:,} accounts are"
        )
        found.append(
            ReadingWarning(
                "employee_id",
                f"{text} not joined by the employee id; without an HR record the checks that compare with HR cannot "
                f"be evaluated.",
            )
        )
    if held:
        text = "1 record was" if held == 1 else f"{held:,} records were"
        found.append(
            ReadingWarning(
                "source_key",
                f"{text} not imported: only the immutable id agrees with the stored account. Decide on the page Joining.",
            )
        )
    if joined.suggestions:
        text = "1 doubtful join" if joined.suggestions == 1 else f"{joined.suggestions:,} doubtful joins"
        found.append(ReadingWarning("", f"{text}: decide on the page Joining."))
    if joined.separated:
        text = "1 account was" if joined.separated == 1 else f"{joined.separated:,} accounts were"
        found.append(
            ReadingWarning("", f"{text} separated from a user, because the data contradict the join now.")
        )
    if joined.dropped_exclusions:
        text = (
            "1 exclusion" if joined.dropped_exclusions == 1 else f"{joined.dropped_exclusions:,} exclusions"
        )
        found.append(
            ReadingWarning("", f"{text} ended, because the user was joined with one who is not excluded.")
        )
    return found


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN_IDS:,} others" if len(ids) > SHOWN_IDS else ""
    return ", ".join(f"“{each}”" for each in ids[:SHOWN_IDS]) + more
