"""Guessing passwords is slowed by account and by address, an administrator is never kept out, and all is on record."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client

from cii_project.audit.models import AuditEntry
from cii_project.console.sign_in import limits
from tests.console.checks_world import person, text

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
WRONG = "The username or the password is wrong."
REFUSED = "Too many failed sign-ins. Wait 15 minutes, then try again."
HOME = "192.0.2.1"
ATTACKER = "203.0.113.66"


@pytest.fixture(autouse=True)
def few_failures(settings):
    settings.SIGN_IN_FAILURES = 4


@pytest.fixture
def ann():
    member = person("Administrator", "ann")
    member.set_password(PASSWORD)
    member.save()
    return member


def sign_in(name, password, address=ATTACKER, client=None, **extra):
    """The answer of the sign-in page, asked from ``address``."""
    data = {"username": name, "password": password, "next": "/checks/"}
    return (client or Client()).post("/admin/login/", data, REMOTE_ADDR=address, **extra)


def guess(name, times, address=ATTACKER, **options):
    for number in range(times):
        sign_in(name, f"guess {number}", address, **options)


def later(minutes):
    """As if so many minutes had passed since each failure."""
    for attempt in AccessAttempt.objects.all():
        moment = attempt.attempt_time - timedelta(minutes=minutes)
        AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=moment)


def actions():
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor", "address"))


# --- The delay --------------------------------------------------------------------------------------
def test_sixty_wrong_passwords_and_then_the_right_one_do_not_sign_in(ann):
    guess("ann", 60)
    answer = sign_in("ann", PASSWORD)
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert REFUSED in text(answer)
    assert "_auth_user_id" not in answer.client.session


def test_an_account_is_delayed_whatever_the_address(ann):
    for number in range(4):
        guess("ann", 1, f"203.0.113.{number}")
    assert sign_in("ann", PASSWORD, "198.51.100.7").status_code == 429


def test_an_address_is_delayed_whatever_the_account(ann):
    for number in range(4):
        guess(f"somebody{number}", 1)
    assert sign_in("ann", PASSWORD).status_code == 429
    assert sign_in("ann", PASSWORD, HOME).status_code == 302


def test_the_addresses_of_one_ipv6_network_count_as_one(ann):
    for number in range(4):
        guess(f"somebody{number}", 1, f"2001:db8:1:2::{number}")
    assert sign_in("ann", PASSWORD, "2001:db8:1:2:ffff::1").status_code == 429
    assert sign_in("ann", PASSWORD, "2001:db8:1:3::1").status_code == 302


def test_a_header_does_not_change_the_address_that_is_counted(ann):
    for number in range(4):
        guess(f"somebody{number}", 1, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert sign_in("ann", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.99").status_code == 429


def test_behind_a_trusted_proxy_each_client_is_counted_by_itself(ann, settings):
    settings.TRUSTED_PROXIES = ["10.0.0.1/32"]
    for number in range(4):
        guess(f"somebody{number}", 1, "10.0.0.1", HTTP_X_FORWARDED_FOR=ATTACKER)
    assert sign_in("ann", PASSWORD, "10.0.0.1", HTTP_X_FORWARDED_FOR=ATTACKER).status_code == 429
    assert sign_in("ann", PASSWORD, "10.0.0.1", HTTP_X_FORWARDED_FOR=HOME).status_code == 302


def test_the_delay_ends_by_itself_and_going_on_does_not_extend_it(ann):
    guess("ann", 4)
    later(14)
    assert sign_in("ann", PASSWORD).status_code == 429
    later(2)
    assert sign_in("ann", PASSWORD).status_code == 302


def test_failures_of_before_the_clock_was_set_back_refuse_nobody(ann):
    guess("ann", 4)
    later(-4)
    assert sign_in("ann", PASSWORD).status_code == 429
    later(-60)
    assert sign_in("ann", PASSWORD).status_code == 302


def test_a_success_forgets_the_members_own_failures_only(ann):
    """Else a Viewer could sign in now and then and go on guessing an administrator's password."""
    eve = person("Viewer", "eve")
    eve.set_password(PASSWORD)
    eve.save()
    guess("ann", 2)
    guess("eve", 1)
    assert sign_in("eve", PASSWORD).status_code == 302
    assert list(AccessAttempt.objects.values_list("username", "failures_since_start")) == [("ann", 2)]
    guess("ann", 2)
    assert sign_in("ann", PASSWORD).status_code == 429


