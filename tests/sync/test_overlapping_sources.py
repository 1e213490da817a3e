"""Five connected sources and an HR file about the same people: users, joins and findings as docs/checks.md has them,
written out by hand. Who is who:

======  =================================================================================================
ann     in six sources; super administrator in Okta with a security key
bob     MFA in Okta, none in Google; another department in HR
cem     left ten days ago: disabled in Entra, still active in Okta
dee     last sign-in 45 days ago, after one of 90 days ago elsewhere; three failed attempts since
eve     idle in Okta, active in Google; a second account as administrator in Entra, with push alone
gus     a guest with an administrator role, without MFA, last here 60 days ago
ivy     created 20 days ago, never signed in; text messages to a phone that jon has too
jon     the phone of ivy; active in Okta, suspended in Google without MFA
kim     a security key in Okta; owner in GitHub without two-factor authentication, with the same address
lou     a member in GitHub without an address: nobody else, and hardly anything is known
mia     on leave in HR; has no manager
ned     locked out for 20 days; a password that never expires; his manager has left
ott     has left and is deprovisioned: not evaluated
pia     unknown to HR; an old password in Entra, a new one in Active Directory; the same address in both
quin    has rex's employee id: it joins nobody; younger than the grace period of MFA
rex     no user type in Okta, which has the field
svc     a service account with ann's address
tom     external in Okta, a member in Entra
uma     in HR alone
vic     an outside collaborator in GitHub without two-factor authentication
======  =================================================================================================
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checks.models import Account, Finding, Run, User
from checks.services import add_source, import_accounts, run_checks, sync_catalogue
from cii_project.tools.scripted_sources.entra import ScriptedEntra, entra_user
from cii_project.tools.scripted_sources.github import Person, ScriptedGitHub
from cii_project.tools.scripted_sources.google import ScriptedGoogle, google_user
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import save_connection
from integrations.sources import API_SOURCES
from tests.doubles.directory import DOMAIN, ScriptedDirectory, StoredEntry, domain_user, small_domain
from tests.sync import worlds
from tests.sync.test_every_source import KEY, WORLDS

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = "+15550100"
# Per person: the accounts as source → login, and why those after the first belong to the same user.
USERS: dict[str, tuple[dict[str, str | list[str]], set[str]]] = {
    "ann": (
        {
            "okta": "ann.ames@example.com",
            "entra": "ann.ames@contoso.com",
            "google": "ann.ames@example.com",
            "activedirectory": "aames@corp.example",
            "github": "annames",
            "hr": "1001",
        },
        {"employee_id", "email"},  # GitHub has no employee id, but her address
    ),
    "bob": (
        {"okta": "bob.bell@example.com", "google": "bob.bell@example.com", "hr": "1002"},
        {"employee_id"},
    ),
    "cem": ({"okta": "cem.cole@example.com", "entra": "cem.cole@contoso.com", "hr": "1003"}, {"employee_id"}),
    "dee": (
        {"okta": "dee.dorn@example.com", "activedirectory": "ddorn@corp.example", "hr": "1004"},
        {"employee_id"},
    ),
    "eve": (
        {
            "okta": "eve.eads@example.com",
            # Two accounts of one source with one employee id, whose names agree.
            "entra": ["adm.eve@contoso.com", "eve.eads@contoso.com"],
            "google": "eve.eads@example.com",
            "hr": "1005",
        },
        {"employee_id"},
    ),
    "gus": ({"entra": "gus_partner.example#EXT#@contoso.com"}, set()),
    "ivy": ({"okta": "ivy.ince@example.com", "hr": "1006"}, {"employee_id"}),
    "jon": ({"okta": "jon.jay@example.com", "google": "jon.jay@example.com", "hr": "1007"}, {"employee_id"}),
    "kim": ({"okta": "kim.kerr@example.com", "github": "kimkerr", "hr": "1009"}, {"employee_id", "email"}),
    "lou": ({"github": "llane"}, set()),
    "mia": ({"okta": "mia.moss@example.com", "entra": "mia.moss@contoso.com", "hr": "1010"}, {"employee_id"}),
    "ned": (
        {"okta": "ned.nash@example.com", "activedirectory": "nnash@corp.example", "hr": "1011"},
        {"employee_id"},
    ),
    "ott": ({"okta": "ott.olsen@example.com", "hr": "1012"}, {"employee_id"}),
    "pia": ({"entra": "pia.page@contoso.com", "activedirectory": "ppage@corp.example"}, {"email"}),
    "quin": ({"okta": "quin.queen@example.com"}, set()),
    "rex": ({"okta": "rex.rhodes@example.com"}, set()),
    # A human and a non-human account never join by e-mail alone.
    "svc": ({"okta": "svc.backup@example.com"}, set()),
    "tom": ({"okta": "tom.tate@example.com", "entra": "tom.tate@contoso.com"}, {"email"}),
    "uma": ({"hr": "1020"}, set()),
    "vic": ({"github": "vic-dev"}, set()),
}
FINDINGS: set[tuple[str, str]] = {
    ("no-mfa", "bob"),  # his Google account has none; each enabled account counts
    ("no-mfa", "gus"),  # no method registered
    ("no-mfa", "kim"),  # GitHub
    ("no-mfa", "vic"),  # GitHub; no creation time is no grace
    ("nhi-no-mfa", "svc"),
    ("weak-mfa-only", "ivy"),  # text messages alone, 20 days old
    ("weak-mfa-only", "jon"),
    ("admin-weak-mfa", "eve"),  # push is not resistant to phishing
    ("admin-weak-mfa", "gus"),
    ("admin-weak-mfa", "kim"),  # owner in GitHub; the enabled account there has nothing
    ("admin-weak-mfa", "svc"),  # administrator in Okta without a factor
    ("shared-authenticator", "ivy"),
    ("shared-authenticator", "jon"),
    ("inactive-user", "dee"),  # the latest sign-in of all sources is 45 days old
    ("inactive-account-probing", "dee"),  # and three attempts have failed since
    ("inactive-guest", "gus"),
    ("dormant-admin", "gus"),
    ("guest-admin", "gus"),
    ("never-logged-in", "ivy"),
    ("password-age", "pia"),  # 400 days in Entra, whatever Active Directory says
    ("nhi-password-age", "svc"),  # 200 days, allowed are 180
    ("password-never-expires", "ned"),
    (
        "user-type-missing",
        "rex",
    ),  # the source gives the field empty; elsewhere it is left out, which is unknown
    ("user-type-inconsistent", "tom"),
    ("status-inconsistent", "cem"),
    ("status-inconsistent", "jon"),  # suspended in Google
    ("stuck-state", "ned"),
    ("terminated-active", "cem"),
    ("missing-in-hr", "pia"),
    ("hr-mismatch", "bob"),
    ("no-manager", "gus"),
    ("no-manager", "mia"),
    ("manager-inactive", "ned"),
    ("nhi-admin", "svc"),
}
NOW = datetime.now(UTC).replace(microsecond=0)


def ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def filetime(days: float) -> str:
    """Active Directory's unit: 100 ns since 1601."""
    return str(int(((NOW - timedelta(days=days)).timestamp() + 11_644_473_600) * 10_000_000))


