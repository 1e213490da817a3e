"""OpenLDAP, 389 Directory Server, FreeIPA and other directories over LDAP (RFC 4511) with the schema of RFC 4519.

One search brings a page of users. The members of named groups are administrators. What a directory records of passwords
and sign-ins depends on its overlays and plug-ins: an attribute that no entry has is unknown.
"""

from collections.abc import Sequence

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Cursor, PermissionResult, RecordPage
from integrations.sources.shared.api_source import SyncPassKind
from integrations.sources.shared.directory_source import (
    LISTING,
    NAME_PATTERN,
    SEARCHES,
    DirectorySource,
    part_granted,
    rule_fields,
    server_fields,
    texts_of,
)
from integrations.sources.shared.directory_values import first_name, generalized_time, moment_text
from integrations.sources.shared.ldap_call import NAMES_AT_ONCE, LdapCall, any_of
from integrations.targets.shared.setting_fields import Field
from integrations.transport.ldap_messages import LdapEntry

ATTRIBUTE_PATTERN = r"[A-Za-z][A-Za-z0-9-]{0,63}"
ATTRIBUTE_HINT = "Write the name of an attribute, such as entryUUID."
PROFILE_FIELDS = {
    "email": ("mail",),
    "first_name": ("givenName",),
    "last_name": ("sn",),
    "display_name": ("displayName", "cn"),
    "phone": ("mobile", "telephoneNumber"),
    "employee_id": ("employeeNumber",),
    "department": ("departmentNumber", "ou"),
    "title": ("title",),
    "company": ("o",),
    "locale": ("preferredLanguage",),
}
TIME_FIELDS = {
    "created_at": ("createTimestamp",),
    "password_changed_at": ("pwdChangedTime", "krbLastPwdChange"),
    # OpenLDAP since 2.5 and its overlay lastbind, 389 Directory Server, FreeIPA.
    "last_sign_in_at": ("pwdLastSuccess", "authTimestamp", "lastLoginTime", "krbLastSuccessfulAuth"),
}
GROUP_CLASSES = ("groupOfNames", "groupOfUniqueNames", "posixGroup")
MEMBER_NAMES, MEMBER_LOGINS = ("member", "uniqueMember"), "memberUid"


