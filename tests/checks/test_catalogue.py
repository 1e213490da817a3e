"""Every check at its boundary: who fails, who passes, who cannot be evaluated, who is out of scope."""

from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError

from checks.catalogue import CATALOGUE, catalogue_check
from checks.catalogue.definition import Settings
from checks.catalogue.setting_fields import host_name
from checks.engine import rules
from checks.engine.outcomes import Outcome
from checks.models import Forward, User
from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN
from tests.checks.cases import all_cases
from tests.checks.factories import NOW, check_of, make_account, make_source, make_user


def outcome(slug: str, user: User, **settings: Any) -> Outcome:
    """What the database says of this user."""
    check = check_of(slug)
    check.settings = settings
    rule = rules.build_rule(check, NOW)
    if not user.protected:
        return OUTSIDE
    return Outcome(User.objects.filter(pk=user.pk).values_list(rules.outcome(rule), flat=True).get())


CASES = [(slug, *case) for slug, case in all_cases()]


@pytest.mark.django_db
@pytest.mark.parametrize(("slug", "facts", "settings", "expected"), CASES)
def test_a_check_answers_exactly_at_its_boundary(slug, facts, settings, expected):
    user = make_user(**facts)
    make_account(user)
    make_account(make_user("somebody in HR"), make_source("hr", kind="hr"))

    assert outcome(slug, user, **settings) is expected


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

    assert outcome("missing-in-hr", user) is UNKNOWN


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["never-logged-in", "denied-territory", "inactive-account-probing"])
def test_a_user_without_an_identity_account_is_not_unknown_for_its_sign_in(slug):
    user = make_user(
        last_sign_in_at=None, last_sign_in_known=False, last_sign_in_country="", failed_sign_ins=None
    )
    make_account(user, make_source("hr", kind="hr"))
    assert outcome(slug, user) is PASSES

    account = make_account(user, status="deleted")
    assert outcome(slug, user) is PASSES

    account.status = "active"
    account.save()
    assert outcome(slug, user) is UNKNOWN


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

    assert outcome("email-forwarding", user, internal_domains=internal_domains) is expected


@pytest.mark.django_db
def test_one_forward_to_the_outside_is_enough_and_those_of_deleted_accounts_do_not_count():
    user = make_user(forwards=True)
    account = make_account(user, forwarding=["a@example.com"])
    Forward.objects.create(account=account, address="a@example.com", domain="example.com")
    gone = make_account(user, make_source("entra"), status="deleted")
    Forward.objects.create(account=gone, address="a@evil.test", domain="evil.test")
    assert outcome("email-forwarding", user) is PASSES

    Forward.objects.create(account=account, address="a@evil.test", domain="evil.test")
    assert outcome("email-forwarding", user) is FAILS


@pytest.mark.django_db
def test_forwarding_is_unknown_where_one_source_keeps_mail_inside_and_another_cannot_say():
    user = make_user(forwards=True)
    account = make_account(user, forwarding=["a@example.com"])
    Forward.objects.create(account=account, address="a@example.com", domain="example.com")
    make_account(user, make_source("entra"))

    assert outcome("email-forwarding", user) is UNKNOWN


@pytest.mark.parametrize("check", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_check_of_the_catalogue_is_complete(check):
    module = type(check).__module__.rpartition(".")[2]
    assert check.slug == module.replace("_", "-")
    assert catalogue_check(check.slug) is check
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


def test_every_setting_changes_an_answer():
    """A case with the setting differs from the same user at its default, which the cases without settings fix."""
    at_default = {(slug, repr(facts)): expected for slug, facts, given, expected in CASES if not given}
    changed = {
        f"{slug}.{name}"
        for slug, facts, given, expected in CASES
        for name in given
        if at_default.get((slug, repr(facts)), expected) is not expected
    }
    others = {"email-forwarding.internal_domains"}  # above: it needs rows of its own
    assert {
        f"{slug}.{name}" for slug, check in CATALOGUE.items() for name in check.fields
    } == changed | others


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
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        # IDNA of 2003 made another's strasse.example of it.
        ("straße.example", "xn--strae-oqa.example"),
    ],
)
def test_a_domain_is_kept_as_a_lower_case_host_name(text, name):
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "a b.com", "-a.com", "exa_mple.com", "a..b", "a@b.com", "x" * 64 + ".com", "☃.example"]
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
