"""Samba as an Active Directory domain controller on loopback. It takes ports 389 and 636 of its own address, and root."""

import base64
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.waiting import until

ADDRESS, BASE = "127.0.0.77", "DC=corp,DC=example"
ADMIN, PASSWORD = "Administrator@corp.example", "Correct-Horse-Battery-9"
CONFIGURATION = """
    interfaces = {address}/8
    bind interfaces only = yes
    ncalrpc dir = {folder}/ncalrpc
    pid directory = {folder}
    log file = {folder}/log.%m
    tls enabled = yes
    tls certfile = {folder}/certificate.pem
    tls keyfile = {folder}/key.pem
    tls cafile = {folder}/authority.pem
"""


@dataclass(frozen=True)
class Samba:
    """A domain controller that runs. ``ca``: PEM, in a file for the tools of OpenLDAP."""

    ca: Path

    def settings(self, **values: object) -> dict[str, object]:
        return {
            "host": ADDRESS,
            "port": 636,
            "security": "ldaps",
            "account": "reader@corp.example",
            "password": PASSWORD,
            "base_dn": BASE,
            "tls": {"ca": self.ca.read_text()},
        } | values

    def change(self, ldif: str) -> None:
        """Apply LDIF as the administrator."""
        command = ["ldapmodify", "-x", "-H", f"ldaps://{ADDRESS}", "-D", ADMIN, "-w", PASSWORD]
        environment = os.environ | {"LDAPTLS_CACERT": str(self.ca)}
        done = subprocess.run(
            command, check=False, input=ldif, env=environment, capture_output=True, text=True
        )
        assert not done.returncode, done.stderr

    def answers(self) -> bool:
        command = ["ldapsearch", "-x", "-H", f"ldaps://{ADDRESS}", "-s", "base", "-b", "", "currentTime"]
        environment = os.environ | {"LDAPTLS_CACERT": str(self.ca)}
        return not subprocess.run(command, check=False, env=environment, capture_output=True).returncode


def user_ldif(name: str, *, control: int = 512, **values: str) -> str:
    """A user with the password of the tests."""
    password = base64.b64encode(f'"{PASSWORD}"'.encode("utf-16-le")).decode()
    fields: Mapping[str, str] = {
        "sAMAccountName": name,
        "userPrincipalName": f"{name}@corp.example",
        "displayName": name.capitalize(),
        "userAccountControl": str(control),
    } | values
    lines = "".join(f"{field}: {value}\n" for field, value in fields.items())
    return f"dn: CN={name},CN=Users,{BASE}\nchangetype: add\nobjectClass: user\n{lines}unicodePwd:: {password}\n\n"


@contextmanager
def running(folder: Path) -> Iterator[Samba]:
    """Provision a domain in an empty folder, and serve it while the block lasts."""
    authority = trustme.CA()
    certificate = authority.issue_cert(ADDRESS)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    provision = ["samba-tool", "domain", "provision", "--realm=CORP.EXAMPLE", "--domain=CORP"]
    provision += ["--server-role=dc", "--dns-backend=NONE", f"--adminpass={PASSWORD}", "--host-ip=127.0.0.1"]
    subprocess.run([*provision, "--host-name=dc1", f"--targetdir={folder}"], check=True, capture_output=True)
    path = folder / "etc" / "smb.conf"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.strip().startswith(("server services", "log file"))]
    services = "    server services = ldap, cldap, drepl, rpc"
    at = kept.index("[global]") + 1
    own = CONFIGURATION.format(folder=folder, address=ADDRESS)
    path.write_text("\n".join([*kept[:at], services, own, *kept[at:]]) + "\n")
    found = Samba(folder / "authority.pem")
    with (folder / "output").open("wb") as output:
        command = ["samba", "-i", "-M", "single", "-s", path]
        # It ends when its standard input does.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output) as server:
            try:
                until(found.answers, "Samba answers")
                yield found
            finally:
                server.terminate()
