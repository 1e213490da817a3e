"""Active Directory over LDAP (MS-ADTS): users with account state, last sign-in, direct groups and administrator roles.

One search brings a page of users with all that is read of them. Administrators are the members of the groups with a
well-known identifier, also through other groups: their names are translated, their identifiers are not.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Cursor, Fault, PermissionResult, RecordPage, SourceFault
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
from integrations.sources.shared.directory_values import (
    domain_of,
    domain_root,
    filetime,
    first_name,
    generalized_time,
    guid,
    moment_text,
    number,
)
from integrations.sources.shared.ldap_call import LdapCall, any_of
from integrations.targets.shared.setting_fields import Field
from integrations.transport.ldap_messages import LdapEntry, escaped

USERS = "(|(&(objectCategory=person)(objectClass=user))(objectClass=msDS-GroupManagedServiceAccount))"
PROFILE_FIELDS = {
    "email": ("mail",),
    "first_name": ("givenName",),
    "last_name": ("sn",),
    "display_name": ("displayName", "cn"),
    "phone": ("mobile", "telephoneNumber"),
    "employee_id": ("employeeID", "employeeNumber"),
    "department": ("department",),
    "title": ("title",),
    "company": ("company",),
    "locale": ("preferredLanguage",),
}
# userAccountControl, and its computed sibling (MS-ADTS 2.2.16).
DISABLED, NEVER_EXPIRES, LOCKED_OUT, PASSWORD_EXPIRED = 0x2, 0x10000, 0x10, 0x800000
SERVICE_CLASSES = frozenset(("msds-groupmanagedserviceaccount", "msds-managedserviceaccount"))
# Members of a group, also through other groups (LDAP_MATCHING_RULE_IN_CHAIN).
IN_CHAIN = "memberOf:1.2.840.113556.1.4.1941:"
# Relative identifiers in the domain, and in the built-in domain S-1-5-32 (MS-DTYP 2.4.2.4): administrators,
# and groups whose members can make themselves administrators.
DOMAIN_ROLES = (512, 518, 519, 520, 526, 527)
BUILTIN_ROLES = (544, 548, 549, 550, 551)
BUILTIN_DOMAIN = b"\x01\x01\x00\x00\x00\x00\x00\x05" + struct.pack("<I", 32)


class ActiveDirectorySource(DirectorySource):
    slug = "activedirectory"
    label = "Active Directory"
    summary = "Users with account state, last sign-in, managers, groups and administrators, over LDAP."
    provider = "ACTIVE_DIRECTORY"
    position = 30
    default_filter = USERS
    name_attribute = "distinguishedName"
    attributes = (
        *(
            "objectGUID",
            "mS-DS-ConsistencyGuid",
            "objectClass",
            "memberOf",
            "manager",
            "whenCreated",
            "userAccountControl",
        ),
        *("msDS-User-Account-Control-Computed", "accountExpires", "pwdLastSet"),
        *("lastLogonTimestamp", "lastLogon", "logonCount", "badPwdCount"),
        *(name for names in PROFILE_FIELDS.values() for name in names),
    )
    form_fields = (
        *server_fields("Of an ordinary domain user: reader@corp.example, CORP\\reader, or its DN."),
        Field(
            path="admin_groups",
            label="Further administrator groups",
            help="One name a line. The domain's own administrator groups are always read.",
            widget="lines",
            required=False,
            most=200,
            pattern=NAME_PATTERN,
            hint="Write the group's name, not its DN.",
        ),
        *rule_fields("all users and managed service accounts"),
    )
    steps = (
        "In Active Directory Users and Computers create an ordinary user such as “svc-identity-checks” with a long "
        "password. It needs no group: Domain Users can read what is needed.",
        "Let the domain controllers have a certificate for LDAPS (AD CS enrols them by itself); export the certificate "
        "of its authority as Base-64 (PEM) and paste it under “Addresses and certificates”.",
        "Allow this installation to reach a domain controller at port 636, and add its address to ALLOWED_NETWORKS: "
        "private addresses are refused otherwise.",
        "Enter the controller's full name, the account as reader@corp.example, and the domain as base DN.",
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
            one_session=True,
        ),
    )

    def login_attributes(self, settings: JsonMapping) -> tuple[str, ...]:
        return ("userPrincipalName", "sAMAccountName")

    def login(self, entry: LdapEntry, settings: JsonMapping) -> str:
        account = entry.text("sAMAccountName")
        return entry.text("userPrincipalName") or (f"{account}@{domain_of(entry.dn)}" if account else "")

    def key(self, entry: LdapEntry, settings: JsonMapping) -> str:
        return _guid_of(entry, "objectguid")

    def user_of(self, entry: LdapEntry, settings: JsonMapping) -> JsonObject:
        """Domain Users can read every attribute of the profile: an absent attribute means none."""
        record: JsonObject = {**texts_of(entry, PROFILE_FIELDS), "manager": ""}
        # The id that Entra Connect keeps when an account moves to another forest; else it takes objectGUID.
        record["source_anchor"] = _guid_of(entry, "ms-ds-consistencyguid")
        record["groups"] = [first_name(dn) for dn in entry.texts("memberOf")]
        if any(name.startswith("memberof;range=") for name in entry.values):
            # More groups than one answer holds.
            del record["groups"]
        if created := generalized_time(entry.text("whenCreated")):
            record["created_at"] = moment_text(created)
        if SERVICE_CLASSES & {name.lower() for name in entry.texts("objectClass")}:
            record["user_type"] = "service_account"
        return record | _account_state(entry, datetime.now(UTC)) | _sign_in(entry)

    def fetch(self, reading: SyncPassKind, call: LdapCall, cursor: Cursor | None) -> RecordPage:
        if reading.slug == "users":
            return self.users(call, cursor)
        match cursor:
            case None:
                return RecordPage((), {"stage": "groups", "domain": _domain_sid(call).hex()})
            case {"stage": "groups", "domain": domain}:
                return RecordPage((), _left(_role_groups(call, bytes.fromhex(domain))))
            case _:
                return self._members(call, cursor)

    def _members(self, call: LdapCall, cursor: Cursor) -> RecordPage:
        """A page of the members of the first of the groups that are left: [distinguished name, name, identifier]."""
        (dn, name, identifier), *others = cursor["groups"]
        member = f"(|({IN_CHAIN}={escaped(dn)})(primaryGroupID={identifier}))"
        wanted = f"(&{self.user_filter(call.options)}{member})"
        entries, place = call.page(call.options["base_dn"], wanted, ("objectGUID",), cursor.get("place"))
        records = [{"source_key": self.key(entry, call.options), "admin_roles": [name]} for entry in entries]
        return RecordPage(records, {**cursor, "place": place} if place else _left(others))

    def parts_granted(self, entries: Sequence[LdapEntry], settings: JsonMapping) -> list[PermissionResult]:
        return [
            part_granted(
                "Account state and passwords",
                ("password",),
                entries,
                ("userAccountControl",),
                "userAccountControl is not visible: grant the account “Read account restrictions” on these users.",
            ),
            part_granted(
                "Last sign-in",
                ("sign_in",),
                entries,
                SIGN_IN_MARKS,
                "lastLogonTimestamp is not visible: grant the account “Read logon information” on these users.",
            ),
        ]

    def try_pass(self, reading: SyncPassKind, call: LdapCall) -> str:
        groups = _role_groups(call, _domain_sid(call))
        return "" if groups else "No administrator group of the domain is visible to the account."


# Attributes that every user has, also one who never signed in: if they are missing, the others are not
# readable.
SIGN_IN_MARKS = ("logonCount", "lastLogon", "badPwdCount")


def _guid_of(entry: LdapEntry, attribute: str) -> str:
    return guid(next(iter(entry.values.get(attribute, ())), b""))


def _account_state(entry: LdapEntry, now: datetime) -> JsonObject:
    """Status, and what is known of the password; nothing where the account may not read the control bits."""
    control = number(entry.text("userAccountControl"))
    if control is None:
        return {}
    computed = number(entry.text("msDS-User-Account-Control-Computed")) or 0
    expires = filetime(entry.text("accountExpires"))
    must_change = number(entry.text("pwdLastSet")) == 0
    record: JsonObject = {"status": "active", "password_never_expires": bool(control & NEVER_EXPIRES)}
    if changed := filetime(entry.text("pwdLastSet")):
        record["password_changed_at"] = moment_text(changed)
    if control & DISABLED or (expires and expires <= now):
        record["status"] = "disabled"
    elif computed & LOCKED_OUT:
        record["status"] = "locked_out"
    elif computed & PASSWORD_EXPIRED or must_change:
        record["status"] = "password_expired"
    return record


def _sign_in(entry: LdapEntry) -> JsonObject:
    """The last sign-in: lastLogonTimestamp, up to 14 days late, or this controller's own record where that is later."""
    if not any(entry.values.get(name.lower()) for name in SIGN_IN_MARKS):
        return {}
    known = [moment for name in ("lastLogonTimestamp", "lastLogon") if (moment := filetime(entry.text(name)))]
    record: JsonObject = {"last_sign_in_at": moment_text(max(known)) if known else None}
    failures = number(entry.text("badPwdCount"))
    if failures is not None and failures >= 0:
        record["failed_sign_ins"] = failures
    return record


