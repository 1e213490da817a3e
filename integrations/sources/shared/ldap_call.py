"""The searches of one directory by one worker, over one connection that is opened when it is needed."""

import secrets
from collections.abc import Mapping, Sequence

from integrations.source_data import Cursor, Fault, SourceFault, SourceSettings
from integrations.sources.shared.provider_call import ProviderCall
from integrations.sources.shared.source_call import fault_of_transport
from integrations.transport.http import TransportError
from integrations.transport.ldap import (
    DirectoryServer,
    LdapConnection,
    LdapDisconnected,
    LdapPage,
    LdapRefused,
)
from integrations.transport.ldap_messages import BASE, SUBTREE, FilterError, LdapEntry, escaped

# Active Directory's MaxPageSize is 1,000; slapd's default limit is 500.
PAGE = 500
# Names in one filter.
NAMES_AT_ONCE = 200
MAX_KNOWN_NAMES = 50_000
MAX_EMPTY_PAGES = 20
MAX_DETAIL = 200

# Result codes (RFC 4511 §4.1.9) with another fault than REFUSED, and advice.
_FAULTS = {
    1: Fault.TEMPORARY,
    3: Fault.TEMPORARY,
    49: Fault.CREDENTIAL,
    50: Fault.PERMISSION,
    51: Fault.TEMPORARY,
    52: Fault.TEMPORARY,
    80: Fault.TEMPORARY,
}
_SENTENCES = {
    3: "The search takes longer than the directory allows.",
    4: "The directory cuts the list at its size limit: raise the limit for this account (size.prtotal of slapd).",
    8: "The directory requires stronger authentication than a password over TLS.",
    10: "The base DN belongs to another server. Referrals are not followed: enter that server.",
    11: "The search takes more than the directory allows this account.",
    12: "The directory does not read in pages (RFC 2696), which a complete list needs.",
    13: "The directory requires encryption.",
    32: "The base DN does not exist, or the account may not see it.",
    34: "A distinguished name is malformed: check the base DN.",
    48: "The directory does not let this account sign in with a password.",
    49: "The directory does not accept account and password.",
    50: "The account may not read this.",
    51: "The directory is busy.",
    52: "The directory is not available.",
    53: "The directory is not willing to do this.",
}
# Active Directory says after “data” in the text of code 49 why (winerror.h, hexadecimal).
_SIGN_IN_REASONS = {
    "525": "There is no such account.",
    "52e": "The account or its password is wrong.",
    "530": "The account may not sign in at this time.",
    "531": "The account may not sign in at this computer.",
    "532": "The password of the account has expired.",
    "533": "The account is disabled.",
    "701": "The account has expired.",
    "773": "The account must change its password before it can sign in.",
    "775": "The account is locked out.",
}