def okta_person(
    login: str, employee: str | None = None, *, idle: float | None = 1, password: float = 40, **values: Any
) -> dict[str, Any]:
    profile = values.pop("profile", {}) | ({"employeeNumber": employee} if employee else {})
    name = f"{login}@example.com"
    return okta_user(
        f"00u-{login}",
        name,
        profile=profile,
        **{
            "created": ago(600),
            "statusChanged": ago(600),
            "lastLogin": None if idle is None else ago(idle),
            "passwordChanged": ago(password),
            **values,
        },
    )


def okta() -> ScriptedOkta:
    people = [
        okta_person(
            "ann.ames", "1001", profile={"managerId": "mia.moss@example.com", "department": "finance"}
        ),
        okta_person("bob.bell", "1002", profile={"department": "Marketing"}),
        okta_person("cem.cole", "1003", idle=5),
        okta_person("dee.dorn", "1004", idle=90),
        okta_person("eve.eads", "1005", idle=90),
        okta_person("ivy.ince", "1006", idle=None, created=ago(20), statusChanged=ago(20)),
        okta_person("jon.jay", "1007"),
        okta_person("kim.kerr", "1009"),
        okta_person("mia.moss", "1010", profile={"managerId": None}),
        okta_person("ned.nash", "1011", status="LOCKED_OUT", statusChanged=ago(20)),
        okta_person("ott.olsen", "1012", idle=100, status="DEPROVISIONED", statusChanged=ago(90)),
        okta_person("quin.queen", "9999", created=ago(10), profile={"userType": "Employee"}),
        okta_person("rex.rhodes", "9999", profile={"userType": None}),
        okta_person(
            "svc.backup", password=200, profile={"userType": "Service", "email": "ann.ames@example.com"}
        ),
        okta_person("tom.tate", profile={"userType": "Contractor", "managerId": "mia.moss@example.com"}),
    ]
    push, key = okta_factor("push"), okta_factor("webauthn")
    text_message = okta_factor("sms", phoneNumber=PHONE)
    factors = {
        f"00u-{person}": [push] for person in ("bob.bell", "cem.cole", "dee.dorn", "mia.moss", "tom.tate")
    }
    factors |= {f"00u-{person}": [key] for person in ("ann.ames", "eve.eads", "kim.kerr", "ned.nash")}
    factors |= {"00u-ivy.ince": [text_message], "00u-jon.jay": [text_message]}
    factors |= {"00u-rex.rhodes": [okta_factor("token:software:totp")]}
    roles = {"00u-ann.ames": ["SUPER_ADMIN"], "00u-svc.backup": ["ORG_ADMIN"]}
    return ScriptedOkta(users={each["id"]: each for each in people}, factors=factors, roles=roles, page=4)