def _domain_sid(call: LdapCall) -> bytes:
    root = call.one(domain_root(call.options["base_dn"]), ("objectSid",))
    sid = next(iter(root.values.get("objectsid", ())), b"") if root else b""
    if not sid:
        text = "The domain of the base DN is not visible to the account, so its administrator groups are not known."
        raise SourceFault(text, Fault.PERMISSION)
    return sid


def _role_groups(call: LdapCall, domain: bytes) -> list[list[object]]:
    """Distinguished name, name and relative identifier of each administrator group."""
    named = "".join(
        f"(&(objectClass=group)(sAMAccountName={escaped(name)}))"
        for name in call.options.get("admin_groups") or ()
    )
    known = any_of("objectSid", [*_sids(domain, DOMAIN_ROLES), *_sids(BUILTIN_DOMAIN, BUILTIN_ROLES)])
    root = domain_root(call.options["base_dn"])
    found = call.all(root, f"(|{known}{named})", ("objectSid", "sAMAccountName"))
    return [
        [entry.dn, entry.text("sAMAccountName") or first_name(entry.dn), _relative_identifier(entry)]
        for entry in found
    ]


def _sids(domain: bytes, identifiers: Sequence[int]) -> list[bytes]:
    """Security identifiers below that of a domain (MS-DTYP 2.4.2.2): the second byte counts the parts."""
    head = domain[:1] + bytes((domain[1] + 1,)) + domain[2:]
    return [head + struct.pack("<I", each) for each in identifiers]


def _relative_identifier(entry: LdapEntry) -> int:
    sid = next(iter(entry.values.get("objectsid", ())), b"")
    return int.from_bytes(sid[-4:], "little") if sid else 0


def _left(groups: Sequence[object]) -> Cursor | None:
    return {"stage": "members", "groups": list(groups)} if groups else None
