"""The base of the kinds of directory that are read over LDAP: the form, the connection, paging, managers."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from requests.auth import AuthBase

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Permission,
    PermissionResult,
    ProbeResult,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, mapped_attributes
from integrations.sources.shared.directory_values import dn_key, generalized_time, parts_of
from integrations.sources.shared.ldap_call import NAMES_AT_ONCE, LdapCall, any_of
from integrations.sources.shared.probing import try_permission
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import CA, Field
from integrations.transport.addresses import UrlError, parse_url
from integrations.transport.ldap import DirectoryServer
from integrations.transport.ldap_messages import FilterError, LdapEntry, compiled_filter

# Directories name no limit; this keeps their load low.
SEARCHES = RateLimit("searches", 1200)
LISTING = SyncPassKind(
    slug="users",
    label="Users",
    groups=("profile", "password", "sign_in", "groups"),
    limit=SEARCHES,
    one_session=True,
)
NAME_PATTERN = r"[^,()*\\]{1,200}"


def server_fields(account_help: str) -> tuple[Field, ...]:
    """The address of the directory and the account that reads it."""
    return (
        Field(
            path="host",
            label="Server",
            help="The name that its certificate bears.",
            widget="host",
        ),
        Field(
            path="security",
            label="Encryption",
            help="The password is never sent without.",
            widget="select",
            default="ldaps",
            choices=(("ldaps", "LDAPS: TLS from the start"), ("starttls", "StartTLS")),
        ),
        Field(
            path="port",
            label="Port",
            help="636 for LDAPS, 389 for StartTLS.",
            widget="number",
            default=636,
            least=1,
            most=65535,
            whole=True,
        ),
        Field(path="account", label="Account", help=account_help),
        Field(path="password", label="Password", secret=True),
        Field(
            path="base_dn",
            label="Base DN",
            help="Users are searched below it, such as DC=corp,DC=example,DC=com.",
            pattern=r"[A-Za-z][A-Za-z0-9.-]*\s*=.+",
            hint="Write a distinguished name, such as DC=corp,DC=example,DC=com.",
        ),
    )


def rule_fields(default_filter: str) -> tuple[Field, ...]:
    """The part of the directory that is read."""
    return (
        Field(
            path="filter",
            label="Filter of users",
            help=f"Empty for {default_filter}.",
            required=False,
        ),
        Field(
            path="service_accounts",
            label="Service accounts",
            help="One a line: a login with asterisks such as svc-*, or an organizational unit such as OU=Services.",
            widget="lines",
            required=False,
            most=200,
            pattern=r"(?i:OU=)?[^,=()\\]{1,200}",
            hint="Write a login such as svc-*, or OU=Name.",
        ),
        ATTRIBUTES_FIELD,
        CA,
    )


class DirectorySource(ApiSource):
    """A kind of directory. The listing brings all that an entry says; managers are resolved page by page."""

    default_filter: ClassVar[str]
    # Attributes that the listing requests in addition to mapped ones.
    attributes: ClassVar[tuple[str, ...]]
    # The attribute by which entries are found by their distinguished name.
    name_attribute: ClassVar[str]

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        if settings.get("host"):
            try:
                parse_url(f"https://{settings['host']}:{settings['port']}/")
            except UrlError as error:
                reader.add_error("host", str(error))
            if set(settings["host"]) & set("/?:"):
                reader.add_error("host", "Write the server's name without a scheme, port or path.")
        if settings.get("filter"):
            try:
                compiled_filter(settings["filter"])
            except FilterError as error:
                reader.add_error("filter", str(error))

    def call(self, source: SourceSettings, auth: AuthBase | None) -> LdapCall:
        given = source.settings
        server = DirectoryServer(
            host=given["host"],
            port=given["port"],
            security=given["security"],
            account=given["account"],
            password=source.secrets.get("password", ""),
            ca=(given.get("tls") or {}).get("ca", ""),
        )
        return LdapCall(source, server)

    @abstractmethod
    def login(self, entry: LdapEntry, settings: JsonMapping) -> str:
        """The login of an entry; "" for none."""

    @abstractmethod
    def key(self, entry: LdapEntry, settings: JsonMapping) -> str:
        """The immutable id of an entry; "" for none."""

    @abstractmethod
    def user_of(self, entry: LdapEntry, settings: JsonMapping) -> JsonObject:
        """The record of an entry, without its manager."""

    def user_filter(self, settings: JsonMapping) -> str:
        return str(settings.get("filter") or self.default_filter)

    @abstractmethod
    def login_attributes(self, settings: JsonMapping) -> tuple[str, ...]:
        """Attributes that :meth:`login` reads."""

    def _read_users(
        self, call: LdapCall, place: Cursor | None
    ) -> tuple[Sequence[LdapEntry], Sequence[JsonObject], Cursor | None]:
        settings = call.options
        own = tuple(name.partition(".")[0] for name in mapped_attributes(settings).values())
        wanted = tuple(dict.fromkeys((*self.attributes, *self.login_attributes(settings), *own)))
        entries, following = call.page(settings["base_dn"], self.user_filter(settings), wanted, place)
        records = [self._record(entry, settings) for entry in entries]
        return entries, records, following

    def _record(self, entry: LdapEntry, settings: JsonMapping) -> JsonObject:
        record = {"source_key": self.key(entry, settings), "login": self.login(entry, settings)}
        record |= self.user_of(entry, settings)
        for field, attribute in mapped_attributes(settings).items():
            if found := entry.texts(attribute):
                record[field] = ", ".join(found)
        if is_service_account(str(record["login"]), entry.dn, settings):
            record["user_type"] = "service_account"
        return record

    def users(self, call: LdapCall, cursor: Cursor | None) -> RecordPage:
        """A page of the listing: one search, and where it names managers that no page has shown yet, one for these."""
        entries, records, following = self._read_users(call, cursor)
        call.learn(
            {dn_key(entry.dn): str(record["login"]) for entry, record in zip(entries, records, strict=True)}
        )
        if "manager" not in mapped_attributes(call.options):
            self._name_managers(call, entries, records)
        return RecordPage(records, following)

    def _name_managers(
        self, call: LdapCall, entries: Sequence[LdapEntry], records: Sequence[JsonObject]
    ) -> None:
        managers = {dn: dn_key(dn) for entry in entries if (dn := entry.text("manager"))}
        unknown = [dn for dn, key in managers.items() if key not in call.names]
        for at in range(0, len(unknown), NAMES_AT_ONCE):
            asked = unknown[at : at + NAMES_AT_ONCE]
            wanted = self.login_attributes(call.options)
            found = call.all(call.options["base_dn"], any_of(self.name_attribute, asked), wanted)
            call.learn({dn_key(entry.dn): self.login(entry, call.options) for entry in found})
        for entry, record in zip(entries, records, strict=True):
            if dn := entry.text("manager"):
                # A manager outside the base stays a distinguished name, which the import looks up by name.
                record["manager"] = call.names.get(managers[dn]) or dn

    def probe(self, source: SourceSettings, call: LdapCall, scopes: Sequence[str] | None) -> ProbeResult:
        found: list[LdapEntry] = []
        more = False

        def list_users() -> str:
            nonlocal more
            entries, _, following = self._read_users(call, None)
            found.extend(entries)
            more = following is not None
            if not entries:
                return NO_USERS
            usable = sum(
                1
                for entry in entries
                if self.key(entry, source.settings) and self.login(entry, source.settings)
            )
            return "" if usable else NO_KEYS

        results = [try_permission(self.listing, list_users)]
        if results[0].state is Permission.GRANTED:
            self._notice_clock(call)
            results += self.parts_granted(found, source.settings)
            results += [
                try_permission(each, lambda each=each: self.try_pass(each, call))  # type: ignore[misc]
                for each in self.passes_of(source.settings)[1:]
            ]
        return ProbeResult(results, len(found), more, {}, call.clock_skew)

    @abstractmethod
    def parts_granted(self, entries: Sequence[LdapEntry], settings: JsonMapping) -> list[PermissionResult]:
        """Which parts of an entry the account may read, by what a page of entries has."""

    @abstractmethod
    def try_pass(self, reading: SyncPassKind, call: LdapCall) -> str:
        """Try what a pass needs; "" or why it would bring nothing. Raises :class:`SourceFault`."""

    def _notice_clock(self, call: LdapCall) -> None:
        """Active Directory has its time in the entry without a name, readable without a sign-in."""
        try:
            root = call.one("", ("currentTime",))
        except SourceFault:
            return
        if root and (moment := generalized_time(root.text("currentTime"))):
            call.clock_skew = (moment - datetime.now(UTC)).total_seconds()


NO_USERS = "Account and password are accepted, and no user is visible below the base DN: check base DN, filter and rights."
NO_KEYS = "Users are visible without their immutable id or login: let the account read these attributes."


def part_granted(
    name: str, groups: Sequence[str], entries: Sequence[LdapEntry], attributes: Sequence[str], advice: str
) -> PermissionResult:
    """Whether any of the entries shows one of the attributes."""
    if any(entry.values.get(attribute.lower()) for entry in entries for attribute in attributes):
        return PermissionResult(name, Permission.GRANTED, "", tuple(groups))
    return PermissionResult(name, Permission.MISSING, advice, tuple(groups))


def is_service_account(login: str, dn: str, settings: JsonMapping) -> bool:
    """Whether the member's rules say so: patterns of logins, and organizational units above the entry."""
    units = {value.casefold() for name, value in parts_of(dn)[1:] if name == "ou"}
    name = login.partition("@")[0].casefold()
    for rule in settings.get("service_accounts") or ():
        if rule[:3].lower() == "ou=":
            if rule[3:].strip().casefold() in units:
                return True
        else:
            pattern = ".*".join(re.escape(part) for part in rule.casefold().split("*"))
            if re.fullmatch(pattern, name) or re.fullmatch(pattern, login.casefold()):
                return True
    return False


def texts_of(entry: LdapEntry, fields: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """Field → the first of its attributes that the entry has; None where it has none."""
    return {
        field: next((text for name in names if (text := entry.text(name))), None)
        for field, names in fields.items()
    }