def entra_person(login: str, employee: str | None, idle: float, **values: Any) -> dict[str, Any]:
    return entra_user(
        f"e-{login}",
        f"{login}@contoso.com",
        **{
            "mail": f"{login}@example.com",
            "employeeId": employee,
            "createdDateTime": ago(500),
            "lastPasswordChangeDateTime": ago(40),
            "signInActivity": {"lastSignInDateTime": ago(idle), "lastSuccessfulSignInDateTime": ago(idle)},
            **values,
        },
    )


def entra() -> ScriptedEntra:
    guest = {
        "userType": "Guest",
        "mail": "gus@partner.example",
        "displayName": "Gus Gill",
        "externalUserState": "Accepted",
    }
    people = [
        entra_person("ann.ames", "1001", 2),
        entra_person("cem.cole", "1003", 12, accountEnabled=False),
        entra_person("eve.eads", "1005", 50),
        entra_person(
            "adm.eve", "1005", 50, mail=None, displayName="Eve Eads", givenName="Eve", surname="Eads"
        ),
        entra_person("gus_partner.example#EXT#", None, 60, **guest),
        entra_person("mia.moss", "1010", 1),
        entra_person("pia.page", None, 2, lastPasswordChangeDateTime=ago(400)),
        entra_person("tom.tate", None, 1),
    ]
    return ScriptedEntra(
        users={each["id"]: each for each in people},
        managers={"e-pia.page": "e-mia.moss", "e-ann.ames": "e-mia.moss"},
        methods={
            "e-ann.ames": ["fido2SecurityKey"],
            "e-eve.eads": ["fido2SecurityKey"],
            "e-adm.eve": ["microsoftAuthenticatorPush"],
            "e-mia.moss": ["microsoftAuthenticatorPush"],
            "e-pia.page": ["windowsHelloForBusiness"],
            "e-tom.tate": ["softwareOneTimePasscode"],
        },
        roles={"Global Administrator": ["e-adm.eve"], "User Administrator": ["e-gus_partner.example#EXT#"]},
        page=3,
    )


