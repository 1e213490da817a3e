"""Decides which accounts are one user, and why.

The answer is a function of the accounts as they are now, and of what members decided; the order of imports
does not matter. An import works it out again for the accounts whose keys changed and for all that share a key
or a user with them (``nodes.collect``), set-based, in the temporary table ``NODES``. So a join that later data
contradict is undone.

*Parts* are the accounts of one user to be; a part is named by the id of one of its accounts. They grow in this order:

1. what a member joined; an account that a member made a user of its own neither joins nor is joined;
2. immutable ids that several sources have (anchors.py, by_immutable_id.py), unless they would join two accounts of one source;
3. employee ids. An id that more than ``MOST_OF_ONE_SOURCE`` accounts of one source have, or accounts of one source
   whose names contradict, joins nobody, and neither do several ids of one part. The id of a non-human account is its
   owner's and counts only if a human account has both the id and the login. Ids that differ by leading zeros only are one
   if accounts of two sources have them with one address or login (leading_zeros.py);
4. e-mail addresses, humans and non-humans apart. A non-human account joins only by an address that agrees with its login
   or name;
5. logins.

A part with an employee id or made by a member is an *anchor*: by e-mail and login others join it, and it joins nobody.
By e-mail and login an account joins a part without an account of its own source; accounts that an immutable id
joined stay together. Where several fit, none is
joined and a suggestion is left for a member.

A user's id stays with the part of its *keeper*: the user's first account, those that are not deleted before the others, and
identity sources before HR. If an account of
the user changes its employee id and another account has the former one, the keeper is that other account.
"""


# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.by_email_and_login import join_anchored_by_email, join_by_email, join_by_login
from checks.importing.joining.by_employee_id import take_employee_ids
from checks.importing.joining.by_immutable_id import take_anchors
from checks.importing.joining.leading_zeros import equate_padded_ids
from checks.importing.joining.nodes import KEYS, NODES, REASONS, SUGGESTIONS, JoinReport
from checks.importing.joining.user_ids import assign_users, explain

OTHER_IMMUTABLE_ID = "An earlier account with this login has another immutable id."
RECYCLED_ID = "The account was created after the earlier account with this employee id was deleted."


def join_accounts(cursor: CursorWrapper) -> JoinReport:
    """Give every node its user: a stored user's id, or a new one, whose row facts.py writes.

    Run inside a transaction that holds :func:`checks.dialect.lock_accounts`, after ``nodes.collect``.
    """
    report = JoinReport()
    dialect.index_for_loops(cursor, NODES, *KEYS, "part")
    dialect.analyze(
        cursor, NODES, "source_id", *KEYS, "part", "old_user", "pinned", "present", "nhi", "source_key"
    )
    _take_pins(cursor)
    equate_padded_ids(cursor)
    _drop_owners_ids(cursor)
    _find_superseded(cursor)
    take_anchors(cursor)
    take_employee_ids(cursor, report)
    join_anchored_by_email(cursor)
    join_by_email(cursor)
    join_by_login(cursor)
    _suggest_earlier_accounts(cursor)
    assign_users(cursor)
    explain(cursor)
    return report


def _take_pins(cursor: CursorWrapper) -> None:
    if not dialect.has_rows(cursor, f"{NODES} WHERE pinned"):
        return
    cursor.execute(
        f"UPDATE {NODES} SET part = p.part, anchor = TRUE, fixed = TRUE, alone = p.number = 1 FROM ("
        f"SELECT old_user, MIN(account_id) AS part, COUNT(*) AS number FROM {NODES} WHERE pinned GROUP BY old_user) p "
        f"WHERE pinned AND {NODES}.old_user = p.old_user"
    )


def _drop_owners_ids(cursor: CursorWrapper) -> None:
    """Take the employee id from the nodes of non-human accounts, unless a human account has the same id and login: that
    is one account that two sources type differently."""
    owned = f"{NODES} WHERE nhi AND employee_key <> ''"
    if not dialect.has_rows(cursor, f"{owned}"):
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


def _find_superseded(cursor: CursorWrapper) -> None:
    """A deleted account whose employee id, address or login another immutable id has now, of another person: its user
    stays with it, and its employee id joins nobody."""
    if not dialect.has_rows(cursor, f"{NODES} WHERE source_key <> '' AND NOT present"):
        return
    with dialect.temporary(cursor, "superseded_nodes", "(account_id bigint PRIMARY KEY)"):
        for key in KEYS:
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
            [REASONS[key], doubt],
        )
