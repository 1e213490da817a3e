"""Joins the accounts that have an immutable id in common."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.nodes import ANCHORS, NODES, REASONS


def take_anchors(cursor: CursorWrapper) -> None:
    """Join the accounts that have an immutable id in common, directly or through others; ``part`` of
    ``anchored_nodes``: the smallest of their ids."""
    definition = (
        "(account_id bigint, name varchar(255), source_id bigint, present boolean, part bigint, "
        "PRIMARY KEY (account_id, name))"
    )
    with dialect.temporary(cursor, "anchored_nodes", definition):
        names = " UNION ".join(
            f"SELECT account_id, {key} AS name, source_id, present FROM {NODES} "
            f"WHERE {key} <> '' AND NOT alone AND NOT superseded"
            for key in ANCHORS
        )
        cursor.execute(
            f"WITH names AS ({names}) INSERT INTO anchored_nodes "
            f"SELECT account_id, name, source_id, present, account_id FROM names WHERE name IN ("
            f"SELECT name FROM names GROUP BY name HAVING MIN(source_id) <> MAX(source_id))"
        )
        if not cursor.rowcount:
            return
        dialect.index(cursor, "anchored_nodes", "name")
        dialect.index(cursor, "anchored_nodes", "part")
        dialect.analyze(cursor, "anchored_nodes")
        _connect_anchored(cursor)
        _part_within_a_source(cursor)
        _move_to_anchored(cursor)


def _connect_anchored(cursor: CursorWrapper) -> None:
    smallest = (
        "UPDATE anchored_nodes SET part = m.part FROM ({}) m WHERE m.named = anchored_nodes.{} "
        "AND m.part < anchored_nodes.part"
    )
    steps = (
        smallest.format("SELECT name AS named, MIN(part) AS part FROM anchored_nodes GROUP BY name", "name"),
        # Also of the account that names the part: so a long chain takes few rounds.
        smallest.format(
            "SELECT account_id AS named, MIN(part) AS part FROM anchored_nodes GROUP BY account_id", "part"
        ),
        smallest.format(
            "SELECT account_id AS named, MIN(part) AS part FROM anchored_nodes GROUP BY account_id",
            "account_id",
        ),
    )
    while True:
        moved = 0
        for statement in steps:
            cursor.execute(statement)
            moved += cursor.rowcount
        if not moved:
            return


def _part_within_a_source(cursor: CursorWrapper) -> None:
    """Two accounts of one source are never one by an immutable id of another source: the ids of all that would be
    joined with them join nobody. Of several accounts of one source the deleted ones are left out."""
    each = "SELECT DISTINCT account_id, source_id, present, part FROM anchored_nodes"
    several = f"SELECT part, source_id FROM ({each}) e GROUP BY part, source_id HAVING COUNT(*) > 1"
    cursor.execute(f"DELETE FROM anchored_nodes WHERE NOT present AND (part, source_id) IN ({several})")
    if cursor.rowcount:
        # An account that is left out joins no others either: their parts may be smaller without it.
        cursor.execute("UPDATE anchored_nodes SET part = account_id")
        _connect_anchored(cursor)
    cursor.execute(f"DELETE FROM anchored_nodes WHERE part IN (SELECT part FROM ({several}) g)")


def _move_to_anchored(cursor: CursorWrapper) -> None:
    """A part with accounts of one member's user becomes that user's; with those of several, the others are a part."""
    members_part = "MIN(CASE WHEN n.fixed THEN n.part END)"
    parts = (
        f"SELECT c.part, MIN(CASE WHEN NOT n.fixed THEN n.account_id END) AS low, "
        f"CASE WHEN {members_part} = MAX(CASE WHEN n.fixed THEN n.part END) THEN {members_part} END AS fixed_part "
        f"FROM anchored_nodes c JOIN {NODES} n ON n.account_id = c.account_id "
        f"GROUP BY c.part HAVING COUNT(DISTINCT c.account_id) > 1"
    )
    _part_within_a_members_user(cursor, parts)
    cursor.execute(
        f"UPDATE {NODES} SET part = COALESCE(g.fixed_part, g.low), fixed = g.fixed_part IS NOT NULL, reason = %s "
        f"FROM anchored_nodes a JOIN ({parts}) g ON g.part = a.part "
        f"WHERE {NODES}.account_id = a.account_id AND NOT {NODES}.pinned",
        [REASONS["anchor"]],
    )


def _part_within_a_members_user(cursor: CursorWrapper, parts: str) -> None:
    """Also in a member's user, where its other accounts and other ids count, no two accounts of one source come
    together: the ids that would join them join nobody."""
    if not dialect.has_rows(cursor, f"{NODES} WHERE fixed AND NOT alone"):
        return
    definition = "(account_id bigint PRIMARY KEY, fixed_part bigint, source_id bigint, part bigint)"
    with dialect.temporary(cursor, "members_nodes", definition):
        # ``part``: of an account that would join; NULL for one that a member joined.
        cursor.execute(
            f"INSERT INTO members_nodes SELECT account_id, part, source_id, NULL FROM {NODES} WHERE fixed AND present "
            f"UNION SELECT n.account_id, g.fixed_part, n.source_id, g.part FROM ({parts}) g JOIN anchored_nodes a "
            f"ON a.part = g.part JOIN {NODES} n ON n.account_id = a.account_id "
            f"WHERE g.fixed_part IS NOT NULL AND n.present AND NOT n.pinned"
        )
        cursor.execute(
            "DELETE FROM anchored_nodes WHERE part IN (SELECT m.part FROM members_nodes m JOIN ("
            "SELECT fixed_part, source_id FROM members_nodes GROUP BY fixed_part, source_id HAVING COUNT(*) > 1) s "
            "ON s.fixed_part = m.fixed_part AND s.source_id = m.source_id WHERE m.part IS NOT NULL)"
        )
