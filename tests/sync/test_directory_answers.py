"""What directories answer over LDAP as records, and their faults."""

import pytest

from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from integrations.sources.shared.ldap_call import MAX_EMPTY_PAGES
from integrations.target_data import InvalidDocument
from integrations.transport import ldap as transport, ldap_messages
from tests.doubles.directory import (
    DOMAIN,
    PASSWORD,
    SIGNED_IN,
    ScriptedDirectory,
    domain_user,
    entry,
    small_domain,
    small_organization,
)

NEVER = "9223372036854775807"


def call_of(directory, kind="activedirectory", **values):
    cleaned = API_SOURCES[kind].clean(directory.settings(**values))
    source = SourceSettings(1, "corp", kind, cleaned.settings, cleaned.secrets)
    return API_SOURCES[kind].call(source, None)


def fetch(directory, kind="activedirectory", **values):
    call = call_of(directory, kind, **values)
    try:
        return API_SOURCES[kind].fetch(API_SOURCES[kind].listing, call, None)
    finally:
        call.close()


def record_of(*names, **values):
    """The record of one user whose attributes differ from those of an ordinary one."""
    with small_domain(domain_user(1, "ann", *names, **values)) as directory:
        (record,) = fetch(directory).records
    return record


# --- Active Directory -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({}, "active"),
        ({"userAccountControl": "514"}, "disabled"),
        ({"accountExpires": "132223104000000000"}, "disabled"),
        ({"accountExpires": "0"}, "active"),
        ({"accountExpires": str(10**18)}, "active"),
        ({"msDS_User_Account_Control_Computed": "16"}, "locked_out"),
        ({"msDS_User_Account_Control_Computed": "8388608"}, "password_expired"),
        ({"pwdLastSet": "0"}, "password_expired"),
        ({"userAccountControl": "514", "pwdLastSet": "0"}, "disabled"),
        ({"userAccountControl": None}, ...),
    ],
    ids=str,
)
def test_the_status(attributes, status):
    assert record_of(**attributes).get("status", ...) == status


@pytest.mark.parametrize(
    ("attributes", "moment"),
    [
        ({}, "2025-11-20T08:30:00Z"),
        ({"lastLogon": str(SIGNED_IN + 600_000_000)}, "2025-11-20T08:31:00Z"),
        ({"lastLogonTimestamp": None}, None),
        ({"lastLogonTimestamp": "0"}, None),
        ({"lastLogonTimestamp": NEVER}, None),
        ({"lastLogonTimestamp": "not a number"}, None),
        (dict.fromkeys(("lastLogonTimestamp", "lastLogon", "logonCount", "badPwdCount")), ...),
    ],
    ids=["replicated", "of this controller", "absent", "0", "never", "no number", "not readable"],
)
def test_the_last_sign_in(attributes, moment):
    assert record_of(**attributes).get("last_sign_in_at", ...) == moment


def test_a_password_that_must_be_changed_has_no_time_and_one_never_set_is_not_of_1601():
    assert "password_changed_at" not in record_of(pwdLastSet="0")
    assert record_of()["password_changed_at"] == "2025-10-21T08:30:00Z"


def test_more_groups_than_one_answer_holds_are_unknown():
    assert "groups" not in record_of(**{"memberOf;range=0_1499": [f"CN=G,{DOMAIN}"]})


def test_service_accounts_are_those_of_a_unit_or_with_a_login():
    unit = record_of("OU=Services,OU=Tier 1")
    assert "user_type" not in unit
    with small_domain(
        domain_user(1, "ann", "OU=Services,OU=Tier 1"), domain_user(2, "svc-a"), domain_user(3, "bob"), page=9
    ) as directory:
        records = fetch(directory, service_accounts=["ou=services", "SVC-*"]).records
    assert [record.get("user_type") for record in records] == ["service_account", "service_account", None]


def test_a_mapped_attribute_replaces_the_field():
    with small_domain(domain_user(1, "ann", extensionAttribute1="E-77", employeeID="1")) as directory:
        (record,) = fetch(directory, attributes=["employee_id=extensionAttribute1"]).records
    assert record["employee_id"] == "E-77"


def test_a_manager_outside_the_base_stays_a_distinguished_name():
    with small_domain(domain_user(1, "ann", manager="CN=Out,DC=other")) as directory:
        (record,) = fetch(directory).records
    assert record["manager"] == "CN=Out,DC=other"


# --- Other directories ----------------------------------------------------------------------------------


def test_what_a_directory_does_not_say_is_unknown():
    with small_organization(page=9) as directory:
        record = fetch(directory, "ldap", base_dn="ou=people,dc=corp,dc=example").records[0]
    assert record == {
        "source_key": "00000000-0000-1000-8000-000000000000",
        "login": "user0",
        "display_name": "User 0",
        "created_at": "2025-01-31T08:30:00Z",
        "status": "active",
    }


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"nsAccountLock": "TRUE"}, "disabled"),
        ({"pwdAccountLockedTime": "000001010000Z"}, "locked_out"),
        ({"pwdReset": "TRUE"}, "password_expired"),
        ({"nsAccountLock": "false"}, "active"),
    ],
    ids=str,
)
def test_the_locks_of_other_directories(attributes, status):
    user = entry(
        "uid=a,dc=corp,dc=example", objectClass="inetOrgPerson", uid="a", entryUUID="1", **attributes
    )
    with ScriptedDirectory([user]) as directory:
        assert fetch(directory, "ldap").records[0]["status"] == status


