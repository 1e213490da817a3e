"""OpenLDAP's slapd on loopback, with users, groups and TLS by a certificate authority of the test."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.waiting import is_open, until

SUFFIX, READER, PASSWORD = "dc=example,dc=com", "cn=reader,dc=example,dc=com", "correct horse battery"
USERS = 1_200
SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {folder}/slapd.pid
security simple_bind=128
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.pem
sizelimit size.soft=500 size.pr=500 size.prtotal=unlimited
database mdb
suffix {suffix}
directory {folder}/data
rootdn cn=admin,{suffix}
overlay memberof
lastbind on
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact={reader} read by * auth
"""


@dataclass(frozen=True)
class Slapd:
    """A directory that runs. ``port`` speaks LDAP with StartTLS, ``tls_port`` LDAPS; ``ca``: PEM."""

    port: int
    tls_port: int
    ca: str

    def settings(self, **values: object) -> dict[str, object]:
        return {
            "host": "localhost",
            "port": self.tls_port,
            "security": "ldaps",
            "account": READER,
            "password": PASSWORD,
            "base_dn": SUFFIX,
            "tls": {"ca": self.ca},
        } | values


def user_ldif(number: int, **values: str) -> str:
    """One user: with a manager from the second on, who is on the first page."""
    name = f"user{number:04}"
    fields = {
        "uid": name,
        "cn": f"User {number}",
        "sn": "User",
        "mail": f"{name}@example.com",
        "employeeNumber": str(1000 + number),
        **({"manager": f"uid=user0000, ou=people, {SUFFIX}"} if number else {}),
    } | values
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return f"dn: uid={name},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\n{lines}"


def _content() -> str:
    people = [user_ldif(number) for number in range(USERS)]
    people[1] += f"userPassword: {PASSWORD}\nmemberOf: cn=Admins,{SUFFIX}\ntitle: Ingénieure\n"
    people[2] += f"pwdAccountLockedTime: 000001010000Z\nmemberOf: cn=Admins,{SUFFIX}\n"
    return "\n".join(
        (
            f"dn: {SUFFIX}\nobjectClass: domain\ndc: example\n",
            f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n"
            f"userPassword: {PASSWORD}\n",
            f"dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n",
            f"dn: cn=Admins,{SUFFIX}\nobjectClass: groupOfNames\ncn: Admins\n"
            f"member: uid=user0001,ou=people,{SUFFIX}\nmember: uid=user0002,ou=people,{SUFFIX}\n",
            f"dn: cn=wheel,{SUFFIX}\nobjectClass: posixGroup\ncn: wheel\ngidNumber: 10\nmemberUid: user0003\n",
            *people,
        )
    )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[Slapd]:
    """Serve while the block lasts. ``folder``: an empty folder for its data."""
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "data").mkdir()
    (folder / "slapd.conf").write_text(CONFIGURATION.format(folder=folder, suffix=SUFFIX, reader=READER))
    (folder / "content.ldif").write_text(_content())
    # AppArmor knows slapd by its path, and lets it read the system's own configuration alone.
    program = shutil.copy(SLAPD, folder / "slapd")
    add = [program, "-T", "add", "-q", "-f", folder / "slapd.conf"]
    subprocess.run([*add, "-l", folder / "content.ldif"], check=True, capture_output=True)
    found = Slapd(_free_port(), _free_port(), authority.cert_pem.bytes().decode())
    addresses = f"ldap://127.0.0.1:{found.port}/ ldaps://127.0.0.1:{found.tls_port}/"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, "-d", "0", "-f", folder / "slapd.conf", "-h", addresses],
            stdout=log,
            stderr=log,
            env=os.environ | {"KRB5_KTNAME": os.devnull},
        )
        try:
            until(lambda: is_open(found.port) and is_open(found.tls_port), "slapd listens")
            yield found
        finally:
            server.terminate()
            server.wait(timeout=20)
