"""Work out the users of stored accounts again, outside an import: after a member's decision, or without a source."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing import facts, suggestions, users
from checks.importing.joining import join, nodes


def rejoin(
    cursor: CursorWrapper,
    accounts: str,
    parameters: Sequence[dialect.SqlValue],
    moment: datetime,
    touched: Iterable[int] = (),
) -> int:
    """Give these accounts, and all that share a key or a user with them, the users that follow from the data now; the number
    of accounts whose user changes.

    ``accounts``: a select of ids of accounts. ``touched``: users whose facts are derived besides those of the accounts.
    Run inside a transaction that holds :func:`checks.dialect.lock_accounts`, after the change.
    """
    with (
        dialect.temporary(cursor, facts.TOUCHED, facts.TOUCHED_DEFINITION),
        nodes.joining_tables(cursor),
    ):
        dialect.fill_ids(cursor, facts.TOUCHED, touched)
        cursor.execute(
            f"{nodes.INSERT_NODES}{nodes.stored_nodes(0)} FROM checks_account a "
            f"JOIN checks_source s ON s.id = a.source_id WHERE a.id IN ({accounts})",
            parameters,
        )
        if cursor.rowcount:
            cursor.execute(
                f"INSERT INTO {facts.TOUCHED} SELECT DISTINCT old_user FROM {nodes.NODES} "
                f"WHERE old_user IS NOT NULL ON CONFLICT DO NOTHING"
            )
            nodes.collect(cursor)
            join.join_accounts(cursor)
            moved = users.settle(cursor, moment)
            suggestions.store(cursor, None)
            facts.refresh(facts.TOUCHED)
            users.remove_empty(cursor, moved)
            cursor.execute(f"SELECT COUNT(*) FROM {nodes.NODES} WHERE old_user <> user_id")
            return int(cursor.fetchone()[0])
        facts.refresh(facts.TOUCHED)
        return 0