def test_an_unknown_account_is_answered_and_delayed_like_a_known_one(ann):
    known, unknown = (
        [sign_in(name, "guess", f"198.51.100.{host}") for _ in range(5)]
        for name, host in (("ann", 1), ("nobody", 2))
    )
    for one, other in zip(known, unknown, strict=True):
        assert one.status_code == other.status_code
        assert said_by(one) == said_by(other)
    assert [answer.status_code for answer in known] == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("state", ["unknown", "inactive", "known"])
def test_every_failed_attempt_costs_one_hash_whether_the_account_exists_or_not(ann, state, monkeypatch):
    if state == "inactive":
        User.objects.filter(username="ann").update(is_active=False)
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *args: hashed.append(1) or encode(*args))
    assert WRONG in text(sign_in("nobody" if state == "unknown" else "ann", "guess"))
    assert len(hashed) == 1


def said_by(answer):
    return [str(error) for error in answer.context["form"].non_field_errors()]


# --- Nobody is kept out -----------------------------------------------------------------------------
def test_an_attacker_cannot_keep_a_member_out_of_the_browser_that_they_use(ann):
    own = Client()
    assert sign_in("ann", PASSWORD, HOME, own).status_code == 302
    own.post("/admin/logout/")
    for hour in range(3):  # from everywhere, the member's own address included, without an end
        guess("ann", 10, ATTACKER)
        guess("ann", 10, HOME)
        assert sign_in("ann", PASSWORD, HOME).status_code == 429, hour
        assert sign_in("ann", PASSWORD, HOME, own).status_code == 302, hour
        own.post("/admin/logout/")


def test_a_known_browser_is_counted_too(ann):
    own = Client()
    sign_in("ann", PASSWORD, HOME, own)
    own.post("/admin/logout/")
    guess("ann", 4, HOME, client=own)
    assert sign_in("ann", PASSWORD, HOME, own).status_code == 429


def test_a_known_browser_is_known_for_its_own_account_only(ann):
    own = Client()
    sign_in("ann", PASSWORD, HOME, own)
    guess("boss", 4, HOME, client=own)
    assert sign_in("boss", "guess", HOME, own).status_code == 429
    own.cookies[limits.COOKIE] = "forged:by:hand"
    guess("ann", 4, "198.51.100.1")
    assert sign_in("ann", PASSWORD, "198.51.100.2", own).status_code == 429


def test_a_new_superuser_gets_in_while_every_other_account_is_attacked(ann):
    guess("ann", 10)
    User.objects.create_superuser("rescue-7f3a", "", PASSWORD)
    assert sign_in("rescue-7f3a", PASSWORD, HOME).status_code == 302


