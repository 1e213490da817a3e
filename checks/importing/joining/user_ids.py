"""Gives each part its user: an earlier user's id or a new one, and the reasons of its joins."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.nodes import FORMER_IDS, KEEPERS, NODES, RANK
from checks.models import JoinReason


def _find_keepers(cursor: CursorWrapper) -> None:
    """Fill ``KEEPERS``: the account whose part keeps the user, for each user that the nodes had before."""
    cursor.execute(
        f"INSERT INTO {KEEPERS} SELECT old_user, MIN(((CASE WHEN pinned THEN 0 ELSE 8 END) "
        f"+ (CASE WHEN superseded THEN 0 ELSE 4 END) + (CASE WHEN present THEN 0 ELSE 2 END) "
        f"+ (CASE WHEN hr THEN 1 ELSE 0 END)) * {RANK} + account_id) % {RANK} FROM {NODES} WHERE old_user IS NOT NULL GROUP BY old_user"
    )
    # A user whose account changed its employee id stays with the former id, if another account has it: the login may have
    # passed to a new employee. If nobody has it, the id was corrected.
    if not dialect.has_rows(cursor, f"{FORMER_IDS}"):
        return
    cursor.execute(
        f"UPDATE {KEEPERS} SET account_id = h.account_id FROM (SELECT n.old_user, MIN("
        f"(CASE WHEN h.old_user = n.old_user THEN 0 ELSE 1 END) * {RANK} + h.account_id) % {RANK} AS account_id "
        f"FROM {FORMER_IDS} f JOIN {NODES} n ON n.account_id = f.account_id JOIN {NODES} h ON h.id_key = f.employee_key "
        f"WHERE n.old_user IS NOT NULL AND n.old_user NOT IN (SELECT old_user FROM {NODES} WHERE pinned) "
        f"GROUP BY n.old_user) h WHERE h.old_user = {KEEPERS}.old_user"
    )


def assign_users(cursor: CursorWrapper) -> None:
    _find_keepers(cursor)
    dialect.analyze(cursor, KEEPERS)
    with dialect.temporary(cursor, "part_users", "(part bigint PRIMARY KEY, user_id bigint)"):
        cursor.execute(
            f"INSERT INTO part_users SELECT n.part, MIN(k.old_user) FROM {KEEPERS} k "
            f"JOIN {NODES} n ON n.account_id = k.account_id GROUP BY n.part"
        )
        dialect.analyze(cursor, "part_users")
        newest = dialect.newest_id(cursor, "checks_user")
        cursor.execute(
            f"INSERT INTO part_users SELECT part, {newest} + row_number() OVER (ORDER BY part) FROM ("
            f"SELECT DISTINCT part FROM {NODES} n WHERE NOT EXISTS ("
            f"SELECT 1 FROM part_users p WHERE p.part = n.part)) added"
        )
        if cursor.rowcount:
            dialect.reserve_ids(cursor, "checks_user", newest + cursor.rowcount)
        dialect.analyze(cursor, "part_users")
        cursor.execute(
            f"UPDATE {NODES} SET user_id = p.user_id FROM part_users p WHERE p.part = {NODES}.part"
        )
    dialect.analyze(cursor, NODES, "place", "user_id", "old_user", "reason")


def explain(cursor: CursorWrapper) -> None:
    """Set the reason of each join. The first account of a user has none of the others', and NULL is its reason too:
    see :func:`reason_of`."""
    first = JoinReason.FIRST.value
    # If other accounts joined an account that is not the user's first, their reason becomes its reason too.
    cursor.execute(
        f"UPDATE {NODES} SET reason = p.reason FROM (SELECT user_id, MIN(reason) AS reason FROM {NODES} "
        f"WHERE reason IS NOT NULL GROUP BY user_id) p WHERE p.user_id = {NODES}.user_id AND {NODES}.reason IS NULL"
    )
    # Only of users with a joined account. Most accounts are alone: to update them all would take as long as to join them.
    cursor.execute(
        f"UPDATE {NODES} SET reason = %s WHERE reason IS NOT NULL AND account_id IN ("
        f"SELECT MIN((CASE WHEN old_user = user_id THEN 0 ELSE 2 END + CASE WHEN hr THEN 1 ELSE 0 END) * {RANK} "
        f"+ account_id) %% {RANK} FROM {NODES} "
        f"WHERE user_id IN (SELECT user_id FROM {NODES} WHERE reason IS NOT NULL) GROUP BY user_id)",
        [first],
    )
    cursor.execute(f"UPDATE {NODES} SET reason = old_reason WHERE pinned")