# --- Connection, credential, faults ----------------------------------------------------------------------


FAULTS = {
    1: Fault.TEMPORARY,
    3: Fault.TEMPORARY,
    4: Fault.REFUSED,
    10: Fault.REFUSED,
    12: Fault.REFUSED,
    32: Fault.REFUSED,
    50: Fault.PERMISSION,
    51: Fault.TEMPORARY,
    52: Fault.TEMPORARY,
    53: Fault.REFUSED,
}


@pytest.mark.parametrize("code", FAULTS)
def test_each_result_code_is_the_fault_that_it_is(code):
    with small_domain(disturb=lambda asked: code) as directory, pytest.raises(SourceFault) as raised:
        fetch(directory)
    assert (raised.value.fault, raised.value.status) == (FAULTS[code], code)
    assert f"(Code {code}" in str(raised.value)


BROKEN = {
    "closed": b"",
    "not LDAP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "half a message": b"\x30\x84\x00\x00\x01\x00\x02",
    "too long": b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02",
    "no definite length": b"\x30\x80\x02\x01\x02",
    "an element beyond its message": b"\x30\x05\x02\x01\x02\x64\x7f",
    "a notice of disconnection": b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_tried_again(name):
    with small_domain(disturb=lambda asked: BROKEN[name]) as directory, pytest.raises(SourceFault) as raised:
        fetch(directory)
    assert raised.value.fault is Fault.TEMPORARY


def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(transport, "MAX_PAGE", 1_000)
    users = [domain_user(number, f"user{number}") for number in range(20)]
    with small_domain(*users, page=500) as directory, pytest.raises(SourceFault, match="longer than"):
        fetch(directory)


def test_pages_that_come_again_or_stay_empty_end_the_list():
    with small_domain() as directory:
        call = call_of(directory)
        same = transport.LdapPage([ldap_messages.LdapEntry("CN=a", {})], b"next")
        call._check_progress(same)
        with pytest.raises(SourceFault, match="same page twice"):
            call._check_progress(same)
        for _ in range(MAX_EMPTY_PAGES):
            call._check_progress(transport.LdapPage([], b"next"))
        with pytest.raises(SourceFault, match="empty pages"):
            call._check_progress(transport.LdapPage([], b"next"))


def test_the_password_is_in_no_error_although_the_directory_quotes_it():
    with small_domain() as directory:
        directory.account, directory.refusal = "somebody else", f"the password {PASSWORD} is wrong, data 52e,"
        with pytest.raises(SourceFault) as raised:
            fetch(directory, account="reader@corp.example", password=PASSWORD)
    assert raised.value.fault is Fault.CREDENTIAL
    assert "The account or its password is wrong." in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "answer", [2, 52, b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00"], ids=str
)
def test_the_password_is_not_sent_before_tls(answer):
    with small_domain(start_tls=answer) as directory, pytest.raises(SourceFault):
        fetch(directory)
    assert directory.binds == []


def test_start_tls_and_then_the_password():
    with small_domain(start_tls=0) as directory:
        assert fetch(directory).records
    assert directory.binds == [("reader@corp.example", PASSWORD)]


def test_a_certificate_of_another_authority_gets_no_password():
    with small_domain() as directory, small_domain() as other:
        with pytest.raises(SourceFault, match="certificate of localhost was refused"):
            fetch(directory, tls=other.settings()["tls"])
        assert directory.binds == []


@pytest.mark.parametrize(
    "rules",
    [{"ALLOWED_NETWORKS": []}, {"DENIED_NETWORKS": ["127.0.0.0/8"]}, {"OUTGOING_HOSTS": ["x.example"]}],
)
def test_the_rules_about_networks_hold(settings, rules):
    for name, value in rules.items():
        setattr(settings, name, value)
    with small_domain() as directory, pytest.raises(SourceFault, match="must not be called") as raised:
        fetch(directory)
    assert raised.value.fault is Fault.REFUSED
    assert directory.binds == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"filter": "(a=b"}, "filter"),
        ({"filter": "a=b"}, "filter"),
        ({"base_dn": "corp.example"}, "base_dn"),
        ({"host": "ldaps://dc1"}, "host"),
        ({"port": 0}, "port"),
        ({"security": "none"}, "security"),
        ({"service_accounts": ["CN=svc"]}, "service_accounts"),
        ({"admin_groups": ["CN=x,DC=y"]}, "admin_groups"),
        ({"password": ""}, "password"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused(values, path):
    given = ScriptedDirectory([])
    given.__enter__()
    try:
        with pytest.raises(InvalidDocument) as raised:
            API_SOURCES["activedirectory"].clean(given.settings(**values))
    finally:
        given.__exit__()
    assert path in raised.value.errors