class LdapSource(DirectorySource):
    slug = "ldap"
    label = "LDAP directory"
    summary = "Users, managers, groups and administrators of OpenLDAP, 389 Directory Server or FreeIPA."
    provider = "LDAP"
    position = 40
    default_filter = "(objectClass=inetOrgPerson)"
    name_attribute = "entryDN"
    attributes = (
        *("memberOf", "manager", "nsAccountLock", "pwdAccountLockedTime", "pwdReset"),
        *(name for names in PROFILE_FIELDS.values() for name in names),
        *(name for names in TIME_FIELDS.values() for name in names),
    )
    form_fields = (
        *server_fields(
            "The DN of an account that may read, such as uid=reader,ou=services,dc=example,dc=com."
        ),
        Field(
            path="id_attribute",
            label="Immutable id",
            help="entryUUID; nsUniqueId where 389 Directory Server has none, ipaUniqueID of FreeIPA.",
            default="entryUUID",
            pattern=ATTRIBUTE_PATTERN,
            hint=ATTRIBUTE_HINT,
        ),
        Field(
            path="login_attribute",
            label="Login",
            default="uid",
            pattern=ATTRIBUTE_PATTERN,
            hint=ATTRIBUTE_HINT,
        ),
        Field(
            path="admin_groups",
            label="Administrator groups",
            help="One name (cn) a line. Their members are administrators; empty: not known.",
            widget="lines",
            required=False,
            most=200,
            pattern=NAME_PATTERN,
            hint="Write the group's name (cn), not its DN.",
        ),
        *rule_fields("(objectClass=inetOrgPerson)"),
    )
    steps = (
        "Make an account that may read users and groups, their operational attributes included, and nothing else; "
        "allow it to read more entries than the size limit in pages (size.prtotal=unlimited of slapd).",
        "Allow this installation to reach the server at port 636, or 389 for StartTLS, and add a private address to "
        "ALLOWED_NETWORKS.",
        "Enter the server's name as in its certificate, the account's DN and password, and the base DN of the users; paste "
        "the certificate of a private authority under “Addresses and certificates”.",
        "Name the groups whose members are administrators, if the directory has such groups.",
        "Save the form here, then run Test connectivity: it says which attributes the account may read.",
    )
    passes = (
        LISTING,
        SyncPassKind(
            slug="roles",
            label="Administrators",
            groups=("roles",),
            limit=SEARCHES,
            absent={"admin_roles": []},
        ),
    )

    def passes_of(self, settings: JsonMapping) -> list[SyncPassKind]:
        """Without named groups nothing says who is an administrator."""
        return [each for each in self.passes if each.slug != "roles" or settings.get("admin_groups")]

    def login_attributes(self, settings: JsonMapping) -> tuple[str, ...]:
        return (settings["login_attribute"], settings["id_attribute"])

    def login(self, entry: LdapEntry, settings: JsonMapping) -> str:
        return entry.text(settings["login_attribute"]) or ""

    def key(self, entry: LdapEntry, settings: JsonMapping) -> str:
        return entry.text(settings["id_attribute"]) or ""

    def user_of(self, entry: LdapEntry, settings: JsonMapping) -> JsonObject:
        """An attribute that is absent may be hidden by an access rule: it is unknown."""
        record: JsonObject = {name: text for name, text in texts_of(entry, PROFILE_FIELDS).items() if text}
        for field, names in TIME_FIELDS.items():
            if known := [moment for name in names if (moment := generalized_time(entry.text(name)))]:
                record[field] = moment_text(max(known))
        if groups := entry.texts("memberOf"):
            record["groups"] = [first_name(dn) for dn in groups]
        record["status"] = _status(entry)
        return record

    def fetch(self, reading: SyncPassKind, call: LdapCall, cursor: Cursor | None) -> RecordPage:
        if reading.slug == "users":
            return self.users(call, cursor)
        if cursor is None:
            return RecordPage((), _left(_members(_admin_groups(call))))
        return self._administrators(call, cursor["left"])

    def _administrators(self, call: LdapCall, left: list[list[str]]) -> RecordPage:
        """The users among the next members: [name of the group, attribute that finds the member, its value]."""
        now, later = left[:NAMES_AT_ONCE], left[NAMES_AT_ONCE:]
        records = []
        for group, attribute in dict.fromkeys((group, attribute) for group, attribute, _ in now):
            values = [each[2] for each in now if each[:2] == [group, attribute]]
            wanted = f"(&{self.user_filter(call.options)}{any_of(attribute, values)})"
            found = call.all(call.options["base_dn"], wanted, self.login_attributes(call.options))
            records += [
                {"source_key": self.key(entry, call.options), "admin_roles": [group]} for entry in found
            ]
        return RecordPage(records, _left(later))

    def parts_granted(self, entries: Sequence[LdapEntry], settings: JsonMapping) -> list[PermissionResult]:
        return [
            part_granted("Passwords", ("password",), entries, TIME_FIELDS["password_changed_at"], NO_TIMES),
            part_granted("Last sign-in", ("sign_in",), entries, TIME_FIELDS["last_sign_in_at"], NO_TIMES),
            part_granted("Groups", ("groups",), entries, ("memberOf",), NO_GROUPS),
        ]

    def try_pass(self, reading: SyncPassKind, call: LdapCall) -> str:
        found = {(entry.text("cn") or "").casefold() for entry in _admin_groups(call)}
        missing = [name for name in call.options["admin_groups"] if name.casefold() not in found]
        return f"Not found, or not visible to the account: {', '.join(missing)}." if missing else ""


NO_TIMES = (
    "No user shows it: the directory does not record it, or the account may not read operational attributes."
)
NO_GROUPS = (
    "No user shows memberOf: the directory needs the overlay memberof, or the account may not read it."
)


def _status(entry: LdapEntry) -> str:
    """An entry that nothing locks is active: whoever is in a directory can sign in to it."""
    if (entry.text("nsAccountLock") or "").lower() == "true":
        return "disabled"
    if entry.text("pwdAccountLockedTime"):
        return "locked_out"
    return "password_expired" if (entry.text("pwdReset") or "").lower() == "true" else "active"


def _admin_groups(call: LdapCall) -> Sequence[LdapEntry]:
    names = call.options.get("admin_groups") or ()
    wanted = f"(&{any_of('objectClass', GROUP_CLASSES)}{any_of('cn', names)})"
    return call.all(_suffix(call.options["base_dn"]), wanted, ("cn", *MEMBER_NAMES, MEMBER_LOGINS))


def _suffix(base_dn: str) -> str:
    """The end of a base DN that names the organization: groups are seldom below the users."""
    parts = [part.strip() for part in base_dn.split(",")]
    ends = [at for at, part in enumerate(parts) if part.lower().startswith(("dc=", "o="))]
    return ",".join(parts[ends[0] :]) if ends else base_dn


def _members(groups: Sequence[LdapEntry]) -> list[list[str]]:
    return [
        [entry.text("cn") or first_name(entry.dn), attribute, value]
        for entry in groups
        for attribute, names in (("entryDN", MEMBER_NAMES), ("uid", (MEMBER_LOGINS,)))
        for name in names
        for value in entry.texts(name)
    ]


def _left(members: list[list[str]]) -> Cursor | None:
    return {"left": members} if members else None
