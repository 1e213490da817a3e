"""The column names of the vendors' own exports, as data.

A layout is recognised by columns that only this export has together. Names are compared without case, blanks,
punctuation and marks such as ``[READ ONLY]``; a key of a nested JSON object is written ``profile.login``. Sources: Okta
Users API and Password Health report; Microsoft Entra "Download users", "User registration details" and Microsoft Graph
``user``, the Microsoft 365 admin center's "Export users", ``Get-MsolUser`` and ``Get-AzureADUser``; Google Workspace "Download users" and Directory API ``users``; Active Directory ``Get-ADUser | Export-Csv``;
AWS IAM credential report; Workday worker reports; BambooHR fields; GitHub member and dormant-user exports; OneLogin
API v2 ``users``; Duo users.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from checks.services import NOT_READ, RECORD_FIELDS
from cii_project.imports.status_columns import meanings_of_yes_no
from cii_project.imports.vendor_records import (
    AD_SIGN_INS,
    AWS_CREDENTIALS,
    AWS_SIGN_INS,
    ENTRA_ATTEMPTS,
    ENTRA_COMBINED,
    ENTRA_SUCCESSES,
    Derive,
    derive_ad_user,
    derive_aws_user,
    derive_entra_user,
    derive_google_user,
    derive_onelogin_user,
    fold_column,
)

__all__ = [
    "LAYOUTS",
    "VendorLayout",
    "field_of_columns",
    "fold_column",
    "is_employee_id",
    "layout_of",
    "own_names",
    "words_of_layout",
]


@dataclass(frozen=True, slots=True)
class VendorLayout:
    """One vendor's exports.

    ``columns``: field → the vendor's columns for it, the best first: the first one in the file is read.
    ``signatures``: columns that tell the export, all of one entry. ``words``: column → what its words mean, where that is
    particular to the column. ``provider``: as the contract names the vendor. ``derive``: field → value of a record, for
    what several columns say together or none. ``combined``: the columns that it takes besides those of the fields, by the field from whose own column
    they follow, "" for those that it takes from any file.
    ``lists_active``: the export lists active users, and has no column for the status.
    """

    slug: str
    label: str
    provider: str
    columns: Mapping[str, tuple[str, ...]]
    signatures: tuple[frozenset[str], ...]
    is_hr: bool = False
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    derive: Derive | None = None
    combined: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lists_active: bool = False

    def guesses(self, columns: Collection[str], stored: Mapping[str, str] | None = None) -> dict[str, str]:
        """Column of the file → field, besides those of ``stored``. A column serves one field: the first that wants it. An
        employee id that is the login is left to :func:`is_employee_id`."""
        folded = {fold_column(column): column for column in reversed(list(columns))}
        found = {column: name for column, name in (stored or {}).items() if column in columns}
        known = dict(found)
        claimed = set(found.values())
        for field_name, names in self.columns.items():
            candidates = [folded[name] for name in names if name in folded]
            is_shared = field_name == "employee_id" and found.get(next(iter(candidates), "")) == "login"
            if field_name in claimed or is_shared:
                continue
            column = next((name for name in candidates if name not in found), None)
            if column is not None:
                found[column] = field_name
        return {column: name for column, name in found.items() if column not in known}

    def combined_columns(self, columns: Mapping[str, str]) -> frozenset[str]:
        """The folded columns that are read together with others. ``columns``: column → field, for those that are read."""
        own = {name for column, name in columns.items() if fold_column(column) in self.columns.get(name, ())}
        return frozenset().union(*(each for name, each in self.combined.items() if not name or name in own))

    def login_column(self, columns: Collection[str]) -> str | None:
        """The file's best column for the login, even where it is read as another field too."""
        folded = {fold_column(column): column for column in reversed(list(columns))}
        return next((folded[name] for name in self.columns["login"] if name in folded), None)


def _layout(
    slug: str,
    label: str,
    columns: Mapping[str, str],
    signatures: tuple[str, ...],
    *,
    provider: str = "",
    is_hr: bool = False,
    words: Mapping[str, Mapping[str, str]] | None = None,
    derive: Derive | None = None,
    combined: Mapping[str, tuple[str, ...]] | None = None,
    lists_active: bool = False,
) -> VendorLayout:
    return VendorLayout(
        slug,
        label,
        provider or slug.upper(),
        {name: tuple(map(fold_column, line.split("|"))) for name, line in columns.items()},
        tuple(frozenset(map(fold_column, line.split("|"))) for line in signatures),
        is_hr,
        {fold_column(column): meanings for column, meanings in (words or {}).items()},
        derive,
        {name: frozenset(map(fold_column, each)) for name, each in (combined or {}).items()},
        lists_active,
    )


