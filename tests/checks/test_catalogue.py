"""Every check at its boundary: who fails, who passes, who cannot be judged, who is not asked."""

from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from checks.catalogue import CATALOGUE, get
from checks.catalogue.base import ALWAYS, Settings
from checks.catalogue.fields import host_name
from checks.models import Forward, User
from checks.rules import build_rule, verdict_words
from checks.verdicts import Verdict
from tests.checks.factories import MICROSECOND, NOW, check_of, days_ago, make_account, make_source, make_user

FAILS, PASSES, UNKNOWN, OUTSIDE = Verdict.FAILS, Verdict.PASSES, Verdict.UNKNOWN, Verdict.OUT_OF_SCOPE


def verdict(slug: str, user: User, **settings: Any) -> Verdict:
    """What the database says of this user."""
    check = check_of(slug)
    check.settings = settings
    rule = build_rule(check, NOW)
    words = User.objects.filter(pk=user.pk).values_list(*verdict_words([rule])).get()
    bits = words[rule.place.word] & rule.place.mask
    return next(answer for answer in Verdict if rule.place.bits(answer) == bits)


N, MORE = days_ago, lambda days: days_ago(days) - MICROSECOND
NHI = {"nhi": True, "internal": False}
GUEST = {"guest": True, "internal": False}

