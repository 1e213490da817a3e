"""Decides which accounts are one user, and why.

The answer is a function of the accounts as they are now, and of what members decided; the order of imports
does not matter. An import works it out again for the accounts whose keys changed and for all that share a key
or a user with them (:func:`collect`), set-based, in the temporary table ``NODES``. So a join that later data
contradict is undone.

*Parts* are the accounts of one user to be; a part is named by the id of one of its accounts. They grow in this order:

1. what a member joined; an account that a member made a user of its own neither joins nor is joined;
2. immutable ids that several sources have (anchors.py), unless they would join two accounts of one source;
3. employee ids. An id that more than ``MOST_OF_ONE_SOURCE`` accounts of one source have, or accounts of one source
   whose names contradict, joins nobody, and neither do several ids of one part. The id of a non-human account is its
   owner's and counts only if a human account has both the id and the login;
4. e-mail addresses, humans and non-humans apart. A non-human account joins only by an address that agrees with its login
   or name;
5. logins.

A part with an employee id or made by a member is an *anchor*: by e-mail and login others join it, and it joins nobody.
By e-mail and login an account joins a part without an account of its own source; accounts that an immutable id
joined stay together. Where several fit, none is
joined and a suggestion is left for a member.

A user's id stays with the part of its *keeper*: the user's first account, identity sources before HR. If an account of
the user changes its employee id and another account has the former one, the keeper is that other account.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.names import contradict
from checks.models import JoinReason

NODES = "join_nodes"
FORMER_KEYS = "former_join_keys"
FORMER_IDS = "former_employee_ids"
KEEPERS = "user_keepers"
SUGGESTIONS = "found_suggestions"
MOST_OF_ONE_SOURCE = 3
# Columns that decide which accounts are joined, and the fields that they are derived from. Only the status
# decides too.
DECIDING = {
    "source_key": ("source_key",),
    "key_anchor": ("source_key",),
    "source_anchor": ("source_anchor",),
    "login_key": ("login",),
    "email_key": ("email", "login"),
    "employee_key": ("employee_id",),
    "name_key": ("display_name", "first_name", "last_name"),
    "user_type": ("user_type",),
    "created_at": ("created_at",),
}
GONE = "('deleted', 'deprovisioned', 'disabled')"
_HUMAN_TYPES = "('internal', 'guest', 'external')"
_KEYS = ("login_key", "email_key", "employee_key")
_ANCHORS = ("key_anchor", "source_anchor")
_REASONS = {
    "anchor": JoinReason.SOURCE_KEY.value,
    "employee_key": JoinReason.EMPLOYEE_ID.value,
    "email_key": JoinReason.EMAIL.value,
    "login_key": JoinReason.LOGIN.value,
}
_AMBIGUOUS = -1
# Larger than any id of an account: a rank and an id in one number.
_RANK = 10**15

SEVERAL_HAVE_ADDRESS = "Several accounts of the source have this e-mail address, and neither login nor name tells which one it belongs to."
SEVERAL_FIT = "Several users fit."
SAME_SOURCE = "The user has an account of this source already."
OTHER_IMMUTABLE_ID = "An earlier account with this login has another immutable id."
RECYCLED_ID = "The account was created after the earlier account with this employee id was deleted."
WAS_EXCLUDED = "They were one user until now. That user is excluded from checks; this account no longer is."


@dataclass
class JoinReport:
    """The report of joining: counts, and the employee ids that join nobody."""

    crowded_ids: list[str] = field(default_factory=list)
    contradicting_ids: list[str] = field(default_factory=list)
    unjoined_accounts: int = 0
    separated: int = 0
    suggestions: int = 0
    dropped_exclusions: int = 0


def _is_non_human(account: str) -> str:
    """SQL: an account of unknown type counts as human."""
    user_type = f"COALESCE({account}.user_type, '')"
    return f"({user_type} <> '' AND {user_type} NOT IN {_HUMAN_TYPES})"


def node_columns(account: str, source: str, *, old_user: str, pinned: str, reason: str, kind: str) -> str:
    """The columns of a node out of the row ``account`` (a stored or a staged account), in the order of the table."""
    a = account
    return (
        f"{source}, {a}.source_key, {a}.key_anchor, {a}.source_anchor, {a}.login_key, {a}.email_key, {a}.employee_key, {a}.name_key, "
        f"{_is_non_human(a)}, COALESCE({a}.user_type, '') IN {_HUMAN_TYPES}, "
        f"COALESCE({a}.status, '') NOT IN {GONE}, COALESCE({a}.status, '') <> 'deleted', "
        f"{kind}, {a}.created_at, CASE WHEN {a}.status = 'deleted' THEN {a}.status_changed_at END, "
        f"{old_user}, {pinned}, {reason}"
    )


def _moment() -> str:
    return "timestamptz" if dialect.is_postgres() else "datetime"


@contextmanager
def joining_tables(cursor: CursorWrapper) -> Iterator[None]:
    """``place``: of a staged account that is not stored yet, else NULL. ``live``: could sign in or be employed;
    ``present``: not deleted. ``fixed``: in the part of a member's user. ``part``, ``reason``, ``user_id``: what joining
    finds."""
    definition = (
        "(account_id bigint PRIMARY KEY, place integer, step integer, source_id bigint, source_key varchar(255), "
        "key_anchor varchar(255) DEFAULT '', source_anchor varchar(255) DEFAULT '', "
        "login_key varchar(320), email_key varchar(320), employee_key varchar(128), name_key varchar(320), "
        "nhi boolean, human boolean, live boolean, present boolean, hr boolean, "
        f"created_at {_moment()}, deleted_at {_moment()}, old_user bigint, pinned boolean, old_reason varchar(16), "
        "id_key varchar(128) DEFAULT '', id_shared boolean DEFAULT FALSE, superseded boolean DEFAULT FALSE, id_recycled boolean DEFAULT FALSE, "
        "alone boolean DEFAULT FALSE, fixed boolean DEFAULT FALSE, anchor boolean DEFAULT FALSE, part bigint, reason varchar(16), user_id bigint)"
    )
    with (
        dialect.temporary(cursor, NODES, definition),
        dialect.temporary(
            cursor, FORMER_KEYS, "(kind varchar(16), name varchar(320), PRIMARY KEY (kind, name))"
        ),
        dialect.temporary(cursor, FORMER_IDS, "(account_id bigint PRIMARY KEY, employee_key varchar(128))"),
        dialect.temporary(cursor, KEEPERS, "(old_user bigint PRIMARY KEY, account_id bigint)"),
        dialect.temporary(
            cursor,
            SUGGESTIONS,
            "(account_id bigint, part bigint, reason varchar(16), doubt varchar(255), "
            "PRIMARY KEY (account_id, part))",
        ),
    ):
        yield


INSERT_NODES = (
    f"INSERT INTO {NODES} (account_id, part, place, step, source_id, source_key, key_anchor, source_anchor, login_key, email_key, employee_key, "
    f"name_key, nhi, human, live, present, hr, created_at, deleted_at, old_user, pinned, old_reason) "
)


def stored_nodes(step: int) -> str:
    """A select of nodes out of ``checks_account a JOIN checks_source s``; what follows FROM is to be added."""
    columns = node_columns(
        "a",
        "a.source_id",
        old_user="a.user_id",
        pinned="a.join_reason = 'member' AND a.user_id IS NOT NULL",
        reason="a.join_reason",
        kind="s.kind = 'hr'",
    )
    return f"SELECT a.id, a.id, NULL, {step}, {columns}"


def remember_keys(cursor: CursorWrapper, accounts: str) -> None:
    """Keep the keys that the accounts of a condition on ``checks_account`` (a) have before they change."""
    for key in (*_KEYS, *_ANCHORS):
        cursor.execute(
            f"INSERT INTO {FORMER_KEYS} SELECT DISTINCT '{key}', a.{key} FROM {accounts} "
            f"AND {dialect.given(f'a.{key}')} ON CONFLICT DO NOTHING"
        )


def remember_employee_ids(cursor: CursorWrapper, changes: str) -> None:
    """Keep the usable employee ids that are about to change to another one.

    ``changes``: records (s) and their stored accounts (a). If both have the same immutable id, it is the same account,
    and its former id is not kept. Neither is that of a non-human account, which is its owner's, unless a human account
    of its user has the id.
    """
    cursor.execute(
        f"INSERT INTO {FORMER_IDS} SELECT a.id, a.employee_key FROM {changes} WHERE a.employee_key <> '' "
        f"AND s.employee_key <> '' AND s.employee_key <> a.employee_key AND NOT a.employee_id_shared "
        f"AND NOT (s.source_key <> '' AND s.source_key = a.source_key) AND (NOT {_is_non_human('a')} OR EXISTS ("
        f"SELECT 1 FROM checks_account b WHERE b.user_id = a.user_id AND b.employee_key = a.employee_key "
        f"AND NOT {_is_non_human('b')}))"
    )


def add_accounts(cursor: CursorWrapper, ids: Iterable[int]) -> None:
    """Make nodes of more accounts, before :func:`collect`; the rest of their columns is read then."""
    cursor.executemany(
        f"INSERT INTO {NODES} (account_id) VALUES (%s) ON CONFLICT DO NOTHING", [(pk,) for pk in ids]
    )


def collect(cursor: CursorWrapper) -> None:
    """Complete ``NODES`` by the stored accounts that share a key or a user with a node, directly or through others."""
    cursor.execute("SELECT 1 FROM checks_account LIMIT 1")
    if not cursor.fetchone():
        return
    shared = [(key, key) for key in _KEYS] + _shared_anchors(cursor)
    step = 0
    while True:
        dialect.analyze(cursor, NODES)
        found = 0
        # CROSS JOIN makes SQLite go from the node to the accounts, by their index (sqlite.org/optoverview.html, 8.2).
        froms = [
            f"{NODES} n CROSS JOIN checks_account a JOIN checks_source s ON s.id = a.source_id "
            f"WHERE a.{key} = n.{own} AND {dialect.given(f'a.{key}')} AND n.step = {step} "
            f"AND NOT EXISTS (SELECT 1 FROM {NODES} o WHERE o.account_id = a.id)"
            for key, own in shared
        ]
        froms.append(
            f"(SELECT DISTINCT old_user FROM {NODES} WHERE step = {step} AND old_user IS NOT NULL) n "
            f"CROSS JOIN checks_account a JOIN checks_source s ON s.id = a.source_id WHERE a.user_id = n.old_user "
            f"AND NOT EXISTS (SELECT 1 FROM {NODES} o WHERE o.account_id = a.id)"
        )
        if step == 0:
            froms += [
                f"{FORMER_KEYS} n CROSS JOIN checks_account a JOIN checks_source s ON s.id = a.source_id "
                f"WHERE n.kind = '{own}' AND a.{key} = n.name AND {dialect.given(f'a.{key}')}"
                for key, own in shared
            ]
        for each in froms:
            cursor.execute(f"{INSERT_NODES}{stored_nodes(step + 1)} FROM {each} ON CONFLICT DO NOTHING")
            found += cursor.rowcount
        if not found:
            return
        step += 1


def _shared_anchors(cursor: CursorWrapper) -> list[tuple[str, str]]:
    """The pairs of a stored account's and a node's column that may hold the same immutable id. Most installations
    have none in one of them: each pair costs a look-up per node."""
    found = []
    for key in _ANCHORS:
        cursor.execute(f"SELECT 1 FROM checks_account a WHERE {dialect.given(f'a.{key}')} LIMIT 1")
        if cursor.fetchone():
            found += [(key, own) for own in _ANCHORS]
    return found


def join_accounts(cursor: CursorWrapper) -> JoinReport:
    """Give every node its user: a stored user's id, or a new one, whose row facts.py writes.

    Run inside a transaction that holds :func:`checks.dialect.lock_accounts`, after :func:`collect`.
    """
    report = JoinReport()
    dialect.index_for_loops(cursor, NODES, *_KEYS, "part")
    dialect.analyze(
        cursor, NODES, "source_id", *_KEYS, "part", "old_user", "pinned", "present", "nhi", "source_key"
    )
    _take_pins(cursor)
    _drop_owners_ids(cursor)
    _find_superseded(cursor)
    _take_anchors(cursor)
    _take_employee_ids(cursor, report)
    _join_anchored_by_email(cursor)
    _join_by_email(cursor)
    _join_by_login(cursor)
    _suggest_earlier_accounts(cursor)
    _assign_users(cursor)
    _explain(cursor)
    return report


# --- Members' decisions ---------------------------------------------------------------------------


def _take_pins(cursor: CursorWrapper) -> None:
    cursor.execute(f"SELECT 1 FROM {NODES} WHERE pinned LIMIT 1")
    if not cursor.fetchone():
        return
    cursor.execute(
        f"UPDATE {NODES} SET part = p.part, anchor = TRUE, fixed = TRUE, alone = p.number = 1 FROM ("
        f"SELECT old_user, MIN(account_id) AS part, COUNT(*) AS number FROM {NODES} WHERE pinned GROUP BY old_user) p "
        f"WHERE pinned AND {NODES}.old_user = p.old_user"
    )


# --- Accounts that have an owner ------------------------------------------------------------------


def _drop_owners_ids(cursor: CursorWrapper) -> None:
    """Take the employee id from the nodes of non-human accounts, unless a human account has the same id and login: that
    is one account that two sources type differently."""
    owned = f"{NODES} WHERE nhi AND employee_key <> ''"
    cursor.execute(f"SELECT 1 FROM {owned} LIMIT 1")
    if not cursor.fetchone():
        return
    definition = "(login_key varchar(320), employee_key varchar(128), PRIMARY KEY (login_key, employee_key))"
    with dialect.temporary(cursor, "human_logins", definition):
        cursor.execute(
            f"INSERT INTO human_logins SELECT DISTINCT login_key, employee_key FROM {NODES} WHERE NOT nhi AND NOT alone "
            f"AND employee_key <> '' AND login_key IN (SELECT login_key FROM {owned})"
        )
        dialect.analyze(cursor, "human_logins")
        cursor.execute(
            f"UPDATE {NODES} SET employee_key = '' WHERE nhi AND employee_key <> '' AND NOT EXISTS ("
            f"SELECT 1 FROM human_logins h WHERE h.login_key = {NODES}.login_key "
            f"AND h.employee_key = {NODES}.employee_key)"
        )
    dialect.analyze(cursor, NODES, "employee_key")


# --- Recycled accounts ----------------------------------------------------------------------------


def _find_superseded(cursor: CursorWrapper) -> None:
    """A deleted account whose employee id, address or login another immutable id has now, of another person: its user
    stays with it, and its employee id joins nobody."""
    cursor.execute(f"SELECT 1 FROM {NODES} WHERE source_key <> '' AND NOT present LIMIT 1")
    if not cursor.fetchone():
        return
    with dialect.temporary(cursor, "superseded_nodes", "(account_id bigint PRIMARY KEY)"):
        for key in _KEYS:
            pairs = (
                f"SELECT DISTINCT d.account_id FROM {NODES} d JOIN {NODES} n ON n.{key} = d.{key} "
                f"AND n.source_id = d.source_id WHERE d.{key} <> '' AND NOT d.present AND n.present "
                f"AND d.source_key <> '' AND n.source_key <> '' AND d.source_key <> n.source_key AND "
                f"((d.employee_key <> '' AND n.employee_key <> '' AND d.employee_key <> n.employee_key) "
                f"OR n.created_at > d.deleted_at)"
            )
            cursor.execute(f"INSERT INTO superseded_nodes {pairs} ON CONFLICT DO NOTHING")
            if key == "employee_key":
                cursor.execute(f"UPDATE {NODES} SET id_recycled = TRUE WHERE account_id IN ({pairs})")
        cursor.execute(
            f"UPDATE {NODES} SET superseded = TRUE WHERE NOT pinned "
            f"AND account_id IN (SELECT account_id FROM superseded_nodes)"
        )


# --- Immutable ids of several sources -------------------------------------------------------------


def _take_anchors(cursor: CursorWrapper) -> None:
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
            for key in _ANCHORS
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
        [_REASONS["anchor"]],
    )


def _part_within_a_members_user(cursor: CursorWrapper, parts: str) -> None:
    """Also in a member's user, where its other accounts and other ids count, no two accounts of one source come
    together: the ids that would join them join nobody."""
    cursor.execute(f"SELECT 1 FROM {NODES} WHERE fixed AND NOT alone LIMIT 1")
    if not cursor.fetchone():
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


# --- Employee ids ---------------------------------------------------------------------------------


def _take_employee_ids(cursor: CursorWrapper, report: JoinReport) -> None:
    with dialect.temporary(cursor, "unusable_ids", "(employee_key varchar(128) PRIMARY KEY)"):
        shared = f"FROM {NODES} WHERE employee_key <> '' AND present AND NOT pinned GROUP BY employee_key, source_id"
        cursor.execute(f"SELECT DISTINCT employee_key {shared} HAVING COUNT(*) > {MOST_OF_ONE_SOURCE}")
        crowded = {key for (key,) in cursor.fetchall()}
        contradicting = _contradicting_ids(cursor, shared) - crowded
        report.crowded_ids, report.contradicting_ids = sorted(crowded), sorted(contradicting)
        cursor.executemany(
            "INSERT INTO unusable_ids VALUES (%s)", [(key,) for key in sorted(crowded | contradicting)]
        )
        cursor.execute(
            f"UPDATE {NODES} SET id_shared = TRUE WHERE employee_key IN (SELECT employee_key FROM unusable_ids)"
        )
        report.unjoined_accounts = cursor.rowcount
    cursor.execute(
        f"UPDATE {NODES} SET id_shared = TRUE WHERE NOT pinned AND NOT id_shared AND employee_key <> '' AND part IN ("
        f"SELECT part FROM {NODES} WHERE reason IS NOT NULL AND employee_key <> '' AND NOT id_shared "
        f"AND NOT id_recycled GROUP BY part HAVING MIN(employee_key) <> MAX(employee_key))"
    )
    report.unjoined_accounts += cursor.rowcount
    cursor.execute(
        f"UPDATE {NODES} SET id_key = employee_key, anchor = TRUE "
        f"WHERE employee_key <> '' AND NOT id_shared AND NOT alone AND NOT id_recycled"
    )
    # The accounts of a part that an immutable id joined have the employee id of one of them.
    anchored = _REASONS["anchor"]
    cursor.execute(
        f"UPDATE {NODES} SET id_key = m.id_key, anchor = TRUE FROM (SELECT part, MIN(id_key) AS id_key FROM {NODES} "
        f"WHERE reason = %s AND id_key <> '' GROUP BY part) m "
        f"WHERE m.part = {NODES}.part AND {NODES}.reason = %s AND {NODES}.id_key = ''",
        [anchored, anchored],
    )
    # The statistics still say that every key is empty and nothing an anchor: each node would be compared with each.
    dialect.analyze(cursor, NODES, "id_key", "anchor")
    # A key that one member's user has joins it; one that several have joins the accounts that nobody decided about.
    cursor.execute(
        f"UPDATE {NODES} SET part = k.part, reason = COALESCE({NODES}.reason, %s) FROM (SELECT id_key, "
        f"CASE WHEN MIN(CASE WHEN fixed THEN part END) = MAX(CASE WHEN fixed THEN part END) "
        f"THEN MIN(CASE WHEN fixed THEN part END) ELSE MIN(CASE WHEN NOT fixed THEN account_id END) END AS part "
        f"FROM {NODES} WHERE id_key <> '' GROUP BY id_key HAVING COUNT(*) > 1) k "
        f"WHERE {NODES}.id_key = k.id_key AND NOT {NODES}.fixed",
        [_REASONS["employee_key"]],
    )
    cursor.execute(f"UPDATE {NODES} SET anchor = TRUE WHERE fixed AND NOT anchor")


def _contradicting_ids(cursor: CursorWrapper, shared: str) -> set[str]:
    cursor.execute(
        f"SELECT n.employee_key, n.source_id, n.name_key FROM {NODES} n JOIN (SELECT employee_key, source_id {shared} "
        f"HAVING COUNT(*) BETWEEN 2 AND {MOST_OF_ONE_SOURCE} AND MIN(NULLIF(name_key, '')) <> MAX(NULLIF(name_key, ''))) k "
        f"ON k.employee_key = n.employee_key AND k.source_id = n.source_id "
        f"WHERE n.present AND NOT n.pinned ORDER BY n.employee_key, n.source_id"
    )
    rows: list[tuple[str, int, str]] = cursor.fetchall()
    return {
        employee
        for (employee, _), group in groupby(rows, key=lambda row: row[:2])
        if contradict([name for _, _, name in group])
    }


# --- E-mail and login -----------------------------------------------------------------------------


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


def _join_anchored_by_email(cursor: CursorWrapper) -> None:
    """Parts that an immutable id joined and that have no employee id join, as a whole, the one part with an employee id
    that has an address of theirs; else parts that have the same first address join each other."""
    free = f"reason = '{_REASONS['anchor']}' AND NOT anchor AND email_key <> ''"
    cursor.execute(f"SELECT 1 FROM {NODES} WHERE {free} LIMIT 1")
    if not cursor.fetchone():
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
        _join_pairs(cursor, _REASONS["email_key"])


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
        f"n.anchor OR COALESCE(n.reason, '') = '{_REASONS['anchor']}' AS anchor FROM {NODES} n JOIN ("
        f"SELECT email_key, nhi FROM {NODES} WHERE email_key <> '' AND NOT alone "
        f"GROUP BY email_key, nhi HAVING MIN(part) <> MAX(part)) e "
        f"ON e.email_key = n.email_key AND e.nhi = n.nhi WHERE NOT n.alone) g WHERE agrees OR NOT nhi"
    )
    if not cursor.rowcount:
        return False
    dialect.index(cursor, "named_nodes", "name")
    _find_holders(cursor)
    return True


def _join_by_email(cursor: CursorWrapper) -> None:
    with dialect.temporary(cursor, "named_nodes", _NAMED):
        if _name_by_email(cursor):
            _join_named(cursor, _REASONS["email_key"])


def _join_by_login(cursor: CursorWrapper) -> None:
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
        _join_named(cursor, _REASONS["login_key"])


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


PAIRS = "part_pairs"
_PAIRS = "(account_id bigint, own bigint, source_id bigint, target bigint, preferred boolean)"


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
        _join_pairs(cursor, _REASONS["login_key"])


def _join_pairs(cursor: CursorWrapper, reason: str) -> None:
    """Join whole parts (``own``) with the one part that ``PAIRS`` names for them, of several the preferred one. No
    two accounts of one source come together; where they would, and where several fit, a suggestion is left."""
    cursor.execute(f"SELECT 1 FROM {PAIRS} LIMIT 1")
    if not cursor.fetchone():
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


def _suggest_earlier_accounts(cursor: CursorWrapper) -> None:
    """An account that has an earlier account's login or employee id under another immutable id may be the same
    person's."""
    for key, doubt, condition in (
        ("login_key", OTHER_IMMUTABLE_ID, "NOT d.superseded"),
        ("employee_key", RECYCLED_ID, "d.id_recycled AND n.id_key <> ''"),
    ):
        cursor.execute(
            f"INSERT INTO {SUGGESTIONS} SELECT DISTINCT n.account_id, d.part, %s, %s FROM {NODES} d JOIN {NODES} n "
            f"ON n.{key} = d.{key} AND n.source_id = d.source_id WHERE d.{key} <> '' AND {condition} "
            f"AND d.account_id <> n.account_id AND NOT d.present AND n.present AND d.part <> n.part "
            f"AND d.source_key <> n.source_key AND d.source_key <> '' AND NOT n.alone AND NOT d.alone "
            f"ON CONFLICT DO NOTHING",
            [_REASONS[key], doubt],
        )