_ONELOGIN_STATUSES = {
    "0": "staged",
    "1": "active",
    "2": "suspended",
    "3": "locked_out",
    "4": "password_expired",
    "5": "recovery",
    "7": "provisioned",
    "8": "provisioned",
}
LAYOUTS: Mapping[str, VendorLayout] = {
    layout.slug: layout
    for layout in (
        _layout(
            "okta",
            "Okta",
            {
                "login": "profile.login|login|username|user name",
                "source_key": "id|user id|okta id|okta user id",
                "email": "profile.email|email|primary email|email address",
                "first_name": "profile.firstName|firstName",
                "last_name": "profile.lastName|lastName",
                "display_name": "profile.displayName|displayName|name|user",
                "employee_id": "profile.employeeNumber|employeeNumber|employee id",
                "department": "profile.department|department",
                "title": "profile.title|title",
                "company": "profile.organization|organization",
                "manager": "profile.managerId|managerId",
                "phone": "profile.mobilePhone|mobilePhone|primary phone|profile.primaryPhone",
                "locale": "profile.locale|locale",
                "user_type": "profile.userType|userType",
                "status": "status|okta status|user status",
                "created_at": "created|created date|creation date",
                "status_changed_at": "statusChanged|status changed",
                "password_changed_at": "passwordChanged|last password change|password changed",
                "last_sign_in_at": "lastLogin|last login date",
                "mfa_factors": "factors|enrolled factors|factor types|mfa factors|authenticators|enrolled authenticators",
                "admin_roles": "admin roles|roles|administrator roles",
                "groups": "groups",
            },
            (
                "profile.login|status",
                "login|status|lastLogin|passwordChanged",
                "login|status|statusChanged",
                "login|status|last login|last password change",
                "username|status|lastLogin|passwordChanged",
                "login|firstName|lastName|status|lastLogin",
            ),
        ),
        _layout(
            "entra",
            "Microsoft Entra ID",
            {
                "login": "userPrincipalName",
                "source_key": "id|objectId|object id|user object id",
                "source_anchor": "onPremisesImmutableId|immutableId|on-premises immutable id",
                "email": "mail",
                "first_name": "givenName|first name",
                "last_name": "surname|last name",
                "display_name": "displayName|userDisplayName",
                "employee_id": "employeeId",
                "department": "department",
                "title": "jobTitle|title",
                "company": "companyName",
                "phone": "mobile|mobilePhone|telephoneNumber|phone number",
                "locale": "preferredLanguage",
                "manager": "manager.userPrincipalName|manager|manager user principal name",
                "user_type": "userType",
                "status": "accountEnabled|account enabled|block credential",
                "created_at": "createdDateTime|creation time|created date time|when created",
                "password_changed_at": "lastPasswordChangeDateTime|last password change timestamp",
                "last_sign_in_at": "|".join((*ENTRA_SUCCESSES, *ENTRA_ATTEMPTS)),
                "mfa_enabled": "isMfaRegistered|mfa registered|multifactor authentication registered",
                "password_never_expires": "password never expires",
                "mfa_factors": "methodsRegistered|methods registered|authentication methods registered",
            },
            (
                "userPrincipalName|accountEnabled",
                "userPrincipalName|block credential",
                "userPrincipalName|objectId",
                "userPrincipalName|methodsRegistered",
                "userPrincipalName|isMfaRegistered",
                "userPrincipalName|id|userType",
                "userPrincipalName|createdDateTime",
                "userPrincipalName|id|displayName",
            ),
            derive=derive_entra_user,
            combined=ENTRA_COMBINED,
        ),
        _layout(
            "google",
            "Google Workspace",
            {
                "login": "primaryEmail|email address|email",
                "source_key": "id",
                "first_name": "name.givenName|first name",
                "last_name": "name.familyName|last name",
                "display_name": "name.fullName|fullName",
                "employee_id": "employee id",
                "department": "department",
                "title": "employee title|title",
                "manager": "manager email",
                "phone": "mobile phone|work phone",
                "user_type": "employee type",
                "status": "status|suspended",
                "created_at": "creationTime|creation date",
                "last_sign_in_at": "lastLoginTime|last sign in",
                "mfa_enabled": "isEnrolledIn2Sv|2sv enrolled",
            },
            (
                "email address|last sign in|status",
                "email address|2sv enrolled",
                "email address|org unit path|first name",
                "primaryEmail|lastLoginTime",
                "primaryEmail|name.familyName",
                "primaryEmail|suspended",
            ),
            derive=derive_google_user,
            combined={"status": ("suspensionReason",), "": ("archived",)},
        ),
        _layout(
            "ad",
            "Active Directory (PowerShell)",
            {
                "login": "SamAccountName",
                "source_key": "ObjectGUID",
                "source_anchor": "mS-DS-ConsistencyGuid",
                "email": "mail|EmailAddress",
                "first_name": "GivenName",
                "last_name": "Surname|sn",
                "display_name": "DisplayName|Name",
                "employee_id": "EmployeeID|EmployeeNumber",
                "department": "Department",
                "title": "Title",
                "company": "Company",
                "phone": "MobilePhone|mobile|OfficePhone|telephoneNumber",
                "manager": "Manager",
                "status": "Enabled|userAccountControl",
                "created_at": "whenCreated|Created|createTimeStamp",
                "password_changed_at": "PasswordLastSet|pwdLastSet",
                "last_sign_in_at": "LastLogonDate|lastLogonTimestamp",
                "password_never_expires": "PasswordNeverExpires",
                "failed_sign_ins": "BadLogonCount|badPwdCount",
                "groups": "MemberOf",
            },
            ("SamAccountName|ObjectGUID", "SamAccountName|DistinguishedName", "SamAccountName|Enabled"),
            provider="ACTIVE_DIRECTORY",
            derive=derive_ad_user,
            combined={"last_sign_in_at": AD_SIGN_INS},
        ),
        _layout(
            "aws",
            "AWS IAM",
            {
                "login": "user",
                "source_key": "arn",
                "created_at": "user_creation_time",
                "password_changed_at": "password_last_changed",
                "last_sign_in_at": "password_last_used",
                "mfa_enabled": "mfa_active",
                "user_type": "password_enabled",
            },
            ("user|arn|mfa_active", "user|password_enabled|mfa_active"),
            # A user without a password for the console is used by programs alone.
            words={
                "password_enabled": {
                    **meanings_of_yes_no("unknown", "service_account"),
                    "not_supported": "unknown",
                }
            },
            derive=derive_aws_user,
            lists_active=True,
            combined={"last_sign_in_at": AWS_SIGN_INS, "": AWS_CREDENTIALS},
        ),
        _layout(
            "workday",
            "Workday",
            {
                "login": "user name|workday account|email - work|work email|email - primary work|primary work email"
                "|email|employee id|worker id",
                "email": "email - work|work email|email - primary work|primary work email|email",
                "employee_id": "employee id|worker id|wid",
                "first_name": "first name|legal first name|legal name - first name|preferred first name",
                "last_name": "last name|legal last name|legal name - last name|preferred last name",
                "display_name": "worker|preferred name|legal name|full name|employee name",
                "department": "department|supervisory organization|cost center",
                "title": "business title|job title|position title|job profile",
                "company": "company",
                "phone": "phone - work|work phone|primary work phone",
                "manager": "manager id|manager employee id|manager - employee id|manager email|worker's manager id",
                "user_type": "worker type|employee type",
                "status": "worker status|employment status|employee status|active status|active|status",
                "created_at": "hire date|original hire date|most recent hire date|start date",
                "status_changed_at": "termination date|end employment date",
            },
            (
                "employee id|worker type",
                "employee id|business title",
                "employee id|supervisory organization",
                "employee id|worker status",
                "worker id|business title",
                "worker id|worker type",
                "worker id|worker status",
            ),
            is_hr=True,
        ),
        _layout(
            "bamboohr",
            "BambooHR",
            {
                "login": "work email|employee #|employee number",
                "email": "work email",
                "employee_id": "employee #|employee number",
                "first_name": "first name",
                "last_name": "last name|last name, first name",
                "display_name": "display name|full name|employee name|name",
                "department": "department|division",
                "title": "job title",
                "phone": "mobile phone|work phone",
                "manager": "supervisor eid|supervisor employee #|supervisor email|manager email",
                "status": "status|employment status|employment history status|employee status",
                "created_at": "hire date|original hire date",
                "status_changed_at": "termination date",
            },
            (
                "employee #|work email",
                "employee #|reporting to",
                "employee number|work email",
                "work email|supervisor email",
                "work email|reporting to",
                "work email|supervisor eid",
            ),
            is_hr=True,
        ),
        _layout(
            "github",
            "GitHub",
            {
                "login": "login|username|github com login",
                "source_key": "node_id|id",
                "display_name": "name|github com name",
                "email": "email|verified domain email|github com verified domain emails",
                "mfa_enabled": "two_factor_authentication|hasTwoFactorEnabled|two_factor_enabled|tfa_enabled|2fa_enabled"
                "|github com two factor auth",
                "last_sign_in_at": "last_active|last_activity",
                "created_at": "created_at|createdAt",
                "status": "suspended|suspended?",
                "user_type": "type|account type",
            },
            (
                "login|two_factor_enabled",
                "login|two_factor_authentication",
                "login|hasTwoFactorEnabled",
                "login|tfa_enabled",
                "login|2fa_enabled",
                "login|saml_name_id",
                "login|dormant?",
                # The licence report of an enterprise (docs.github.com, "License reports reference").
                "github com login|github com two factor auth",
            ),
            lists_active=True,
        ),
        _layout(
            "onelogin",
            "OneLogin",
            {
                "login": "username|email",
                "source_key": "id",
                "email": "email",
                "first_name": "firstname",
                "last_name": "lastname",
                "department": "department",
                "title": "title",
                "company": "company",
                "phone": "phone",
                "locale": "preferred_locale_code",
                "status": "status",
                "created_at": "created_at",
                "password_changed_at": "password_changed_at",
                "last_sign_in_at": "last_login",
                "failed_sign_ins": "invalid_login_attempts",
            },
            (
                "email|status|invalid_login_attempts",
                "username|status|invalid_login_attempts",
                "email|status|directory_id|external_id",
                "email|status|state|last_login|password_changed_at",
            ),
            words={"status": _ONELOGIN_STATUSES},
            derive=derive_onelogin_user,
        ),
        _layout(
            "duo",
            "Duo",
            {
                "login": "username",
                "source_key": "user_id",
                "email": "email|email address",
                "first_name": "firstname|first name",
                "last_name": "lastname|last name",
                "display_name": "realname|real name|full name|name",
                "status": "status",
                "last_sign_in_at": "last login|last_login|last authentication",
                "created_at": "created|enrolled on",
                "mfa_enabled": "is_enrolled|enrolled",
                "groups": "groups",
            },
            (
                "username|user_id|realname",
                "username|realname|status",
                "username|is_enrolled",
                "username|status|phones",
            ),
        ),
    )
}


