"""The schemas that the product serves: User and Group of RFC 7643, the enterprise extension, the project's own extension
and the one of Cisco's collector for Active Directory. What no schema declares is not stored.

Left out of the core schema: passwords, photos, certificates, entitlements and addresses of instant messengers. No check
reads them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from integrations.json_types import JsonObject

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CHECKS = "urn:ietf:params:scim:schemas:extension:identity-checks:2.0:User"
# github.com/cisco-open/cisco-cii-adsync, ADSync.ps1.
CII_AD = "urn:ietf:params:scim:schemas:extension:cisco:cii:ad"


@dataclass(frozen=True)
class Attribute:
    """One attribute of a schema (RFC 7643, section 7). ``keeps_empty``: an empty list says that there is none, while an
    absent attribute is unknown; elsewhere both mean unassigned."""

    name: str
    type: str = "string"
    is_multiple: bool = False
    parts: tuple["Attribute", ...] = ()
    is_read_only: bool = False
    is_required: bool = False
    is_exact: bool = False
    is_unique: bool = False
    keeps_empty: bool = False
    description: str = ""

    @cached_property
    def by_name(self) -> Mapping[str, "Attribute"]:
        """Lower-case name → sub-attribute."""
        return {each.name.lower(): each for each in self.parts}

    def part(self, name: str) -> "Attribute | None":
        return self.by_name.get(name.lower())

    def as_json(self) -> JsonObject:
        said: JsonObject = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.is_multiple,
            "description": self.description or f"{self.name} of the resource",
            "required": self.is_required,
            "mutability": "readOnly" if self.is_read_only else "readWrite",
            "returned": "default",
        }
        if self.type in ("string", "reference"):
            said |= {"caseExact": self.is_exact, "uniqueness": "server" if self.is_unique else "none"}
        if self.type == "reference":
            said["referenceTypes"] = ["User", "Group"] if self.name == "$ref" else ["external"]
        if self.parts:
            said["subAttributes"] = [each.as_json() for each in self.parts]
        return said


@dataclass(frozen=True)
class Schema:
    """A schema by its URN."""

    urn: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Attribute]:
        """Lower-case name → attribute."""
        return {each.name.lower(): each for each in self.attributes}

    def as_json(self) -> JsonObject:
        return {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": self.urn,
            "name": self.name,
            "description": self.description,
            "attributes": [each.as_json() for each in self.attributes],
        }


def _texts(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name) for name in names)


def _flags(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, "boolean") for name in names)


def _moments(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, "dateTime") for name in names)


def _group(name: str, *parts: Attribute, is_multiple: bool = False, keeps_empty: bool = False) -> Attribute:
    return Attribute(name, "complex", is_multiple=is_multiple, parts=parts, keeps_empty=keeps_empty)


def _values(name: str) -> Attribute:
    """A list of values with a type, of which one may be the primary one (RFC 7643, section 2.4)."""
    return _group(
        name, *_texts("value", "display", "type"), Attribute("primary", "boolean"), is_multiple=True
    )


USER_SCHEMA = Schema(
    USER,
    "User",
    "User account",
    (
        Attribute("userName", is_required=True, is_unique=True),
        _group(
            "name",
            *_texts(
                "formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"
            ),
        ),
        *_texts("displayName", "nickName"),
        Attribute("profileUrl", "reference"),
        *_texts("title", "userType", "preferredLanguage", "locale", "timezone"),
        *_flags("active"),
        _values("emails"),
        _values("phoneNumbers"),
        _group(
            "addresses",
            *_texts("formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"),
            Attribute("primary", "boolean"),
            is_multiple=True,
        ),
        Attribute(
            "groups",
            "complex",
            is_multiple=True,
            is_read_only=True,
            parts=(
                Attribute("value", is_read_only=True),
                Attribute("$ref", "reference", is_read_only=True),
                Attribute("display", is_read_only=True),
                Attribute("type", is_read_only=True),
            ),
        ),
        _values("roles"),
    ),
)
GROUP_SCHEMA = Schema(
    GROUP,
    "Group",
    "Group of users",
    (
        Attribute("displayName", is_required=True),
        _group(
            "members",
            Attribute("value", is_exact=True),
            Attribute("$ref", "reference"),
            is_multiple=True,
        ),
    ),
)
ENTERPRISE_SCHEMA = Schema(
    ENTERPRISE,
    "Enterprise User",
    "Employment of a user",
    (
        *_texts("employeeNumber", "costCenter", "organization", "division", "department"),
        # Cisco's collector sends it.
        *_texts("company"),
        _group("manager", Attribute("value"), Attribute("$ref", "reference"), *_texts("displayName")),
    ),
)
CHECKS_SCHEMA = Schema(
    CHECKS,
    "Identity checks",
    "What checks read and the other schemas lack. An empty list says that there is none; leave out what is not known.",
    (
        *_texts("status", "owner", "lastSignInCountry", "lastSignInIp"),
        *_moments("statusChangedAt", "createdAt", "passwordChangedAt", "lastSignInAt"),
        *_flags("neverSignedIn", "passwordNeverExpires", "mfaEnabled", "mfaBypass", "credentialsExposed"),
        Attribute("failedSignIns", "integer"),
        _group("mfaFactors", *_texts("kind", "device", "status"), is_multiple=True, keeps_empty=True),
        Attribute("adminRoles", is_multiple=True, keeps_empty=True),
        Attribute("forwarding", is_multiple=True, keeps_empty=True),
        _group(
            "applications",
            *_texts("name"),
            *_moments("lastUsedAt"),
            is_multiple=True,
            keeps_empty=True,
        ),
    ),
)
CII_AD_SCHEMA = Schema(
    CII_AD,
    "Active Directory",
    "What Cisco's collector for Active Directory says of an account.",
    (
        _group(
            "adAttributes",
            *_texts(
                *("objectGUID", "samAccountName", "distinguishedName", "userAccountControl", "lastLogon"),
                *("lastLogonTimestamp", "pwdLastSet", "lockoutTime", "accountExpires", "badPwdCount"),
                *("whenCreated", "whenChanged", "badPasswordTime"),
            ),
        ),
        _group(
            "ciiAttributes",
            *_flags("isAdmin", "isServiceAccount", "isExecutive", "isExternalAccount"),
            *_texts("isoCreated", "isoLastModified", "isoLastSuccessfulLogin", "isoLastPasswordChange"),
            *_texts("isoBadPasswordTime", "isoLockoutTime", "isoAccountExpiry"),
        ),
        # The collector sends memberships with the user; those of the core schema are read-only.
        Attribute("groupNames", is_multiple=True, keeps_empty=True, is_read_only=True),
    ),
)
SCHEMAS: Mapping[str, Schema] = {
    each.urn: each for each in (USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA, CHECKS_SCHEMA, CII_AD_SCHEMA)
}
COMMON = {
    each.name.lower(): each
    for each in (Attribute("id", is_read_only=True, is_exact=True), Attribute("externalId", is_exact=True))
}
META = Attribute(
    "meta",
    "complex",
    is_read_only=True,
    parts=(
        Attribute("resourceType", is_exact=True),
        *_moments("created", "lastModified"),
        *_texts("location", "version"),
    ),
)


@dataclass(frozen=True)
class ResourceType:
    """Users or Groups: its main schema and the extensions."""

    name: str
    endpoint: str
    main: Schema
    extensions: tuple[Schema, ...]

    @property
    def urns(self) -> Iterator[str]:
        yield self.main.urn
        yield from (each.urn for each in self.extensions)

    def schema_of(self, name: str) -> Schema | None:
        """The schema of a URN in any case, None for another one."""
        return next((SCHEMAS[urn] for urn in self.urns if urn.lower() == name.lower()), None)

    def attribute(self, name: str) -> Attribute | None:
        """An attribute of the main schema, or one that every resource has."""
        key = name.lower()
        return self.main.by_name.get(key) or COMMON.get(key) or (META if key == "meta" else None)


USERS = ResourceType("User", "Users", USER_SCHEMA, (ENTERPRISE_SCHEMA, CHECKS_SCHEMA, CII_AD_SCHEMA))
GROUPS = ResourceType("Group", "Groups", GROUP_SCHEMA, ())
RESOURCE_TYPES: Mapping[str, ResourceType] = {each.endpoint: each for each in (USERS, GROUPS)}