# --- Users ----------------------------------------------------------------------------------------


def _find_keepers(cursor: CursorWrapper) -> None:
    """Fill ``KEEPERS``: the account whose part keeps the user, for each user that the nodes had before."""
    cursor.execute(
        f"INSERT INTO {KEEPERS} SELECT old_user, MIN(((CASE WHEN pinned "
        f"THEN 0 ELSE 4 END) + (CASE WHEN superseded THEN 0 ELSE 2 END) + (CASE WHEN hr THEN 1 ELSE 0 END)) "
        f"* {_RANK} + account_id) % {_RANK} FROM {NODES} WHERE old_user IS NOT NULL GROUP BY old_user"
    )
    # A user whose account changed its employee id stays with the former id, if another account has it: the login may have
    # passed to a new employee. If nobody has it, the id was corrected.
    cursor.execute(f"SELECT 1 FROM {FORMER_IDS} LIMIT 1")
    if not cursor.fetchone():
        return
    cursor.execute(
        f"UPDATE {KEEPERS} SET account_id = h.account_id FROM (SELECT n.old_user, MIN("
        f"(CASE WHEN h.old_user = n.old_user THEN 0 ELSE 1 END) * {_RANK} + h.account_id) % {_RANK} AS account_id "
        f"FROM {FORMER_IDS} f JOIN {NODES} n ON n.account_id = f.account_id JOIN {NODES} h ON h.id_key = f.employee_key "
        f"WHERE n.old_user IS NOT NULL AND n.old_user NOT IN (SELECT old_user FROM {NODES} WHERE pinned) "
        f"GROUP BY n.old_user) h WHERE h.old_user = {KEEPERS}.old_user"
    )


def _assign_users(cursor: CursorWrapper) -> None:
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


def _explain(cursor: CursorWrapper) -> None:
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
        f"SELECT MIN((CASE WHEN old_user = user_id THEN 0 ELSE 2 END + CASE WHEN hr THEN 1 ELSE 0 END) * {_RANK} "
        f"+ account_id) %% {_RANK} FROM {NODES} "
        f"WHERE user_id IN (SELECT user_id FROM {NODES} WHERE reason IS NOT NULL) GROUP BY user_id)",
        [first],
    )
    cursor.execute(f"UPDATE {NODES} SET reason = old_reason WHERE pinned")


def reason_of(node: str) -> str:
    """SQL: why an account belongs to its user."""
    return f"COALESCE({node}.reason, '{JoinReason.FIRST.value}')"