class LdapCall(ProviderCall):
    """Searches a directory. ``names``: login by the key of a distinguished name, of the entries that were seen."""

    def __init__(self, source: SourceSettings, server: DirectoryServer) -> None:
        super().__init__(source)
        self.server = server
        self.names: dict[str, str] = {}
        self._connection: LdapConnection | None = None
        self._place: Cursor | None = None
        self._cookie = b""
        self._first_names: set[str] = set()
        self._empty_pages = 0

    def close(self) -> None:
        connection, self._connection, self._place = self._connection, None, None
        if connection is not None:
            connection.close()

    def page(
        self, base: str, filter_text: str, attributes: Sequence[str], place: Cursor | None = None
    ) -> tuple[Sequence[LdapEntry], Cursor | None]:
        """One page of a search below ``base``, and the place of the next one. ``place``: that of the page before.

        A cookie belongs to the connection that it came by (RFC 2696 §3), so a place on another one has expired. Raises
        :class:`~integrations.source_data.SourceFault`.
        """
        if place is None:
            self._cookie, self._first_names, self._empty_pages, number = b"", set(), 0, 1
        elif place != self._place:
            text = "The connection with the directory ended in the middle of the list, which is read again."
            raise SourceFault(text, Fault.EXPIRED)
        else:
            number = int(place["page"]) + 1
        self._place = None
        found = self._search(base, filter_text, attributes, page=PAGE, cookie=self._cookie)
        self._check_progress(found)
        self._cookie = found.cookie
        if found.cookie:
            # A new text for each connection: no other worker's place equals it.
            session = place["session"] if place else secrets.token_hex(8)
            self._place = {"session": session, "page": number}
        return found.entries, self._place

    def all(self, base: str, filter_text: str, attributes: Sequence[str]) -> Sequence[LdapEntry]:
        """The few entries below ``base`` that match, in one answer. Raises :class:`SourceFault`."""
        return self._search(base, filter_text, attributes).entries

    def one(self, dn: str, attributes: Sequence[str]) -> LdapEntry | None:
        """The entry of that name; None where it does not exist or is not visible. Raises :class:`SourceFault`."""
        try:
            found = self._search(dn, "(objectClass=*)", attributes, scope=BASE).entries
        except SourceFault as fault:
            if fault.status == 32:
                return None
            raise
        return found[0] if found else None

    def _search(
        self,
        base: str,
        filter_text: str,
        attributes: Sequence[str],
        *,
        scope: int = SUBTREE,
        page: int = 0,
        cookie: bytes = b"",
    ) -> LdapPage:
        try:
            return self._opened().search(base, filter_text, attributes, scope=scope, page=page, cookie=cookie)
        except LdapRefused as error:
            raise self._fault(error) from None
        except LdapDisconnected as error:
            self.close()
            raise SourceFault(self.shown(str(error)), Fault.TEMPORARY) from error
        except FilterError as error:
            raise SourceFault(str(error), Fault.REFUSED) from None

    def _opened(self) -> LdapConnection:
        if self._connection is None or not self._connection.is_open:
            self.close()
            try:
                self._connection = LdapConnection(self.server)
            except TransportError as error:
                raise SourceFault(self.shown(str(error)), fault_of_transport(error)) from error
        return self._connection

    def _fault(self, error: LdapRefused) -> SourceFault:
        sentence = _SENTENCES.get(error.code, f"The directory refused the {error.operation}.")
        if error.code == 49:
            sentence = f"{sentence} {_sign_in_reason(error.text)}".strip()
        # Active Directory ends its messages with a NUL.
        said = " ".join(self.shown(error.text).replace("\0", " ").split())[:MAX_DETAIL].rstrip(".")
        text = f"{sentence} (Code {error.code}{f': {said}' if said else ''}.)"
        return SourceFault(text, _FAULTS.get(error.code, Fault.REFUSED), status=error.code)

    def _check_progress(self, found: LdapPage) -> None:
        """A list that starts again, or brings nothing, would never end."""
        if not found.entries:
            self._empty_pages += 1
            if self._empty_pages > MAX_EMPTY_PAGES:
                raise SourceFault("The directory sends empty pages: its list would never end.", Fault.REFUSED)
            return
        self._empty_pages = 0
        first = found.entries[0].dn
        if first in self._first_names:
            text = "The directory sent the same page twice: its list would never end."
            raise SourceFault(text, Fault.REFUSED)
        self._first_names.add(first)

    def learn(self, names: Mapping[str, str]) -> None:
        """Remember logins by the keys of distinguished names."""
        if len(self.names) + len(names) > MAX_KNOWN_NAMES:
            self.names.clear()
        self.names.update(names)


def _sign_in_reason(text: str) -> str:
    words = text.lower().replace(",", " ").split()
    code = words[words.index("data") + 1] if "data" in words[:-1] else ""
    return _SIGN_IN_REASONS.get(code, "")


def any_of(attribute: str, values: Sequence[str | bytes]) -> str:
    """A filter for entries whose attribute has one of these values."""
    return "(|" + "".join(f"({attribute}={escaped(value)})" for value in values) + ")"
