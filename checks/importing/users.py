"""Moves findings and exclusions, and deletes users, when accounts move to another user (joining/ decides
which)."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing import facts
from checks.importing.joining.nodes import KEEPERS, NODES, reason_of
from checks.models import Account, User


@dataclass(frozen=True, slots=True)
class Moved:
    """The number of accounts that left a user with other accounts, and whether users without accounts may
    exist."""

    separated: int = 0
    emptied: bool = False


EMPTIED = "emptied_users"
AT_ONCE = 500


def settle(cursor: CursorWrapper, moment: datetime) -> Moved:
    """Store what joining found for the accounts that are stored already. Users whose accounts changed are touched."""
    stamp = Account._meta.get_field("joined_at").get_db_prep_value(moment, connection)
    cursor.execute(
        f"INSERT INTO {facts.TOUCHED} SELECT user_id FROM {NODES} n WHERE place IS NULL AND {_differs('n')} "
        f"UNION SELECT old_user FROM {NODES} n WHERE old_user IS NOT NULL AND old_user <> user_id "
        f"ON CONFLICT DO NOTHING"
    )
    cursor.execute(
        f"UPDATE checks_account SET user_id = n.user_id, join_reason = {reason_of('n')}, employee_id_shared = n.id_shared, "
        f"joined_at = CASE WHEN n.old_user = n.user_id THEN joined_at ELSE %s END, "
        f"joined_by_id = CASE WHEN n.pinned THEN joined_by_id END FROM {NODES} n "
        f"WHERE checks_account.id = n.account_id AND n.place IS NULL AND "
        f"({_differs('n')} OR checks_account.employee_id_shared <> n.id_shared)",
        [stamp],
    )
    cursor.execute(
        f"SELECT COUNT(*) FROM {NODES} n WHERE old_user IS NOT NULL AND old_user <> user_id "
        f"AND EXISTS (SELECT 1 FROM checks_account a WHERE a.user_id = n.old_user)"
    )
    (separated,) = cursor.fetchone()
    emptied = (
        f"{NODES} n WHERE old_user IS NOT NULL AND old_user <> user_id "
        f"AND NOT EXISTS (SELECT 1 FROM checks_account a WHERE a.user_id = n.old_user)"
    )
    return Moved(separated, dialect.has_rows(cursor, emptied))


def _differs(node: str) -> str:
    differs = dialect.differs()
    return f"({node}.old_user {differs} {node}.user_id OR {node}.old_reason {differs} {reason_of(node)})"


def remove_empty(cursor: CursorWrapper, moved: Moved) -> int:
    """Move the findings of users whose accounts all belong to other users now to the user of their keeper, and delete these
    users.

    Of two open findings of a check the joined user keeps its own. Exclusions are not moved: a member has to
    decide that they apply to the accounts of both. Returns how many exclusions ended so.
    """
    if not moved.emptied:
        return 0
    with dialect.temporary(cursor, EMPTIED, "(user_id bigint PRIMARY KEY, joined bigint)"):
        cursor.execute(
            f"INSERT INTO {EMPTIED} SELECT k.old_user, n.user_id FROM {KEEPERS} k "
            f"JOIN {NODES} n ON n.account_id = k.account_id WHERE k.old_user <> n.user_id "
            f"AND NOT EXISTS (SELECT 1 FROM checks_account a WHERE a.user_id = k.old_user)"
        )
        waiting = "(f.resolved_at IS NULL OR f.resolution = 'unknown')"
        taken = (
            f"SELECT f.id FROM checks_finding f JOIN {EMPTIED} e ON e.user_id = f.user_id WHERE {waiting} AND ("
            f"EXISTS (SELECT 1 FROM checks_finding o WHERE o.user_id = e.joined AND o.check_id = f.check_id "
            f"AND (o.resolved_at IS NULL OR o.resolution = 'unknown')) OR EXISTS ("
            f"SELECT 1 FROM checks_finding o JOIN {EMPTIED} d ON d.user_id = o.user_id WHERE d.joined = e.joined "
            f"AND o.check_id = f.check_id AND o.id < f.id AND (o.resolved_at IS NULL OR o.resolution = 'unknown')))"
        )
        cursor.execute(
            f"UPDATE checks_finding SET resolved_at = COALESCE(resolved_at, opened_at), resolution = 'out_of_scope' "
            f"WHERE id IN ({taken})"
        )
        cursor.execute(
            f"UPDATE checks_finding SET user_id = e.joined FROM {EMPTIED} e WHERE checks_finding.user_id = e.user_id"
        )
        cursor.execute(f"DELETE FROM checks_exclusion WHERE user_id IN (SELECT user_id FROM {EMPTIED})")
        dropped = int(cursor.rowcount)
        cursor.execute(f"SELECT user_id FROM {EMPTIED} ORDER BY user_id")
        empty = [user for (user,) in cursor.fetchall()]
        # By the ORM, since other apps refer to users.
        for start in range(0, len(empty), AT_ONCE):
            User.objects.filter(pk__in=empty[start : start + AT_ONCE]).delete()
        return dropped
