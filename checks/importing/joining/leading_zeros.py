"""Takes employee ids of which a spreadsheet has dropped the leading zeros for those that they were."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.joining.nodes import FORMER_IDS, NODES

_NUMBERS = (
    "(account_id bigint PRIMARY KEY, value varchar(128), spelling varchar(128), source_id bigint, present boolean, "
    "email_key varchar(320), login_key varchar(320))"
)
# Trimming works on both databases; their regular expressions differ.
_IS_NUMBER = "employee_key <> '' AND ltrim(employee_key, '0123456789') = ''"
_VALUE = "ltrim(employee_key, '0')"


def equate_padded_ids(cursor: CursorWrapper) -> None:
    """Give the nodes of ``001001`` and ``1001`` one employee id, if accounts of two sources have both these ids and one
    address or login.

    The number alone says nothing: ids of different systems may have one value by chance. A source that has both spellings
    means two employees by them, so they stay apart.
    """
    if not dialect.has_rows(cursor, f"{NODES} WHERE employee_key LIKE '0%' AND {_IS_NUMBER}"):
        return
    with (
        dialect.temporary(cursor, "numeric_ids", _NUMBERS),
        dialect.temporary(cursor, "same_ids", "(spelling varchar(128) PRIMARY KEY, value varchar(128))"),
    ):
        cursor.execute(
            f"INSERT INTO numeric_ids SELECT account_id, {_VALUE}, employee_key, source_id, present, email_key, login_key "
            f"FROM {NODES} WHERE {_IS_NUMBER} AND NOT nhi AND NOT alone AND {_VALUE} IN (SELECT {_VALUE} FROM {NODES} "
            f"WHERE {_IS_NUMBER} GROUP BY {_VALUE} HAVING MIN(employee_key) <> MAX(employee_key))"
        )
        if not cursor.rowcount:
            return
        dialect.index(cursor, "numeric_ids", "value")
        _find_same_ids(cursor)
        _rename(cursor)


def _find_same_ids(cursor: CursorWrapper) -> None:
    for key in ("email_key", "login_key"):
        cursor.execute(
            f"INSERT INTO same_ids SELECT DISTINCT i.spelling, i.value FROM numeric_ids i JOIN ("
            f"SELECT value, {key} AS name FROM numeric_ids WHERE {key} <> '' GROUP BY value, {key} "
            f"HAVING MIN(spelling) <> MAX(spelling) AND MIN(source_id) <> MAX(source_id)) g "
            f"ON g.value = i.value AND g.name = i.{key} WHERE true ON CONFLICT DO NOTHING"
        )
    dialect.analyze(cursor, "same_ids")
    cursor.execute(
        "DELETE FROM same_ids WHERE value IN (SELECT i.value FROM numeric_ids i JOIN same_ids s ON s.spelling = i.spelling "
        "WHERE i.present GROUP BY i.value, i.source_id HAVING MIN(i.spelling) <> MAX(i.spelling))"
    )


def _rename(cursor: CursorWrapper) -> None:
    # One of the spellings, since the value without zeros may be an id of its own. Digits sort the same in each collation.
    renamed = (
        "SELECT s.spelling, g.chosen FROM same_ids s JOIN ("
        "SELECT value, MIN(spelling) AS chosen FROM same_ids GROUP BY value) g ON g.value = s.value"
    )
    for table in (NODES, FORMER_IDS):
        cursor.execute(
            f"UPDATE {table} SET employee_key = m.chosen FROM ({renamed}) m WHERE {table}.employee_key = m.spelling"
        )
    dialect.analyze(cursor, NODES, "employee_key")
