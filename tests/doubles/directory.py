"""A directory on loopback that answers the requests of LDAP as RFC 4511 and RFC 2696 say, over TLS.

``disturb`` sees each search before the directory and may answer in its place: a result code, bytes, or nothing at all.
"""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import trustme

from integrations.sources.shared.directory_values import dn_key
from integrations.transport import ldap_messages as ldap

READER, PASSWORD = "reader@corp.example", "secret-of-the-reader-0123456789"
SUCCESS, NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 32, 49
CLOSE = b""


@dataclass(frozen=True, slots=True)
class Search:
    """One search. ``number`` counts from 1; ``first``: the place of its first entry, by its cookie."""

    number: int
    base: str
    scope: int
    filter: bytes
    first: int
    asks_page: bool


@dataclass
class StoredEntry:
    dn: str
    values: Mapping[str, Sequence[bytes]]

    def matching(self, name: str) -> list[bytes]:
        if name in ("distinguishedname", "entrydn"):
            return [dn_key(self.dn).encode()]
        return [value.lower() for key, found in self.values.items() if key.lower() == name for value in found]


def entry(dn: str, **values: Any) -> StoredEntry:
    """An entry; a value is text, bytes, or a list of these. ``_`` in a name stands for ``-``."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return StoredEntry(
        dn,
        {
            name.replace("_", "-"): [each.encode() if isinstance(each, str) else each for each in found]
            for name, found in lists.items()
        },
    )


Disturb = Callable[[Search], "int | bytes | None"]


@dataclass
class ScriptedDirectory:
    """``page``: the most entries of a page. ``start_tls``: what StartTLS is answered, where TLS does not come first."""

    entries: list[StoredEntry]
    page: int = 500
    start_tls: bytes | int | None = None
    disturb: Disturb | None = None
    account: str = READER
    password: str = PASSWORD
    refusal: str = ""
    asked: list[Search] = field(default_factory=list)
    binds: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> "ScriptedDirectory":
        self.authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(self.context)
        directory = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, ssl.SSLError):
                    _Conversation(directory, self.request).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def settings(self, **values: Any) -> dict[str, Any]:
        return {
            "host": "localhost",
            "port": self.port,
            "security": "ldaps" if self.start_tls is None else "starttls",
            "account": self.account,
            "password": self.password,
            "base_dn": "DC=corp,DC=example",
            "tls": {"ca": self.authority.cert_pem.bytes().decode()},
        } | values

    def matches(self, compiled: bytes, each: StoredEntry) -> bool:
        reader = ldap._BerReader(compiled)
        tag = reader.tag
        return self._matches(tag or 0, reader.next(), each)

    def _matches(self, tag: int, content: bytes, each: StoredEntry) -> bool:
        if tag in (0xA0, 0xA1, 0xA2):
            parts = [self._matches(inner, part, each) for inner, part in ldap._BerReader(content).rest()]
            return not parts[0] if tag == 0xA2 else all(parts) if tag == 0xA0 else any(parts)
        if tag == 0x87:
            return bool(each.matching(content.decode().lower())) or content.lower() == b"objectclass"
        if tag == 0xA9:
            parts = dict(ldap._BerReader(content).rest())
            return self._is_in_chain(each, parts[0x83].decode().lower(), set())
        reader = ldap._BerReader(content)
        name, value = reader.next().decode().lower(), reader.next()
        assert tag == 0xA3, f"the double knows no comparison with tag {tag:x}"
        is_name = name in ("distinguishedname", "entrydn")
        return (dn_key(value.decode()).encode() if is_name else value.lower()) in each.matching(name)

    def _is_in_chain(self, each: StoredEntry, group: str, seen: set[str]) -> bool:
        names = {value.decode() for value in each.matching("memberof")} - seen
        groups = [other for other in self.entries if other.dn.lower() in names]
        return group in names or any(self._is_in_chain(other, group, seen | names) for other in groups)


class _Conversation:
    """What one connection says."""

    def __init__(self, directory: ScriptedDirectory, sock: socket.socket) -> None:
        self.directory, self.sock = directory, sock
        self.signed_in, self.received = False, bytearray()

    def run(self) -> None:
        if self.directory.start_tls is None:
            self.encrypt()
        try:
            while (data := self.message()) is not None and self.answered(data):
                pass
        finally:
            self.sock.close()

    def encrypt(self) -> None:
        self.sock = self.directory.context.wrap_socket(self.sock, server_side=True)

    def message(self) -> bytes | None:
        while (size := ldap.whole_length(self.received)) is None or len(self.received) < size:
            part = self.sock.recv(65536)
            if not part:
                return None
            self.received += part
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    def answered(self, data: bytes) -> bool:
        """Answer one message; whether the conversation goes on."""
        reader = ldap._BerReader(ldap._BerReader(data).next())
        number, operation = ldap._number(reader.next()), reader.tag
        content = reader.next()
        if operation == ldap.UNBIND:
            return False
        if operation == ldap.EXTENDED:
            return self.start_tls(number)
        if operation == ldap.BIND:
            self.bind(number, ldap._BerReader(content))
            return True
        return self.search(number, content, reader)

    def start_tls(self, number: int) -> bool:
        answer = self.directory.start_tls
        if isinstance(answer, int) and answer:
            self.send(number, ldap.EXTENDED_RESPONSE, answer)
            return True
        extra = answer if isinstance(answer, bytes) else b""
        self.sock.sendall(_message(number, _result(ldap.EXTENDED_RESPONSE, 0, "")) + extra)
        self.encrypt()
        return True

    def bind(self, number: int, fields: Any) -> None:
        fields.next()
        given = (fields.next().decode(), fields.next().decode())
        self.directory.binds.append(given)
        self.signed_in = given == (self.directory.account, self.directory.password)
        code = SUCCESS if self.signed_in else INVALID_CREDENTIALS
        self.send(number, ldap.BIND_RESPONSE, code, self.directory.refusal)

    def search(self, number: int, content: bytes, rest: Any) -> bool:
        fields = ldap._BerReader(content)
        base, scope = fields.next().decode(), ldap._number(fields.next())
        for _ in range(4):
            fields.next()
        tag = fields.tag or 0
        compiled = ldap.element(tag, fields.next())
        wanted = [name.decode().lower() for _, name in ldap._BerReader(fields.next()).rest()]
        cookie = ldap._cookie(rest)
        asks_page = ldap.PAGED_RESULTS.encode() in rest.data
        asked = Search(len(self.directory.asked) + 1, base, scope, compiled, int(cookie or b"0"), asks_page)
        self.directory.asked.append(asked)
        disturbed = self.directory.disturb(asked) if self.directory.disturb else None
        if isinstance(disturbed, bytes):
            self.sock.sendall(disturbed)
            return False
        if disturbed is not None:
            self.send(number, ldap.DONE, disturbed, self.directory.refusal)
            return True
        self.answer_search(number, asked, wanted)
        return True

    def answer_search(self, number: int, asked: Search, wanted: Sequence[str]) -> None:
        directory, base = self.directory, asked.base.lower()
        below = [each for each in directory.entries if each.dn.lower().endswith(base)]
        if asked.scope == ldap.BASE:
            below = [each for each in below if each.dn.lower() == base]
        if not below or not self.signed_in:
            self.send(number, ldap.DONE, NO_SUCH_OBJECT)
            return
        found = [each for each in below if directory.matches(asked.filter, each)]
        end = asked.first + directory.page if asked.asks_page else len(found)
        for each in found[asked.first : end]:
            self.sock.sendall(_message(number, _entry(each, wanted)))
        # A reference to another server, which no client has to follow.
        self.sock.sendall(
            _message(number, ldap.element(ldap.REFERENCE, ldap.octets("ldap://other.example/")))
        )
        following = str(end).encode() if end < len(found) else b""
        self.sock.sendall(_message(number, _result(ldap.DONE, 0, ""), following if asked.asks_page else None))

    def send(self, number: int, operation: int, code: int, text: str = "") -> None:
        self.sock.sendall(_message(number, _result(operation, code, text)))


def _result(operation: int, code: int, text: str) -> bytes:
    return ldap.element(operation, ldap.integer(code, 0x0A) + ldap.octets("") + ldap.octets(text))


def _entry(each: StoredEntry, wanted: Sequence[str]) -> bytes:
    attributes = b"".join(
        ldap.element(
            0x30, ldap.octets(name) + ldap.element(0x31, b"".join(ldap.octets(value) for value in values))
        )
        for name, values in each.values.items()
        if name.lower().partition(";")[0] in wanted
    )
    return ldap.element(ldap.ENTRY, ldap.octets(each.dn) + ldap.element(0x30, attributes))


def _message(number: int, operation: bytes, cookie: bytes | None = None) -> bytes:
    controls = b""
    if cookie is not None:
        value = ldap.element(0x30, ldap.integer(0) + ldap.octets(cookie))
        control = ldap.element(0x30, ldap.octets(ldap.PAGED_RESULTS) + ldap.octets(value))
        controls = ldap.element(0xA0, control)
    return ldap.element(0x30, ldap.integer(number) + operation + controls)


# --- Directories of the tests ---------------------------------------------------------------------------

DOMAIN, DOMAIN_SID = "DC=corp,DC=example", bytes.fromhex("010400000000000515000000") + b"\x01\x02\x03\x04" * 3
BUILTIN_SID = bytes.fromhex("010100000000000520000000")
DAY = 864_000_000_000
# FILETIME of 2025-11-20 08:30 UTC.
SIGNED_IN = 134_081_010_000_000_000


def guid_of(number: int) -> bytes:
    return bytes(15) + bytes((number,))


def domain_user(number: int, name: str, unit: str = "CN=Users", **values: Any) -> StoredEntry:
    """A user with the attributes that Active Directory gives every user."""
    fields: dict[str, Any] = {
        "objectClass": ["top", "person", "organizationalPerson", "user"],
        "objectCategory": "person",
        "objectGUID": guid_of(number),
        "sAMAccountName": name,
        "userPrincipalName": f"{name}@corp.example",
        "userAccountControl": "512",
        "msDS_User_Account_Control_Computed": "0",
        "accountExpires": "9223372036854775807",
        "whenCreated": "20250131083000.0Z",
        "pwdLastSet": str(SIGNED_IN - 30 * DAY),
        "lastLogonTimestamp": str(SIGNED_IN),
        "lastLogon": "0",
        "logonCount": "7",
        "badPwdCount": "0",
    }
    kept = {key: value for key, value in (fields | values).items() if value is not None}
    return entry(f"CN={name},{unit},{DOMAIN}", **kept)


def domain_group(identifier: int, name: str, domain: bytes = DOMAIN_SID, **values: Any) -> StoredEntry:
    sid = domain[:1] + bytes((domain[1] + 1,)) + domain[2:] + identifier.to_bytes(4, "little")
    return entry(
        f"CN={name},CN=Users,{DOMAIN}", objectClass="group", objectSid=sid, sAMAccountName=name, **values
    )


def small_domain(*users: StoredEntry, page: int = 2, **values: Any) -> ScriptedDirectory:
    """A domain with its administrator group, and these users or five."""
    people = users or tuple(domain_user(number, f"user{number}") for number in range(5))
    return ScriptedDirectory(
        [
            entry(DOMAIN, objectClass="domain", objectSid=DOMAIN_SID),
            domain_group(512, "Domain Admins"),
            *people,
        ],
        page=page,
        **values,
    )


def small_organization(page: int = 2, **values: Any) -> ScriptedDirectory:
    """Five users of an OpenLDAP directory, the first of them in the group of administrators."""
    people = [
        entry(
            f"uid=user{number},ou=people,dc=corp,dc=example",
            objectClass=["inetOrgPerson"],
            uid=f"user{number}",
            entryUUID=f"00000000-0000-1000-8000-00000000000{number}",
            cn=f"User {number}",
            createTimestamp="20250131083000Z",
        )
        for number in range(5)
    ]
    groups = entry(
        "cn=Admins,dc=corp,dc=example", objectClass=["groupOfNames"], cn="Admins", member=[people[0].dn]
    )
    return ScriptedDirectory(
        [entry("dc=corp,dc=example", objectClass="domain"), groups, *people], page=page, **values
    )