# slug, facts that differ from a quiet user's, settings, verdict
CASES: list[tuple[str, dict[str, Any], dict[str, Any], Verdict]] = [
    ("no-mfa", {}, {}, PASSES),
    ("no-mfa", {"no_mfa_since": N(14)}, {}, PASSES),
    ("no-mfa", {"no_mfa_since": MORE(14)}, {}, FAILS),
    ("no-mfa", {"no_mfa_since": ALWAYS}, {}, FAILS),
    ("no-mfa", {"no_mfa_since": MORE(14)}, {"grace_days": 15}, PASSES),
    ("no-mfa", {"mfa_unknown_since": N(14)}, {}, PASSES),
    ("no-mfa", {"mfa_unknown_since": MORE(14)}, {}, UNKNOWN),
    ("no-mfa", {"mfa_unknown_since": MORE(14), "no_mfa_since": MORE(14)}, {}, FAILS),
    ("no-mfa", {"no_mfa_since": MORE(14), **NHI}, {}, OUTSIDE),
    ("no-mfa", {"no_mfa_since": MORE(14), "protected": False}, {}, OUTSIDE),
    ("nhi-no-mfa", {"has_mfa": False, "no_mfa_latest": N(1), **NHI}, {}, PASSES),
    ("nhi-no-mfa", {"has_mfa": False, "no_mfa_latest": MORE(1), **NHI}, {}, FAILS),
    ("nhi-no-mfa", {"has_mfa": True, "no_mfa_latest": MORE(1), **NHI}, {}, PASSES),
    ("nhi-no-mfa", {"has_mfa": False, "no_mfa_latest": MORE(1), **NHI}, {"grace_days": 2}, PASSES),
    ("nhi-no-mfa", {"has_mfa": False, "mfa_unknown_since": ALWAYS, **NHI}, {}, UNKNOWN),
    ("nhi-no-mfa", {"has_mfa": True, "mfa_unknown_since": ALWAYS, **NHI}, {}, PASSES),
    ("nhi-no-mfa", {"has_mfa": False, "no_mfa_latest": N(0), "mfa_unknown_since": ALWAYS, **NHI}, {}, PASSES),
    ("nhi-no-mfa", {"has_mfa": False, "no_mfa_latest": MORE(1)}, {}, OUTSIDE),
    ("weak-mfa-only", {"weak_mfa_since": N(14)}, {}, PASSES),
    ("weak-mfa-only", {"weak_mfa_since": MORE(14)}, {}, FAILS),
    ("weak-mfa-only", {"weak_mfa_since": MORE(14)}, {"grace_days": 15}, PASSES),
    ("weak-mfa-only", {"weak_unknown_since": N(14)}, {}, PASSES),
    ("weak-mfa-only", {"weak_unknown_since": MORE(14)}, {}, UNKNOWN),
    ("weak-mfa-only", {"weak_mfa_since": MORE(14), **NHI}, {}, FAILS),
    ("admin-weak-mfa", {"admin": True, "not_resistant_since": N(0)}, {}, PASSES),
    ("admin-weak-mfa", {"admin": True, "not_resistant_since": MORE(0)}, {}, FAILS),
    ("admin-weak-mfa", {"admin": True, "not_resistant_since": MORE(0)}, {"grace_days": 1}, PASSES),
    ("admin-weak-mfa", {"admin": True, "resistant_unknown_since": MORE(0)}, {}, UNKNOWN),
    ("admin-weak-mfa", {"admin": None, "not_resistant_since": MORE(0)}, {}, UNKNOWN),
    ("admin-weak-mfa", {"admin": None}, {}, PASSES),
    ("admin-weak-mfa", {"admin": False, "not_resistant_since": MORE(0)}, {}, OUTSIDE),
    ("mfa-bypass", {"mfa_bypass": True}, {}, FAILS),
    ("mfa-bypass", {"mfa_bypass": False}, {}, PASSES),
    ("mfa-bypass", {"mfa_bypass": None}, {}, UNKNOWN),
    ("shared-authenticator", {"shared_with": 0}, {}, PASSES),
    ("shared-authenticator", {"shared_with": 2}, {}, FAILS),
    ("shared-authenticator", {"shared_with": 2}, {"users": 3}, PASSES),
    ("inactive-user", {"last_sign_in_at": N(30)}, {}, PASSES),
    ("inactive-user", {"last_sign_in_at": MORE(30)}, {}, FAILS),
    ("inactive-user", {"last_sign_in_at": MORE(30)}, {"idle_days": 31}, PASSES),
    ("inactive-user", {"last_sign_in_at": None}, {}, PASSES),
    ("inactive-user", {"last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ("inactive-user", {"last_sign_in_at": MORE(30), "enabled": None}, {}, UNKNOWN),
    ("inactive-user", {"last_sign_in_at": N(1), "enabled": None}, {}, PASSES),
    ("inactive-user", {"last_sign_in_at": MORE(30), "enabled": False}, {}, OUTSIDE),
    ("inactive-user", {"last_sign_in_at": MORE(30), **GUEST}, {}, OUTSIDE),
    ("inactive-guest", {"last_sign_in_at": N(30), **GUEST}, {}, PASSES),
    ("inactive-guest", {"last_sign_in_at": MORE(30), **GUEST}, {}, FAILS),
    ("inactive-guest", {"last_sign_in_at": MORE(30), **GUEST}, {"idle_days": 31}, PASSES),
    ("inactive-guest", {"last_sign_in_at": None, "last_sign_in_known": False, **GUEST}, {}, UNKNOWN),
    ("inactive-guest", {"last_sign_in_at": MORE(30)}, {}, OUTSIDE),
    ("inactive-guest", {"last_sign_in_at": MORE(30), "enabled": False, **GUEST}, {}, OUTSIDE),
    ("never-logged-in", {"last_sign_in_at": None, "created_at": N(7)}, {}, PASSES),
    ("never-logged-in", {"last_sign_in_at": None, "created_at": MORE(7)}, {}, FAILS),
    ("never-logged-in", {"last_sign_in_at": None, "created_at": MORE(7)}, {"grace_days": 8}, PASSES),
    ("never-logged-in", {"last_sign_in_at": None, "created_at": None}, {}, FAILS),
    ("never-logged-in", {"last_sign_in_at": N(100)}, {}, PASSES),
    ("never-logged-in", {"last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ("dormant-admin", {"admin": True, "last_sign_in_at": N(30)}, {}, PASSES),
    ("dormant-admin", {"admin": True, "last_sign_in_at": MORE(30)}, {}, FAILS),
    ("dormant-admin", {"admin": True, "last_sign_in_at": MORE(30)}, {"idle_days": 31}, PASSES),
    ("dormant-admin", {"admin": True, "last_sign_in_at": None}, {}, PASSES),
    ("dormant-admin", {"admin": True, "last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ("dormant-admin", {"admin": None, "last_sign_in_at": MORE(30)}, {}, UNKNOWN),
    ("dormant-admin", {"admin": None, "last_sign_in_at": N(30)}, {}, PASSES),
    ("dormant-admin", {"last_sign_in_at": MORE(30)}, {}, OUTSIDE),
    ("dormant-admin", {"admin": True, "last_sign_in_at": MORE(30), "enabled": False}, {}, OUTSIDE),
    ("password-age", {"password_changed_at": N(365)}, {}, PASSES),
    ("password-age", {"password_changed_at": MORE(365)}, {}, FAILS),
    ("password-age", {"password_changed_at": MORE(365)}, {"max_age_days": 366}, PASSES),
    ("password-age", {"password_changed_at": None, "password_unknown": True}, {}, UNKNOWN),
    ("password-age", {"password_changed_at": MORE(365), "password_unknown": True}, {}, FAILS),
    ("password-age", {"password_changed_at": MORE(365), **NHI}, {}, OUTSIDE),
    ("nhi-password-age", {"password_changed_at": N(180), **NHI}, {}, PASSES),
    ("nhi-password-age", {"password_changed_at": MORE(180), **NHI}, {}, FAILS),
    ("nhi-password-age", {"password_changed_at": MORE(180), **NHI}, {"max_age_days": 181}, PASSES),
    ("nhi-password-age", {"password_changed_at": None, "password_unknown": True, **NHI}, {}, UNKNOWN),
    ("nhi-password-age", {"password_changed_at": MORE(180)}, {}, OUTSIDE),
    ("password-never-expires", {"password_never_expires": True}, {}, FAILS),
    ("password-never-expires", {"password_never_expires": False}, {}, PASSES),
    ("password-never-expires", {"password_never_expires": None}, {}, UNKNOWN),
    ("user-type-missing", {"type_missing": True}, {}, FAILS),
    ("user-type-missing", {"type_missing": False}, {}, PASSES),
    ("user-type-missing", {"type_missing": None}, {}, UNKNOWN),
    ("user-type-inconsistent", {"type_inconsistent": True}, {}, FAILS),
    ("user-type-inconsistent", {"type_inconsistent": False}, {}, PASSES),
    ("user-type-inconsistent", {"type_inconsistent": None}, {}, UNKNOWN),
    ("status-inconsistent", {"status_inconsistent": True}, {}, FAILS),
    ("status-inconsistent", {"status_inconsistent": False}, {}, PASSES),
    ("status-inconsistent", {"status_inconsistent": None}, {}, UNKNOWN),
    ("stuck-state", {"stuck_since": N(14)}, {}, PASSES),
    ("stuck-state", {"stuck_since": MORE(14)}, {}, FAILS),
    ("stuck-state", {"stuck_since": MORE(14)}, {"stuck_days": 15}, PASSES),
    ("stuck-state", {"stuck_unknown": True}, {}, UNKNOWN),
    ("stuck-state", {"stuck_since": MORE(14), "stuck_unknown": True}, {}, FAILS),
    ("terminated-active", {"terminated_since": N(0)}, {}, PASSES),
    ("terminated-active", {"terminated_since": MORE(0)}, {}, FAILS),
    ("terminated-active", {"terminated_since": ALWAYS}, {}, FAILS),
    ("terminated-active", {"terminated_since": MORE(0)}, {"grace_days": 1}, PASSES),
    ("terminated-active", {"hr_status_unknown": True}, {}, UNKNOWN),
    ("terminated-active", {"terminated_since": MORE(0), "enabled": None}, {}, UNKNOWN),
    ("terminated-active", {"terminated_since": MORE(0), "enabled": False}, {}, OUTSIDE),
    ("terminated-active", {"in_hr": False}, {}, OUTSIDE),
    ("missing-in-hr", {"in_hr": False, "created_at": N(7)}, {}, PASSES),
    ("missing-in-hr", {"in_hr": False, "created_at": MORE(7)}, {}, FAILS),
    ("missing-in-hr", {"in_hr": False, "created_at": MORE(7)}, {"grace_days": 8}, PASSES),
    ("missing-in-hr", {"in_hr": False, "created_at": None}, {}, FAILS),
    ("missing-in-hr", {"in_hr": True}, {}, PASSES),
    ("missing-in-hr", {"in_hr": False, "internal": None}, {}, UNKNOWN),
    ("missing-in-hr", {"in_hr": True, "internal": None}, {}, PASSES),
    ("missing-in-hr", {"in_hr": False, **GUEST}, {}, OUTSIDE),
    ("missing-in-hr", {"in_hr": False, "nhi": True}, {}, OUTSIDE),
    ("hr-mismatch", {"hr_manager_differs": True}, {}, FAILS),
    ("hr-mismatch", {"hr_department_differs": True}, {}, FAILS),
    ("hr-mismatch", {"hr_title_differs": True}, {}, FAILS),
    ("hr-mismatch", {"hr_title_differs": True}, {"fields": ["manager"]}, PASSES),
    ("hr-mismatch", {"hr_manager_differs": None}, {}, PASSES),
    ("hr-mismatch", {"hr_manager_differs": None}, {"fields": ["manager"]}, UNKNOWN),
    (
        "hr-mismatch",
        {"hr_manager_differs": None, "hr_title_differs": None, "hr_department_differs": None},
        {},
        UNKNOWN,
    ),
    ("hr-mismatch", {"in_hr": False}, {}, OUTSIDE),
    ("no-manager", {"manager_given": False}, {}, FAILS),
    ("no-manager", {"manager_given": True}, {}, PASSES),
    ("no-manager", {"manager_given": None}, {}, UNKNOWN),
    ("no-manager", {"manager_given": False, **NHI}, {}, OUTSIDE),
    ("manager-inactive", {"manager_enabled": False}, {}, FAILS),
    ("manager-inactive", {"manager": None, "manager_enabled": None}, {}, FAILS),
    ("manager-inactive", {}, {}, PASSES),
    ("manager-inactive", {"manager_enabled": None}, {}, UNKNOWN),
    ("manager-inactive", {"manager_given": None, "manager": None, "manager_enabled": None}, {}, UNKNOWN),
    ("manager-inactive", {"manager_given": False}, {}, OUTSIDE),
    ("nhi-no-owner", {"owner_given": False, **NHI}, {}, FAILS),
    ("nhi-no-owner", {"owner_given": True, **NHI}, {}, PASSES),
    ("nhi-no-owner", {"owner_given": None, **NHI}, {}, UNKNOWN),
    ("nhi-no-owner", {"owner_given": False}, {}, OUTSIDE),
    ("nhi-admin", {"admin": True, **NHI}, {}, FAILS),
    ("nhi-admin", {"admin": False, **NHI}, {}, PASSES),
    ("nhi-admin", {"admin": None, **NHI}, {}, UNKNOWN),
    ("nhi-admin", {"admin": True}, {}, OUTSIDE),
    ("guest-admin", {"admin": True, **GUEST}, {}, FAILS),
    ("guest-admin", {"admin": False, **GUEST}, {}, PASSES),
    ("guest-admin", {"admin": None, **GUEST}, {}, UNKNOWN),
    ("guest-admin", {"admin": True}, {}, OUTSIDE),
    ("unused-applications", {"app_unused_since": N(30)}, {}, PASSES),
    ("unused-applications", {"app_unused_since": MORE(30)}, {}, FAILS),
    ("unused-applications", {"app_unused_since": MORE(30)}, {"unused_days": 31}, PASSES),
    ("unused-applications", {"applications_unknown": True}, {}, UNKNOWN),
    ("email-forwarding", {"forwards": False}, {}, PASSES),
    ("email-forwarding", {"forwards": None}, {}, UNKNOWN),
    ("denied-territory", {"last_sign_in_country": "KP"}, {}, FAILS),
    ("denied-territory", {"last_sign_in_country": "DE"}, {}, PASSES),
    ("denied-territory", {"last_sign_in_country": "DE"}, {"countries": ["DE"]}, FAILS),
    ("denied-territory", {"last_sign_in_country": "KP"}, {"countries": ["DE"]}, PASSES),
    ("denied-territory", {"last_sign_in_country": ""}, {}, UNKNOWN),
    ("denied-territory", {"last_sign_in_country": "", "last_sign_in_at": None}, {}, PASSES),
    ("inactive-account-probing", {"last_sign_in_at": N(30), "failed_sign_ins": 2}, {}, PASSES),
    ("inactive-account-probing", {"last_sign_in_at": MORE(30), "failed_sign_ins": 2}, {}, FAILS),
    ("inactive-account-probing", {"last_sign_in_at": MORE(30), "failed_sign_ins": 1}, {}, PASSES),
    (
        "inactive-account-probing",
        {"last_sign_in_at": MORE(30), "failed_sign_ins": 2},
        {"attempts": 3},
        PASSES,
    ),
    (
        "inactive-account-probing",
        {"last_sign_in_at": MORE(30), "failed_sign_ins": 2},
        {"idle_days": 31},
        PASSES,
    ),
    ("inactive-account-probing", {"last_sign_in_at": MORE(30), "failed_sign_ins": None}, {}, UNKNOWN),
    ("inactive-account-probing", {"last_sign_in_at": None, "failed_sign_ins": 5}, {}, PASSES),
    ("leaked-credentials", {"credentials_exposed": True}, {}, FAILS),
    ("leaked-credentials", {"credentials_exposed": False}, {}, PASSES),
    ("leaked-credentials", {"credentials_exposed": None}, {}, UNKNOWN),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("slug", "facts", "settings", "expected"), CASES)
def test_a_check_answers_exactly_at_its_boundary(slug, facts, settings, expected):
    user = make_user(**facts)
    make_account(user)
    make_account(make_user("somebody in HR"), make_source("hr", kind="hr"))

    assert verdict(slug, user, **settings) is expected


def test_every_check_has_a_failing_and_a_passing_case():
    others = {"email-forwarding"}  # below: it needs rows of its own
    for slug in CATALOGUE.keys() - others:
        seen = {expected for case, _, _, expected in CASES if case == slug}
        assert {FAILS, PASSES} <= seen, slug


@pytest.mark.django_db
def test_nobody_is_missing_in_hr_before_hr_was_imported():
    user = make_user(in_hr=False)
    make_account(user)
    make_source("hr", kind="hr")

    assert verdict("missing-in-hr", user) is UNKNOWN


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["never-logged-in", "denied-territory", "inactive-account-probing"])
def test_a_user_without_an_identity_account_is_not_unknown_for_its_sign_in(slug):
    user = make_user(
        last_sign_in_at=None, last_sign_in_known=False, last_sign_in_country="", failed_sign_ins=None
    )
    make_account(user, make_source("hr", kind="hr"))
    assert verdict(slug, user) is PASSES

    account = make_account(user, status="deleted")
    assert verdict(slug, user) is PASSES

    account.status = "active"
    account.save()
    assert verdict(slug, user) is UNKNOWN


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("domain", "internal_domains", "expected"),
    [
        ("evil.test", [], FAILS),
        ("example.com", [], PASSES),
        ("other.example", [], PASSES),
        ("sub.example.com", [], FAILS),
        ("notexample.com", [], FAILS),
        ("partner.test", ["partner.test"], PASSES),
        ("mail.partner.test", ["partner.test"], PASSES),
        ("evilpartner.test", ["partner.test"], FAILS),
    ],
)
def test_mail_to_another_domain_than_ones_own_is_forwarded_to_the_outside(domain, internal_domains, expected):
    user = make_user("ann@example.com", forwards=True)
    account = make_account(user, forwarding=[f"x@{domain}"])
    make_account(user, make_source("entra"), login="ann@other.example", forwarding=[])
    Forward.objects.create(account=account, address=f"x@{domain}", domain=domain)

    assert verdict("email-forwarding", user, internal_domains=internal_domains) is expected


@pytest.mark.django_db
def test_one_forward_to_the_outside_is_enough_and_those_of_deleted_accounts_do_not_count():
    user = make_user(forwards=True)
    account = make_account(user, forwarding=["a@example.com"])
    Forward.objects.create(account=account, address="a@example.com", domain="example.com")
    gone = make_account(user, make_source("entra"), status="deleted")
    Forward.objects.create(account=gone, address="a@evil.test", domain="evil.test")
    assert verdict("email-forwarding", user) is PASSES

    Forward.objects.create(account=account, address="a@evil.test", domain="evil.test")
    assert verdict("email-forwarding", user) is FAILS


@pytest.mark.django_db
def test_forwarding_is_unknown_where_one_source_keeps_mail_inside_and_another_cannot_say():
    user = make_user(forwards=True)
    account = make_account(user, forwarding=["a@example.com"])
    Forward.objects.create(account=account, address="a@example.com", domain="example.com")
    make_account(user, make_source("entra"))

    assert verdict("email-forwarding", user) is UNKNOWN


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_check_of_the_catalogue_is_complete(check):
    module = type(check).__module__.rpartition(".")[2]
    assert check.slug == module.replace("_", "-")
    assert get(check.slug) is check
    assert check.title
    assert check.severity in {"critical", "high", "medium", "low"}
    assert check.topics
    assert 1 <= len(check.description) <= 3
    assert check.recommended_actions
    for framework in check.frameworks:
        family, _, control = framework.partition(":")
        assert family in {"NIST-800-53", "NIST-800-63B", "CIS-V8", "ISO-27001"}
        assert control


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_defaults_of_a_check_are_valid_by_its_own_fields(check):
    for name, field in check.fields.items():
        assert field.clean(field.initial) == field.initial, name
        assert field.label, name
        if isinstance(field, forms.IntegerField):
            assert field.min_value is not None
            assert field.max_value is not None
            with pytest.raises(ValidationError):
                field.clean(field.max_value + 1)
            with pytest.raises(ValidationError):
                field.clean(field.min_value - 1)


def test_the_catalogue_has_the_thirty_checks_and_defaults_of_its_specification():
    assert len(CATALOGUE) == 30
    assert CATALOGUE["no-mfa"].title == "No MFA Configured"
    fourteen = ["BY", "CF", "CD", "CU", "IR", "IQ", "KP", "LB", "LY", "RU", "SD", "SO", "SY", "YE"]
    defaults = {
        f"{slug}.{name}": field.initial
        for slug, check in CATALOGUE.items()
        for name, field in check.fields.items()
    }
    assert defaults == {
        "no-mfa.grace_days": 14,
        "nhi-no-mfa.grace_days": 1,
        "weak-mfa-only.grace_days": 14,
        "admin-weak-mfa.grace_days": 0,
        "shared-authenticator.users": 2,
        "inactive-user.idle_days": 30,
        "inactive-guest.idle_days": 30,
        "never-logged-in.grace_days": 7,
        "dormant-admin.idle_days": 30,
        "password-age.max_age_days": 365,
        "nhi-password-age.max_age_days": 180,
        "stuck-state.stuck_days": 14,
        "terminated-active.grace_days": 0,
        "missing-in-hr.grace_days": 7,
        "hr-mismatch.fields": ["manager", "department", "title"],
        "unused-applications.unused_days": 30,
        "email-forwarding.internal_domains": [],
        "denied-territory.countries": sorted(fourteen),
        "inactive-account-probing.idle_days": 30,
        "inactive-account-probing.attempts": 2,
    }
    severities = {slug: check.severity for slug, check in CATALOGUE.items()}
    critical = {"no-mfa", "admin-weak-mfa", "terminated-active", "guest-admin", "leaked-credentials"}
    assert {slug for slug, severity in severities.items() if severity == "critical"} == critical


def test_settings_are_read_as_attributes():
    assert Settings(grace_days=3).grace_days == 3
    with pytest.raises(AttributeError):
        _ = Settings().grace_days


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("@example.com", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_domain_is_kept_as_a_lower_case_host_name(text, name):
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "a b.com", "-a.com", "exa_mple.com", "a..b", "a@b.com", "x" * 64 + ".com"]
)
def test_what_is_no_domain_is_refused(text):
    with pytest.raises(ValidationError):
        host_name(text)


def test_a_list_setting_takes_a_list_or_one_text():
    field = CATALOGUE["denied-territory"].fields["countries"]
    assert field.clean(["kp", "KP", "ru"]) == ["KP", "RU"]
    assert field.clean("kp, ru;sy") == ["KP", "RU", "SY"]
    assert field.prepare_value(["KP", "RU"]) == "KP, RU"
    assert not field.has_changed(["KP", "RU"], "ru kp")
    for wrong in (["Korea"], [1], 7, []):
        with pytest.raises(ValidationError):
            field.clean(wrong)


def test_the_documentation_lists_every_check_with_its_settings_and_defaults():
    text = (settings.BASE_DIR / "docs" / "checks.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == list(CATALOGUE)
    for slug, check in CATALOGUE.items():
        for name, field in check.fields.items():
            default = ["none"] if field.initial == [] else field.initial
            words = [str(each) for each in default] if isinstance(default, list) else [str(default)]
            assert f"`{name}` {words[0]}" in rows[slug]
            assert all(word in rows[slug] for word in words)
