"""A real Active Directory domain controller (Samba): run by hand, see docs/development.md."""

import pytest

from checks.models import Account
from checks.services import add_source
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.source_data import SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from tests.doubles import samba
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.samba

KIND = API_SOURCES["activedirectory"]
USERS = f"CN=Users,{samba.BASE}"
GROUPS = f"""
dn: CN=Tier0,{USERS}
changetype: add
objectClass: group
sAMAccountName: Tier0
member: CN=ann,{USERS}

dn: CN=Domain Admins,{USERS}
changetype: modify
add: member
member: CN=Tier0,{USERS}

dn: {samba.BASE}
changetype: modify
replace: lockoutThreshold
lockoutThreshold: 3

"""
MANY = 600


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    with samba.running(tmp_path_factory.mktemp("samba")) as running:
        user = samba.user_ldif
        running.change(
            user("reader") + user("bob") + user("ann", manager=f"CN=bob,{USERS}", employeeID="1001")
        )
        running.change(
            user("cem", control=514)
            + user("dee", pwdLastSet="0")
            + user("eve")
            + user("fay", accountExpires="132223104000000000")
            + user("gus", control=66048)
        )
        running.change(GROUPS)
        running.change("".join(user(f"many{number:03}") for number in range(MANY)))
        yield running


def sign_in_problem(domain, name, password=samba.PASSWORD):
    cleaned = KIND.clean(domain.settings(account=f"{name}@corp.example", password=password))
    call = KIND.call(SourceSettings(1, "ad", KIND.slug, cleaned.settings, cleaned.secrets), None)
    with pytest.raises(SourceFault) as raised:
        KIND.fetch(KIND.listing, call, None)
    return str(raised.value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("security", "port"), [("ldaps", 636), ("starttls", 389)])
def test_a_sync_reads_what_the_controller_computes(domain, security, port):
    for _ in range(3):
        assert "The account" in sign_in_problem(domain, "eve", "wrong-0123456789")
    add_source(slug="ad", name="AD", kind="identity", provider="ACTIVE_DIRECTORY")
    document = domain.settings(security=security, port=port)
    connection, _ = save_connection(slug="ad", kind=KIND.slug, document=document)
    assert {str(each.state) for each in probe_connection(connection).permissions} == {"granted"}
    done = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert Account.objects.filter(login__startswith="many").count() == MANY
    statuses = {name: account(f"{name}@corp.example").status for name in ("ann", "cem", "dee", "eve", "fay")}
    assert statuses == {
        "ann": "active",
        "cem": "disabled",
        "dee": "password_expired",
        "eve": "locked_out",
        "fay": "disabled",
    }
    ann, gus, reader = (account(f"{name}@corp.example") for name in ("ann", "gus", "reader"))
    assert (ann.manager, ann.employee_id, ann.groups) == ("bob@corp.example", "1001", ["Tier0"])
    # An administrator through a group in a group.
    assert sorted(ann.admin_roles) == ["Administrators", "Domain Admins"]
    assert (gus.password_never_expires, gus.admin_roles) == (True, [])
    assert (reader.last_sign_in_known, ann.last_sign_in_at) == (True, None)
    assert account("eve@corp.example").failed_sign_ins == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cem", "is disabled"),
        ("dee", "must change its password"),
        ("fay", "has expired"),
        ("nobody", "or its password is wrong"),
    ],
)
def test_a_sign_in_that_is_refused_says_why(domain, name, reason):
    assert reason in sign_in_problem(domain, name)
