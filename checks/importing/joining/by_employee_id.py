"""Joins the accounts that have an employee id in common, unless the id is shared."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from itertools import groupby

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.nodes import NODES, REASONS, JoinReport
from checks.importing.names import contradict

MOST_OF_ONE_SOURCE = 3


def take_employee_ids(cursor: CursorWrapper, report: JoinReport) -> None:
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
    anchored = REASONS["anchor"]
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
        [REASONS["employee_key"]],
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
