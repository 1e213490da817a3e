"""Columns of yes and no that stand for the status of an account, by their names.

The status words alone read ``true`` as active: right for a column called ``Enabled``, wrong for one called ``suspended``.
"""

from collections.abc import Mapping

from checks.services import NO, YES
from cii_project.imports.vendor_records import fold_column

# Status where the column says yes → its names. A no is active. Microsoft 365's "Block credential" is Entra's
# accountEnabled the other way round; nsAccountLock is 389 Directory Server's and FreeIPA's.
_WHERE_YES: Mapping[str, str] = {
    "suspended": "suspended|is suspended|blocked|is blocked|frozen|is frozen",
    "locked_out": "locked|is locked|locked out|account locked|account locked out|lockout",
    "disabled": "disabled|is disabled|account disabled|user disabled|login disabled|deactivated|is deactivated|inactive|is inactive"
    "|block credential|credential blocked|sign in blocked|block sign in|nsAccountLock|terminated|is terminated|archived|is archived",
    "deleted": "deleted|is deleted|soft deleted|is soft deleted",
}
# Status where the column says no → its names. A yes is active.
_WHERE_NO: Mapping[str, str] = {
    "disabled": "enabled|is enabled|account enabled|active|is active|active status",
}


def meanings_of_yes_no(yes: str, no: str) -> dict[str, str]:
    """Word → meaning, for each word for yes and for no."""
    return {**dict.fromkeys(YES, yes), **dict.fromkeys(NO, no)}


_MEANINGS = {
    **{
        fold_column(name): meanings_of_yes_no(status, "active")
        for status, line in _WHERE_YES.items()
        for name in line.split("|")
    },
    **{
        fold_column(name): meanings_of_yes_no("active", status)
        for status, line in _WHERE_NO.items()
        for name in line.split("|")
    },
}


def words_of_status_columns(columns: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(field, word, meaning) for the columns that are read as the status and answer a question. ``columns``: column →
    field."""
    return [
        ("status", word, meaning)
        for column, field in columns.items()
        if field == "status"
        for word, meaning in _MEANINGS.get(fold_column(column), {}).items()
    ]
