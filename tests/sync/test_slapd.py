"""A real OpenLDAP server: encryption, paging beyond its size limit, managers, groups, locks, sign-ins."""

import subprocess

import pytest

from checks.models import Account
from checks.services import add_source
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from tests.doubles import slapd
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.ldap

KIND = API_SOURCES["ldap"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with slapd.running(tmp_path_factory.mktemp("slapd")) as running:
        yield running


def call_of(server, **values):
    cleaned = KIND.clean(server.settings(**values))
    return KIND.call(SourceSettings(1, "ldap", "ldap", cleaned.settings, cleaned.secrets), None)


def fault_of(server, **values):
    call = call_of(server, **values)
    with pytest.raises(SourceFault) as raised:
        KIND.fetch(KIND.listing, call, None)
    call.close()
    return raised.value


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("security", ["ldaps", "starttls"])
def test_all_users_arrive_although_one_answer_holds_500(server, security):
    # By this sign-in its overlay records a time.
    command = ["ldapwhoami", "-x", "-ZZ", "-H", f"ldap://localhost:{server.port}", "-w", slapd.PASSWORD]
    subprocess.run(
        [*command, "-D", f"uid=user0001,ou=people,{slapd.SUFFIX}"],
        check=True,
        capture_output=True,
        env={"LDAPTLS_REQCERT": "never", "PATH": "/usr/bin:/bin"},
    )
    add_source(slug="ldap", name="Directory", kind="identity", provider="LDAP")
    port = server.tls_port if security == "ldaps" else server.port
    document = server.settings(port=port, security=security, admin_groups=["Admins", "wheel"])
    connection, _ = save_connection(slug="ldap", kind="ldap", document=document)
    done = sync(connection)

    assert (done.state, done.error, Account.objects.count()) == (Sync.State.SUCCEEDED, "", slapd.USERS)
    first, second, locked, wheel = (account(f"user000{number}") for number in range(4))
    assert (second.manager, first.manager) == ("user0000", None)
    assert (second.title, second.employee_id, second.groups) == ("Ingénieure", "1001", ["Admins"])
    assert (second.admin_roles, wheel.admin_roles, first.admin_roles) == (["Admins"], ["wheel"], [])
    assert (first.status, locked.status) == ("active", "locked_out")
    assert (first.last_sign_in_known, second.last_sign_in_known) == (False, True)
    assert len(first.source_key) == 36


@pytest.mark.django_db(transaction=True)
def test_test_connectivity_says_what_the_server_records(server):
    add_source(slug="ldap", name="Directory", kind="identity", provider="LDAP")
    document = server.settings(filter="(uid=user0000)")
    connection, _ = save_connection(slug="ldap", kind="ldap", document=document)
    found = probe_connection(connection)
    states = {each.name: str(each.state) for each in found.permissions}
    assert states == {
        "Users": "granted",
        "Passwords": "missing",
        "Last sign-in": "missing",
        "Groups": "missing",
    }
    assert (found.users, found.more_users) == (1, False)


def test_faults_say_what_to_do(server):
    wrong = fault_of(server, password="wrong-0123456789")
    assert (wrong.fault, "does not accept account and password" in str(wrong)) == (Fault.CREDENTIAL, True)
    assert fault_of(server, base_dn="dc=nowhere").status == 32
    assert "certificate of localhost was refused" in str(fault_of(server, tls={}))
    assert fault_of(server, port=server.port).fault is Fault.TEMPORARY
    assert fault_of(server, port=server.tls_port, security="starttls").fault is Fault.TEMPORARY


def test_a_password_in_the_clear_would_have_been_refused(server):
    """What the test of the double shows, the server's own rule confirms: it takes passwords over TLS alone."""
    command = ["ldapwhoami", "-x", "-H", f"ldap://localhost:{server.port}", "-D", slapd.READER]
    done = subprocess.run([*command, "-w", slapd.PASSWORD], check=False, capture_output=True, text=True)
    assert "Confidentiality required" in done.stderr


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(uid=user0001)", 1),
        ("(&(objectClass=inetOrgPerson)(|(uid=user0001)(uid=user0002)))", 2),
        ("(&(uid=user000*)(!(uid=user0001)))", 9),
        ("(uid=*r000*)", 10),
        ("(cn=User 7)", 1),
        (r"(title=Ing\c3\a9nieure)", 1),
        ("(title=Ingénieure)", 1),
        ("(title=*)", 1),
        ("(createTimestamp>=20000101000000Z)", 500),
        ("(createTimestamp<=20000101000000Z)", 0),
        ("(uid:caseExactMatch:=USER0001)", 0),
        ("(uid:caseIgnoreMatch:=USER0001)", 1),
        ("(ou:dn:=people)", 500),
    ],
)
def test_the_server_reads_a_filter_as_it_is_meant(server, text, found):
    call = call_of(server)
    entries, _ = call.page(f"ou=people,{slapd.SUFFIX}", f"(&(objectClass=inetOrgPerson){text})", ("uid",))
    call.close()
    assert len(entries) == found
