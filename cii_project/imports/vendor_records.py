"""What a record of a vendor's export says by several of its columns together, or by none.

Each ``derive_…`` function gives field → value, for the fields that it decides. Sources: AWS IAM credential report
(docs.aws.amazon.com, "Get credential reports").
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from checks.services import SignIns

_MARK = re.compile(r"\[[^\]]*\]")
_NOISE = re.compile(r"[\W_]+")


@lru_cache(maxsize=8192)
def fold_column(name: str) -> str:
    """``Last Sign In [READ ONLY]`` and ``last_sign_in`` are one column."""
    return _NOISE.sub("", _MARK.sub("", name)).casefold()


def fields_by_column(columns: Mapping[str, str]) -> dict[str, str]:
    """Folded column → the field that it is read as."""
    return {fold_column(column): field for column, field in columns.items()}


class VendorRecord:
    """One record by the vendor's own columns. ``record``: by field, other columns by their names; ``fields``: folded
    column → field."""

    __slots__ = ("_columns", "_fields", "_record", "sign_ins")

    def __init__(self, record: Mapping[str, object], fields: Mapping[str, str], sign_ins: SignIns) -> None:
        self._record, self._fields, self.sign_ins = record, fields, sign_ins
        self._columns = {fold_column(name): value for name, value in record.items()}
        for column, field in fields.items():
            if field in record:
                self._columns[column] = record[field]

    def __contains__(self, field: str) -> bool:
        return field in self._record

    def reads(self, field: str, *columns: str) -> bool:
        """Whether the file's records have the field from one of these columns."""
        return any(self._fields.get(fold_column(column)) == field for column in columns)

    def text(self, column: str) -> str:
        """The value in lower case, without surrounding blanks; "" where there is none."""
        value = self._columns.get(fold_column(column))
        return "" if value is None else str(value).strip().casefold()

    def values(self, *columns: str) -> list[object]:
        """The values of those columns that the record has."""
        folded = map(fold_column, columns)
        return [self._columns[column] for column in folded if column in self._columns]


Derive = Callable[[VendorRecord], dict[str, object]]

_AWS_SIGN_INS = ("password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date")


def derive_aws_user(row: VendorRecord) -> dict[str, object]:
    """IAM has no disabled users: one without a password and without an active key cannot sign in. Its last sign-in is the
    latest use of the password and of the keys.
    """
    found: dict[str, object] = {}
    if "status" not in row:
        credentials = [
            row.text(name) for name in ("password_enabled", "access_key_1_active", "access_key_2_active")
        ]
        found["status"] = "disabled" if credentials == ["false"] * 3 else "active"
    if row.reads("last_sign_in_at", *_AWS_SIGN_INS) and (uses := row.values(*_AWS_SIGN_INS)):
        found["last_sign_in_at"] = row.sign_ins.latest(uses)
    return found


def derive_github_member(row: VendorRecord) -> dict[str, object]:
    """A listed user is a member; a suspended one is not."""
    return {} if "status" in row else {"status": "active"}