def test_the_mark_of_a_known_browser_is_kept_from_scripts(ann, settings):
    settings.SESSION_COOKIE_SECURE = True
    cookie = sign_in("ann", PASSWORD).cookies[limits.COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")


# --- The record -------------------------------------------------------------------------------------
def test_success_failure_delay_and_sign_out_are_recorded_with_name_and_address(ann, caplog):
    guess("ann", 5)
    client = Client()
    sign_in("nobody", "guess", HOME, client)
    later(16)
    sign_in("ann", PASSWORD, HOME, client)
    client.post("/admin/logout/", REMOTE_ADDR=HOME)
    assert actions() == [
        *[("sign-in-failed", "ann", ATTACKER)] * 4,
        ("lock-out", "ann", ATTACKER),
        ("sign-in-failed", "nobody", HOME),
        ("sign-in", "ann", HOME),
        ("sign-out", "ann", HOME),
    ]
    kinds = AuditEntry.objects.values_list("actor_kind", "actor_id").order_by("id")
    assert [kinds[0], kinds[6]] == [("visitor", ""), ("member", str(ann.pk))]
    lines = [record.getMessage() for record in caplog.records if record.name == "cii_project.sign_in"]
    assert len([line for line in lines if "'ann'" in line and ATTACKER in line]) == 6
    assert any(line.startswith("sign-in refused during a delay") for line in lines)


def test_what_is_stored_is_bounded_while_an_attacker_goes_on(ann):
    guess("ann", 100)
    assert AuditEntry.objects.count() == 5
    assert AccessAttempt.objects.get().failures_since_start == 4
    later(16)
    guess("other", 1, HOME)
    assert AccessAttempt.objects.get().username == "other"


def test_no_password_is_stored_logged_or_shown(ann, caplog):
    caplog.set_level("DEBUG")
    sign_in("ann", "hunter2-secret", HOME)
    sign_in("ann", PASSWORD, HOME)
    stored = [str(vars(row)) for model in (AccessAttempt, AuditEntry) for row in model.objects.all()]
    for secret in ("hunter2-secret", PASSWORD):
        assert not [row for row in stored if secret in row]
        assert secret not in caplog.text


def test_a_name_with_line_breaks_makes_no_line_of_its_own(caplog):
    sign_in("ann\n2026-01-01 INFO sign-in: account 'root'", "guess")
    messages = [record.getMessage() for record in caplog.records if record.name == "cii_project.sign_in"]
    assert messages
    assert not [message for message in messages if "\n" in message]


def test_a_delay_of_an_untrusted_proxys_address_says_what_to_set(ann):
    guess("ann", 4, HTTP_X_FORWARDED_FOR=HOME)
    assert "TRUSTED_PROXIES" in AuditEntry.objects.get(action="lock-out").text


def test_members_made_and_changed_in_the_admin_are_recorded_without_their_passwords(admin_client):
    new = {"username": "bob", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert admin_client.post("/admin/auth/user/add/", new).status_code == 302
    bob = User.objects.get(username="bob")
    person("Operator", "x")
    group = bob.groups.model.objects.get(name="Operator")
    changed = {
        "username": "bob",
        "is_active": "on",
        "groups": [group.pk],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }
    assert admin_client.post(f"/admin/auth/user/{bob.pk}/change/", changed).status_code == 302
    reset = {
        "usable_password": "true",
        "password1": "another long passphrase",
        "password2": "another long passphrase",
    }
    assert admin_client.post(f"/admin/auth/user/{bob.pk}/password/", reset).status_code == 302
    assert admin_client.post(f"/admin/auth/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    entries = list(AuditEntry.objects.filter(object_label="bob").order_by("id"))
    assert [entry.action for entry in entries] == ["add", "change", "change", "delete"]
    assert (entries[1].before["groups"], entries[1].after["groups"]) == ([], ["Operator"])
    assert "password" in entries[2].text
    assert PASSWORD not in str([vars(entry) for entry in entries])


def test_a_member_who_changes_their_own_password_is_recorded(ann):
    client = Client()
    client.force_login(ann)
    data = {
        "old_password": PASSWORD,
        "new_password1": "another long passphrase",
        "new_password2": "another long passphrase",
    }
    assert client.post("/admin/password_change/", data).status_code == 302
    assert AuditEntry.objects.get(action="change").text == "Changed their own password."


# --- Where a sign-in leads --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/checks/?q=1", "/checks/?q=1"),
        ("", "/"),
        (None, "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\\evil.example", "/"),
        ("\x00/checks/", "/"),
    ],
)
def test_a_sign_in_leads_to_the_page_that_was_asked_for_or_to_the_dashboard(ann, wanted, leads_to):
    client = Client()
    given = {} if wanted is None else {"next": wanted}
    answer = client.post("/admin/login/", {"username": "ann", "password": PASSWORD, **given})
    assert (answer.status_code, answer["Location"]) == (302, leads_to)
    assert client.get(answer["Location"]).status_code == 200
    again = client.get("/admin/login/", given)
    assert (again.status_code, again["Location"]) == (302, leads_to)


def test_the_first_visit_without_any_member_says_how_to_make_one():
    assert "manage.py createsuperuser" in Client().get("/admin/login/").content.decode()
    User.objects.create_user("ann")
    assert "manage.py createsuperuser" not in Client().get("/admin/login/").content.decode()