def layout_of(columns: Collection[str]) -> VendorLayout | None:
    """The layout whose signature the columns have; if several match, the one that knows most columns."""
    folded = {fold_column(column) for column in columns}
    fitting = [one for one in LAYOUTS.values() if any(signature <= folded for signature in one.signatures)]
    return max(fitting, key=lambda one: len(one.guesses(columns)), default=None)


# Names of a worker's number that mean nothing else in any file.
_EMPLOYEE_IDS = frozenset(map(fold_column, ("employee id", "worker id", "employee number")))


def is_employee_id(column: str, layout: VendorLayout | None) -> bool:
    """Whether a column holds employee ids, whatever field it is read as."""
    folded = fold_column(column)
    return folded in _EMPLOYEE_IDS or (layout is not None and folded in layout.columns.get("employee_id", ()))


def own_names(columns: Collection[str]) -> dict[str, str]:
    """Column → the field of the same name, in any case."""
    by_name = {fold_column(name): name for name in RECORD_FIELDS}
    return {column: by_name[fold_column(column)] for column in columns if fold_column(column) in by_name}


def field_of_columns(columns: Collection[str], stored: Mapping[str, str]) -> dict[str, str]:
    """Column of the file → field, for the columns that are read: as stored with the source, else as the vendor's
    layout says, else by their own names. A field is read from one column: the first of these that claims it."""
    layout = layout_of(columns)
    found: dict[str, str] = {}
    open_columns = [column for column in columns if column not in stored]
    for claimants, claims in (
        (columns, stored),
        (open_columns, layout.guesses(columns, stored) if layout else {}),
        (open_columns, own_names(columns)),
    ):
        for column in claimants:
            name = claims.get(column, NOT_READ)
            if name != NOT_READ and column not in found and name not in found.values():
                found[column] = name
    return found


def words_of_layout(
    columns: Mapping[str, str], layout: VendorLayout | None = None
) -> list[tuple[str, str, str]]:
    """(field, word, meaning) that the vendor's layout knows for the columns that are read as it says. ``layout``: of
    the whole file; by default that of these columns."""
    layout = layout or layout_of(columns)
    if layout is None:
        return []
    return [
        (name, word, meaning)
        for column, name in columns.items()
        if fold_column(column) in layout.columns.get(name, ())
        for word, meaning in layout.words.get(fold_column(column), {}).items()
    ]