def google_person(login: str, employee: str, *, mfa: bool, idle: float = 1, **values: Any) -> dict[str, Any]:
    return google_user(
        f"g-{login}",
        f"{login}@example.com",
        externalIds=[{"type": "organization", "value": employee}],
        isEnrolledIn2Sv=mfa,
        lastLoginTime=ago(idle),
        creationTime=ago(400),
        **values,
    )


def google() -> ScriptedGoogle:
    people = [
        google_person("ann.ames", "1001", mfa=True),
        google_person("bob.bell", "1002", mfa=False),
        google_person("eve.eads", "1005", mfa=True, idle=3),
        google_person("jon.jay", "1007", mfa=False, suspended=True, suspensionTime=ago(30)),
    ]
    return ScriptedGoogle(public_key=KEY.public_key(), users={each["id"]: each for each in people}, page=2)


def github() -> ScriptedGitHub:
    return ScriptedGitHub(
        members=[
            Person(1, "annames", "Ann Ames", emails=("ann.ames@example.com",)),
            Person(
                2, "kimkerr", "Kim Kerr", emails=("kim.kerr@example.com",), two_factor=False, role="ADMIN"
            ),
            Person(3, "llane", "Lou Lane"),
        ],
        collaborators=[Person(9, "vic-dev", two_factor=False)],
        page=2,
    )


def domain_person(
    number: int, name: str, mail: str, employee: str | None, idle: float, **values: Any
) -> StoredEntry:
    return domain_user(
        number,
        name,
        mail=f"{mail}@example.com",
        employeeID=employee,
        displayName=mail.replace(".", " ").title(),
        lastLogonTimestamp=filetime(idle),
        pwdLastSet=filetime(30),
        **values,
    )


def domain() -> ScriptedDirectory:
    admins = f"CN=Domain Admins,CN=Users,{DOMAIN}"
    return small_domain(
        domain_person(1, "aames", "ann.ames", "1001", 3),
        domain_person(4, "ddorn", "dee.dorn", "1004", 45, badPwdCount="3"),
        # 0x10200: an ordinary account whose password never expires.
        domain_person(11, "nnash", "ned.nash", "1011", 2, userAccountControl="66048", memberOf=[admins]),
        domain_person(12, "ppage", "pia.page", None, 3),
    )


def hr_rows() -> list[dict[str, str]]:
    people = {
        "1001": ("ann.ames", "Active", "Finance", "1010"),
        "1002": ("bob.bell", "Active", "Sales", "1010"),
        "1003": ("cem.cole", "Terminated", "Sales", "1010"),
        "1004": ("dee.dorn", "Active", "Sales", "1010"),
        "1005": ("eve.eads", "Active", "IT", "1010"),
        "1006": ("ivy.ince", "Active", "IT", "1010"),
        "1007": ("jon.jay", "Active", "IT", "1010"),
        "1009": ("kim.kerr", "Active", "IT", "1010"),
        "1010": ("mia.moss", "On Leave", "IT", ""),
        "1011": ("ned.nash", "Active", "IT", "1012"),
        "1012": ("ott.olsen", "Terminated", "IT", "1010"),
        "1020": ("uma.unger", "Active", "IT", "1010"),
    }
    return [
        {
            "login": number,
            "employee_id": number,
            "email": f"{name}@example.com",
            "display_name": name.replace(".", " ").title(),
            "status": status,
            "status_changed_at": ago(10) if status == "Terminated" else ago(600),
            "department": department,
            "manager": manager,
        }
        for number, (name, status, department, manager) in people.items()
    ]


