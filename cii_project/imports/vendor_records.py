"""What a record of a vendor's export says by several of its columns together, or by none.

Each ``derive_…`` function gives field → value, for the fields that it decides, by the rule of the API kind of the same
vendor. Sources: AWS IAM credential report; Microsoft Graph ``user``, ``signInActivity`` and the portal's "Download users";
Google Directory API ``users``; Active Directory ``lastLogon`` and ``lastLogonTimestamp``; OneLogin API v2 ``users``.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from checks.services import SignIns, is_moment, yes_or_no

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

    def says_yes(self, column: str) -> bool:
        """Whether the column, which holds a boolean, says yes."""
        return yes_or_no(self._columns.get(fold_column(column))) is True

    def says_no(self, column: str) -> bool:
        """Whether the column, which holds a boolean, says no."""
        return yes_or_no(self._columns.get(fold_column(column))) is False

    def values(self, *columns: str) -> list[object]:
        """The values of those columns that the record has."""
        folded = map(fold_column, columns)
        return [self._columns[column] for column in folded if column in self._columns]


Derive = Callable[[VendorRecord], dict[str, object]]

UNKNOWN = "unknown"

# --- OneLogin ---------------------------------------------------------------------------------


def derive_onelogin_user(row: VendorRecord) -> dict[str, object]:
    """A user without a user name signs in by e-mail."""
    email = row.values("email")
    return (
        {"login": email[0]} if email and not row.text("username") and row.reads("login", "username") else {}
    )


# --- AWS ----------------------------------------------------------------------------------------------

AWS_SIGN_INS = ("password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date")
AWS_CREDENTIALS = ("password_enabled", "access_key_1_active", "access_key_2_active")
# AWS knows no earlier use of a password or a key.
_AWS_TRACKED_SINCE = "2014-10-20"
_AWS_ROOT = "<root_account>"


def derive_aws_user(row: VendorRecord) -> dict[str, object]:
    """IAM has no disabled users: one without a password and without an active key cannot sign in. A user without a
    password needs no MFA for the console: its absence says nothing."""
    found: dict[str, object] = {}
    if "status" not in row and (status := _aws_status(row)):
        found["status"] = status
    needs_no_mfa = row.says_no("password_enabled") and row.says_no("mfa_active")
    if needs_no_mfa and row.reads("mfa_enabled", "mfa_active"):
        found["mfa_enabled"] = UNKNOWN
    if row.reads("last_sign_in_at", *AWS_SIGN_INS) and (uses := row.values(*AWS_SIGN_INS)):
        last = row.sign_ins.latest(uses)
        is_older = "" < row.text("user_creation_time") < _AWS_TRACKED_SINCE
        found["last_sign_in_at"] = UNKNOWN if is_older and row.sign_ins.is_never(last) else last
    return found | _aws_root(row)


def _aws_status(row: VendorRecord) -> str:
    """ "" where the file lacks a column that decides it."""
    present = row.values(*AWS_CREDENTIALS)
    absent = [name for name in AWS_CREDENTIALS if row.says_no(name)]
    if len(absent) < len(present):
        return "active"
    return "disabled" if len(absent) == len(AWS_CREDENTIALS) else ""


def _aws_root(row: VendorRecord) -> dict[str, object]:
    """The root user's login with the number of its account: each account has one of the same name."""
    if row.text("user") != _AWS_ROOT or not row.reads("login", "user"):
        return {}
    account = (row.text("arn").split(":") + [""] * 5)[4]
    return {"login": f"root@{account}"} if account.isdigit() else {}


# --- Microsoft Entra ID -------------------------------------------------------------------------------

ENTRA_SUCCESSES = (
    "signInActivity.lastSuccessfulSignInDateTime",
    "lastSuccessfulSignInDateTime",
    "last successful sign in time",
)
ENTRA_ATTEMPTS = (
    "signInActivity.lastSignInDateTime",
    "lastSignInDateTime",
    "last interactive sign in time",
    "signInActivity.lastNonInteractiveSignInDateTime",
    "lastNonInteractiveSignInDateTime",
    "last non interactive sign in time",
)
# Of Graph, Get-MsolUser and the Microsoft 365 admin center, and Get-AzureADUser.
_ENTRA_DELETIONS = ("deletedDateTime", "soft deletion timestamp", "deletionTimestamp")
_ENTRA_GUEST_STATES = ("externalUserState", "invitationState", "userState")
# Field → the columns that are read together with its own; "": in any file.
ENTRA_COMBINED = {
    "last_sign_in_at": (*ENTRA_SUCCESSES, *ENTRA_ATTEMPTS),
    "status": _ENTRA_GUEST_STATES,
    "": (*_ENTRA_DELETIONS, "isSoftDeleted"),
}
# Graph has signInActivity since then: an older account without it may have signed in before.
_ENTRA_SIGN_INS_SINCE = "2020-05-01"


def derive_entra_user(row: VendorRecord) -> dict[str, object]:
    found: dict[str, object] = {}
    if row.reads("last_sign_in_at", *ENTRA_SUCCESSES, *ENTRA_ATTEMPTS):
        found |= _entra_sign_in(row)
    if row.reads("status", "accountEnabled", "block credential"):
        pending = (row.text(name) for name in _ENTRA_GUEST_STATES)
        if _is_enabled(row) and any(_is_pending(state) for state in pending):
            found["status"] = "staged"
    if row.says_yes("isSoftDeleted") or any(map(is_moment, row.values(*_ENTRA_DELETIONS))):
        found["status"] = "deleted"
    return found


def _is_enabled(row: VendorRecord) -> bool:
    if row.reads("status", "accountEnabled"):
        return row.says_yes("accountEnabled")
    return row.says_no("block credential")


def _is_pending(state: str) -> bool:
    return fold_column(state) == "pendingacceptance"


def _entra_sign_in(row: VendorRecord) -> dict[str, object]:
    """The last success, else the last attempt: successes are known since December 2023 only."""
    successes, attempts = row.values(*ENTRA_SUCCESSES), row.values(*ENTRA_ATTEMPTS)
    if successes and row.sign_ins.is_decided(success := row.sign_ins.latest(successes)):
        return {"last_sign_in_at": success}
    if successes or attempts:
        return {"last_sign_in_at": row.sign_ins.latest([*successes, *attempts])}
    is_younger = row.text("createdDateTime") >= _ENTRA_SIGN_INS_SINCE
    return {"last_sign_in_at": None if is_younger else UNKNOWN}


# --- Google Workspace, Active Directory ---------------------------------------------------------------


def derive_google_user(row: VendorRecord) -> dict[str, object]:
    """A user who never activated the account is shown as suspended; an archived one cannot sign in."""
    if row.reads("status", "suspended") and row.says_yes("suspended"):
        never_activated = fold_column(row.text("suspensionReason")) == "webloginrequired"
        return {"status": "staged"} if never_activated else {}
    is_decided = "status" in row and not row.reads("status", "status", "suspended")
    if is_decided or not row.says_yes("archived") or row.text("status") == "suspended":
        return {}
    return {"status": "disabled"}


_AD_REPLICATED = ("LastLogonDate", "lastLogonTimestamp")
AD_SIGN_INS = (*_AD_REPLICATED, "lastLogon")


def derive_ad_user(row: VendorRecord) -> dict[str, object]:
    """The replicated time is up to 14 days late; ``lastLogon``, of one domain controller, may be later."""
    if not row.reads("last_sign_in_at", *_AD_REPLICATED) or not row.values(*_AD_REPLICATED):
        return {}
    return {"last_sign_in_at": row.sign_ins.latest(row.values(*AD_SIGN_INS))}
