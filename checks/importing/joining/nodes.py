"""The accounts that an import joins, as rows of temporary tables: what joining reads and what it finds."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.models import JoinReason

NODES = "join_nodes"
FORMER_KEYS = "former_join_keys"
FORMER_IDS = "former_employee_ids"
KEEPERS = "user_keepers"
SUGGESTIONS = "found_suggestions"
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
HUMAN_TYPES = "('internal', 'guest', 'external')"
KEYS = ("login_key", "email_key", "employee_key")
ANCHORS = ("key_anchor", "source_anchor")
# The reason of a join by each key.
REASONS = {
    "anchor": JoinReason.SOURCE_KEY.value,
    "employee_key": JoinReason.EMPLOYEE_ID.value,
    "email_key": JoinReason.EMAIL.value,
    "login_key": JoinReason.LOGIN.value,
}
# Larger than any id of an account: a rank and an id in one number.
RANK = 10**15


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
    return f"({user_type} <> '' AND {user_type} NOT IN {HUMAN_TYPES})"


def node_columns(account: str, source: str, *, old_user: str, pinned: str, reason: str, kind: str) -> str:
    """The columns of a node out of the row ``account`` (a stored or a staged account), in the order of the table."""
    a = account
    return (
        f"{source}, {a}.source_key, {a}.key_anchor, {a}.source_anchor, {a}.login_key, {a}.email_key, {a}.employee_key, {a}.name_key, "
        f"{_is_non_human(a)}, COALESCE({a}.user_type, '') IN {HUMAN_TYPES}, "
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
    for key in (*KEYS, *ANCHORS):
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
    if not dialect.has_rows(cursor, "checks_account"):
        return
    shared = [(key, key) for key in KEYS] + _shared_anchors(cursor)
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
    for key in ANCHORS:
        if dialect.has_rows(cursor, f"checks_account a WHERE {dialect.given(f'a.{key}')}"):
            found += [(key, own) for own in ANCHORS]
    return found


def reason_of(node: str) -> str:
    """SQL: why an account belongs to its user."""
    return f"COALESCE({node}.reason, '{JoinReason.FIRST.value}')"