class Company:
    """The five sources while they are served, and their connections."""

    def __init__(self, stack: ExitStack) -> None:
        sync_catalogue()
        self.providers: dict[str, Any] = {
            "okta": okta(),
            "entra": entra(),
            "google": google(),
            "github": github(),
        }
        more = {"okta": {"passes": {"groups": False}}, "google": {"passes": {"keys": False}}}
        more["github"] = {"collaborators": True, "passes": {"groups": False}}
        self.connections: list[SourceConnection] = []
        for kind, provider in self.providers.items():
            server = stack.enter_context(ScriptedServer(provider))
            self._connect(kind, WORLDS[kind].document(server) | more.get(kind, {}))
        directory = stack.enter_context(domain())
        self._connect("activedirectory", directory.settings())
        self.hr = add_source(slug="hr", name="HR", kind="hr", provider="CSV")
        self.hr_rows = hr_rows()

    def _connect(self, kind: str, document: dict[str, Any]) -> None:
        add_source(slug=kind, name=kind, kind="identity", provider=API_SOURCES[kind].provider)
        self.connections.append(save_connection(slug=kind, kind=kind, document=document)[0])

    def day(self) -> dict[str, str]:
        """What happens each day: the file arrives, the sources are synced, the checks run. Returns how the syncs ended."""
        import_accounts(enumerate(self.hr_rows, 2), source=self.hr, full=True)
        ends = {connection.kind: str(worlds.sync(connection).state) for connection in self.connections}
        run_checks(trigger=Run.Trigger.COMMAND)
        return ends


@pytest.fixture
def company() -> Iterator[Company]:
    with ExitStack() as stack:
        yield Company(stack)


def people() -> dict[int, str]:
    """User id → the name of the table, by the first account that the table gives."""
    found = {}
    for person, (accounts, _) in USERS.items():
        source, login = next(iter(accounts.items()))
        user = Account.objects.get(
            source__slug=source, login=login if isinstance(login, str) else login[0]
        ).user
        assert user is not None
        found[user.pk] = person
    return found


def users() -> dict[str, tuple[dict[str, str | list[str]], set[str]]]:
    names = people()
    assert len(names) == len(USERS), "two people of the table are one user"
    found: dict[str, tuple[dict[str, list[str]], set[str]]] = {}
    for account in Account.objects.select_related("source").order_by("login"):
        logins, reasons = found.setdefault(names[account.user_id], ({}, set()))
        logins.setdefault(account.source.slug, []).append(account.login)
        if account.join_reason != "first":
            reasons.add(account.join_reason)
    return {
        person: ({source: each[0] if len(each) == 1 else each for source, each in logins.items()}, reasons)
        for person, (logins, reasons) in found.items()
    }


def findings() -> set[tuple[str, str]]:
    names = people()
    open_ones = Finding.objects.filter(resolved_at__isnull=True).values_list("check_ref__slug", "user_id")
    return {(check, names[user]) for check, user in open_ones}


def test_users_joins_and_findings_are_those_of_the_table(company):
    ends = company.day()
    assert set(ends.values()) == {Sync.State.SUCCEEDED}
    assert users() == USERS
    assert User.objects.count() == len(USERS)
    assert findings() == FINDINGS


def test_the_next_day_changes_what_the_sources_changed_and_nothing_else(company):
    company.day()
    opened = set(Finding.objects.values_list("pk", flat=True))

    company.providers["google"].users["g-bob.bell"]["isEnrolledIn2Sv"] = True
    company.providers["okta"].users["00u-cem.cole"]["status"] = "SUSPENDED"
    company.providers["okta"].users["00u-ivy.ince"]["lastLogin"] = ago(0.5)
    # The same immutable id with another login; and a licence that is gone, with it sign-ins and factors of Entra.
    company.providers["github"].members[1].login = "kim-kerr"
    company.providers["entra"].licensed = False
    ends = company.day()

    repaired = {
        ("no-mfa", "bob"),
        ("terminated-active", "cem"),  # nobody can sign in to a suspended account
        ("status-inconsistent", "cem"),  # and it contradicts no disabled one
        ("never-logged-in", "ivy"),
    }
    assert ends == dict.fromkeys(ends, Sync.State.SUCCEEDED) | {"entra": Sync.State.PARTIAL}
    renamed = {"okta": "kim.kerr@example.com", "github": "kim-kerr", "hr": "1009"}
    assert users() == USERS | {"kim": (renamed, {"employee_id", "email"})}
    assert findings() == FINDINGS - repaired
    assert set(Finding.objects.values_list("pk", flat=True)) == opened
