"""Joins accounts by e-mail address, then by login; leaves a suggestion where several users fit."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.nodes import NODES, REASONS, SUGGESTIONS

_AMBIGUOUS = -1
PAIRS = "part_pairs"
_PAIRS = "(account_id bigint, own bigint, source_id bigint, target bigint, preferred boolean)"
SEVERAL_HAVE_ADDRESS = "Several accounts of the source have this e-mail address, and neither login nor name tells which one it belongs to."
SEVERAL_FIT = "Several users fit."
SAME_SOURCE = "The user has an account of this source already."

# ``preferred``: of several users with the name others join the one that has such an account.
_NAMED = (
    "(account_id bigint PRIMARY KEY, name varchar(340), source_id bigint, part bigint, anchor boolean, live boolean, "
    "preferred boolean, agrees boolean, holds boolean)"
)
# The part of the address before the @, and the login's.
_LOCAL = "substr({0}, 1, CASE WHEN {1} > 0 THEN {1} - 1 ELSE 320 END)"


def _agrees() -> str:
    """SQL: the login or the name of node n agrees with its address."""
    local = _LOCAL.format("n.email_key", dialect.position("n.email_key", "'@'"))
    login = _LOCAL.format("n.login_key", dialect.position("n.login_key", "'@'"))
    spelled = f"replace(replace(replace({local}, '.', ' '), '_', ' '), '-', ' ')"
    turned = "n.name_key"
    return f"({login} = {local} OR {spelled} = {turned} OR replace({spelled}, ' ', '') = replace({turned}, ' ', ''))"


def join_anchored_by_email(cursor: CursorWrapper) -> None:
    """Parts that an immutable id joined and that have no employee id join, as a whole, the one part with an employee id
    that has an address of theirs; else parts that have the same first address join each other."""
    free = f"reason = '{REASONS['anchor']}' AND NOT anchor AND email_key <> ''"
    if not dialect.has_rows(cursor, f"{NODES} WHERE {free}"):
        return
    with (
        dialect.temporary(cursor, "named_nodes", _NAMED),
        dialect.temporary(
            cursor,
            "free_nodes",
            "(account_id bigint PRIMARY KEY, own bigint, source_id bigint, name varchar(340))",
        ),
        dialect.temporary(cursor, "free_parts", "(own bigint PRIMARY KEY, name varchar(340))"),
        dialect.temporary(cursor, PAIRS, _PAIRS),
    ):
        if not _name_by_email(cursor):
            return
        cursor.execute(
            f"INSERT INTO free_nodes SELECT account_id, part, source_id, name FROM named_nodes WHERE holds "
            f"AND account_id IN (SELECT account_id FROM {NODES} WHERE {free})"
        )
        cursor.execute("INSERT INTO free_parts SELECT own, MIN(name) FROM free_nodes GROUP BY own")
        dialect.analyze(cursor, "free_nodes")
        dialect.analyze(cursor, "free_parts")
        cursor.execute(
            f"INSERT INTO {PAIRS} SELECT f.account_id, f.own, f.source_id, k.part, k.preferred FROM free_nodes f "
            f"JOIN named_nodes k ON k.name = f.name WHERE k.holds AND k.account_id IN (SELECT account_id FROM {NODES} WHERE anchor)"
        )
        cursor.execute(
            f"INSERT INTO {PAIRS} SELECT n.account_id, f.own, n.source_id, g.low, TRUE FROM free_parts f JOIN ("
            f"SELECT name, MIN(own) AS low FROM free_parts WHERE own NOT IN (SELECT own FROM {PAIRS}) "
            f"AND name NOT IN (SELECT s.name FROM free_parts s JOIN {NODES} o ON o.part = s.own "
            f"GROUP BY s.name, o.source_id HAVING COUNT(DISTINCT s.own) > 1) "
            f"GROUP BY name HAVING COUNT(*) > 1) g ON g.name = f.name "
            f"JOIN free_nodes n ON n.own = f.own AND n.name = f.name "
            f"WHERE f.own <> g.low AND f.own NOT IN (SELECT own FROM {PAIRS})"
        )
        _join_pairs(cursor, REASONS["email_key"])


def _gives_way() -> str:
    """SQL: a gone account has lost its address to one of its source that is not gone. It keeps an address that agrees with
    it if no such account agrees."""
    one_of = "MAX(CASE WHEN {} THEN 1 ELSE 0 END) OVER (PARTITION BY email_key, nhi, source_id) = 1"
    return f"NOT live AND ({one_of.format('live AND agrees')} OR (NOT agrees AND {one_of.format('live')}))"


def _preferred() -> str:
    """SQL: not gone, or an account that agrees with the address, if all that do are gone: it is not the address of those
    that are not gone."""
    one_of = "MAX(CASE WHEN anchor AND {} THEN 1 ELSE 0 END) OVER (PARTITION BY email_key, nhi) = {}"
    return f"live OR (agrees AND {one_of.format('live', 1)} AND {one_of.format('live AND agrees', 0)})"


def _name_by_email(cursor: CursorWrapper) -> bool:
    """Fill ``named_nodes`` by address; whether several parts have one."""
    # The address of a non-human account often names its owner: it counts only if it agrees with the account.
    cursor.execute(
        f"INSERT INTO named_nodes SELECT account_id, email_key || CASE WHEN nhi THEN ' n' ELSE ' h' END "
        f"|| CASE WHEN {_gives_way()} THEN 'f' ELSE '' END, source_id, part, anchor, live, {_preferred()}, agrees, FALSE "
        f"FROM (SELECT n.account_id, n.email_key, n.nhi, n.source_id, n.part, n.live, {_agrees()} AS agrees, "
        f"n.anchor OR COALESCE(n.reason, '') = '{REASONS['anchor']}' AS anchor FROM {NODES} n JOIN ("
        f"SELECT email_key, nhi FROM {NODES} WHERE email_key <> '' AND NOT alone "
        f"GROUP BY email_key, nhi HAVING MIN(part) <> MAX(part)) e "
        f"ON e.email_key = n.email_key AND e.nhi = n.nhi WHERE NOT n.alone) g WHERE agrees OR NOT nhi"
    )
    if not cursor.rowcount:
        return False
    dialect.index(cursor, "named_nodes", "name")
    _find_holders(cursor)
    return True


def join_by_email(cursor: CursorWrapper) -> None:
    with dialect.temporary(cursor, "named_nodes", _NAMED):
        if _name_by_email(cursor):
            _join_named(cursor, REASONS["email_key"])


def join_by_login(cursor: CursorWrapper) -> None:
    _join_parts_by_login(cursor)
    with dialect.temporary(cursor, "named_nodes", _NAMED):
        # Accounts that found nobody by e-mail; the users that they may join count as anchors.
        cursor.execute(
            f"INSERT INTO named_nodes SELECT n.account_id, "
            f"n.login_key || CASE WHEN n.nhi AND l.humans THEN ' n' ELSE '' END "
            f"|| CASE WHEN NOT n.live AND MAX(CASE WHEN n.live THEN 1 ELSE 0 END) "
            f"OVER (PARTITION BY n.login_key, n.source_id) = 1 THEN 'f' ELSE '' END, "
            f"n.source_id, n.part, n.anchor OR n.reason IS NOT NULL OR n.account_id IN ("
            f"SELECT part FROM {NODES} WHERE part <> account_id), "
            f"n.live, n.live, FALSE, FALSE FROM {NODES} n JOIN ("
            f"SELECT login_key, MAX(CASE WHEN human THEN 1 ELSE 0 END) = 1 AS humans FROM {NODES} WHERE NOT alone "
            f"GROUP BY login_key HAVING MIN(part) <> MAX(part)) l ON l.login_key = n.login_key WHERE NOT n.alone"
        )
        if not cursor.rowcount:
            return
        dialect.index(cursor, "named_nodes", "name")
        _find_holders(cursor)
        _join_named(cursor, REASONS["login_key"])


def _find_holders(cursor: CursorWrapper) -> None:
    # If several parts of one source share a name, only the part that agrees with the name represents it.
    cursor.execute(
        "UPDATE named_nodes SET holds = TRUE FROM (SELECT name, source_id, MIN(part) AS low, MAX(part) AS high, "
        "MIN(CASE WHEN agrees THEN part END) AS low_agreeing, MAX(CASE WHEN agrees THEN part END) AS high_agreeing "
        "FROM named_nodes GROUP BY name, source_id) g WHERE g.name = named_nodes.name "
        "AND g.source_id = named_nodes.source_id "
        "AND (g.low = g.high OR (named_nodes.agrees AND g.low_agreeing = g.high_agreeing))"
    )


def _join_named(cursor: CursorWrapper, reason: str) -> None:
    """Join the nodes of ``named_nodes`` that have a name in common: those that are no anchors."""
    with (
        dialect.temporary(
            cursor, "named_parts", "(name varchar(340) PRIMARY KEY, target bigint, anchored boolean)"
        ),
        dialect.temporary(
            cursor, "claims", "(account_id bigint PRIMARY KEY, source_id bigint, part bigint, live boolean)"
        ),
    ):
        cursor.execute(
            f"INSERT INTO named_parts SELECT name, CASE WHEN anchor_low IS NULL THEN low "
            f"WHEN preferred_low = preferred_high THEN preferred_low WHEN preferred_low IS NULL AND anchor_low = anchor_high THEN anchor_low "
            f"ELSE {_AMBIGUOUS} END, anchor_low IS NOT NULL FROM (SELECT name, MIN(part) AS low, "
            f"MIN(CASE WHEN anchor THEN part END) AS anchor_low, MAX(CASE WHEN anchor THEN part END) AS anchor_high, "
            f"MIN(CASE WHEN anchor AND preferred THEN part END) AS preferred_low, "
            f"MAX(CASE WHEN anchor AND preferred THEN part END) AS preferred_high "
            f"FROM named_nodes WHERE holds GROUP BY name) g"
        )
        dialect.analyze(cursor, "named_parts")
        cursor.execute(
            f"INSERT INTO claims SELECT n.account_id, n.source_id, p.target, n.live FROM named_nodes n "
            f"JOIN named_parts p ON p.name = n.name WHERE n.holds AND NOT n.anchor AND p.target <> {_AMBIGUOUS} "
            f"AND n.part <> p.target"
        )
        dialect.analyze(cursor, "claims")
        _drop_claims_within_a_source(cursor, reason)
        cursor.execute(
            f"UPDATE {NODES} SET part = c.part, reason = %s FROM claims c WHERE c.account_id = {NODES}.account_id",
            [reason],
        )
        _suggest_rest(cursor, reason)


def _drop_claims_within_a_source(cursor: CursorWrapper, reason: str) -> None:
    """Accounts of one source never join each other by e-mail or login, also not through a third account."""
    with dialect.temporary(cursor, "dropped_claims", "(account_id bigint PRIMARY KEY, part bigint)"):
        cursor.execute(
            f"INSERT INTO dropped_claims SELECT DISTINCT c.account_id, c.part FROM claims c JOIN {NODES} n "
            f"ON n.part = c.part AND n.source_id = c.source_id"
        )
        # If several accounts of one source claim the part, the only one that is not gone keeps its claim.
        cursor.execute(
            "INSERT INTO dropped_claims SELECT c.account_id, c.part FROM claims c JOIN ("
            "SELECT part, source_id, COUNT(CASE WHEN live THEN 1 END) AS living FROM claims "
            "GROUP BY part, source_id HAVING COUNT(*) > 1) g ON g.part = c.part AND g.source_id = c.source_id "
            "WHERE NOT (c.live AND g.living = 1) ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            f"INSERT INTO {SUGGESTIONS} SELECT account_id, part, %s, %s FROM dropped_claims "
            f"WHERE true ON CONFLICT DO NOTHING",
            [reason, SAME_SOURCE],
        )
        cursor.execute("DELETE FROM claims WHERE account_id IN (SELECT account_id FROM dropped_claims)")


def _suggest_rest(cursor: CursorWrapper, reason: str) -> None:
    # Suggest the users that represent the address to the accounts that have it but do not represent it.
    cursor.execute(
        f"INSERT INTO {SUGGESTIONS} SELECT n.account_id, p.target, %s, %s FROM named_nodes n "
        f"JOIN named_parts p ON p.name = n.name JOIN {NODES} o ON o.account_id = n.account_id WHERE NOT n.holds "
        f"AND p.target <> {_AMBIGUOUS} AND o.part <> p.target "
        f"AND NOT (n.anchor AND p.anchored) ON CONFLICT DO NOTHING",
        [reason, SEVERAL_HAVE_ADDRESS],
    )
    # Accounts that fit several users.
    cursor.execute(
        f"INSERT INTO {SUGGESTIONS} SELECT DISTINCT n.account_id, k.part, %s, %s FROM named_nodes n "
        f"JOIN named_parts p ON p.name = n.name JOIN named_nodes k ON k.name = n.name AND k.anchor AND k.holds "
        f"WHERE n.holds AND NOT n.anchor AND p.target = {_AMBIGUOUS} AND k.part <> n.part ON CONFLICT DO NOTHING",
        [reason, SEVERAL_FIT],
    )


def _join_parts_by_login(cursor: CursorWrapper) -> None:
    """Parts without an employee id join the one anchor that has a login of theirs."""
    with dialect.temporary(cursor, PAIRS, _PAIRS):
        cursor.execute(
            f"INSERT INTO {PAIRS} SELECT n.account_id, n.part, n.source_id, k.part, k.live FROM ("
            f"SELECT login_key FROM {NODES} WHERE NOT alone GROUP BY login_key HAVING MIN(part) <> MAX(part)) l "
            f"JOIN {NODES} n ON n.login_key = l.login_key JOIN {NODES} k ON k.login_key = n.login_key "
            f"WHERE NOT n.alone AND NOT k.alone AND k.anchor AND k.source_id <> n.source_id AND k.part <> n.part "
            f"AND NOT (n.nhi AND k.human) AND NOT (n.human AND k.nhi) "
            f"AND n.part NOT IN (SELECT part FROM {NODES} WHERE anchor)"
        )
        _join_pairs(cursor, REASONS["login_key"])


def _join_pairs(cursor: CursorWrapper, reason: str) -> None:
    """Join whole parts (``own``) with the one part that ``PAIRS`` names for them, of several the preferred one. No
    two accounts of one source come together; where they would, and where several fit, a suggestion is left."""
    if not dialect.has_rows(cursor, f"{PAIRS}"):
        return
    with (
        dialect.temporary(cursor, "part_claims", "(own bigint PRIMARY KEY, target bigint)"),
        dialect.temporary(cursor, "clashing_parts", "(own bigint PRIMARY KEY)"),
    ):
        cursor.execute(
            f"INSERT INTO part_claims SELECT own, COALESCE(preferred_low, low) FROM (SELECT own, MIN(target) AS low, "
            f"MAX(target) AS high, MIN(CASE WHEN preferred THEN target END) AS preferred_low, "
            f"MAX(CASE WHEN preferred THEN target END) AS preferred_high FROM {PAIRS} GROUP BY own) g "
            f"WHERE preferred_low = preferred_high OR (preferred_low IS NULL AND low = high)"
        )
        dialect.index_for_loops(cursor, "part_claims", "target")
        cursor.execute(
            f"INSERT INTO {SUGGESTIONS} SELECT DISTINCT account_id, target, %s, %s FROM {PAIRS} "
            f"WHERE own NOT IN (SELECT own FROM part_claims) ON CONFLICT DO NOTHING",
            [reason, SEVERAL_FIT],
        )
        cursor.execute(
            f"INSERT INTO clashing_parts "
            f"SELECT c.own FROM part_claims c JOIN {NODES} n ON n.part = c.own JOIN {NODES} k ON k.part = c.target "
            f"AND k.source_id = n.source_id UNION "
            f"SELECT c.own FROM part_claims c JOIN part_claims d ON d.target = c.target AND d.own <> c.own "
            f"JOIN {NODES} n ON n.part = c.own JOIN {NODES} k ON k.part = d.own AND k.source_id = n.source_id"
        )
        cursor.execute(
            f"INSERT INTO {SUGGESTIONS} SELECT DISTINCT p.account_id, p.target, %s, %s FROM {PAIRS} p "
            f"JOIN clashing_parts c ON c.own = p.own WHERE true ON CONFLICT DO NOTHING",
            [reason, SAME_SOURCE],
        )
        cursor.execute("DELETE FROM part_claims WHERE own IN (SELECT own FROM clashing_parts)")
        cursor.execute(
            f"UPDATE {NODES} SET part = c.target, reason = COALESCE(reason, %s) FROM part_claims c "
            f"WHERE c.own = {NODES}.part",
            [reason],
        )
