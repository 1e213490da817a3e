"""Why users could not be evaluated: which field, at which source. Each case: the records of one user by source (``hr``
is an HR source), a check that cannot evaluate the user, and what it gives as causes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checks.engine import unknown_causes
from checks.models import CheckResult, FieldGroup, Run, SourceFreshness
from checks.services import (
    cause_texts,
    causes_text,
    preview_run,
    reported_causes,
    run_checks,
    sync_catalogue,
)
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db
ANN = {"login": "ann", "employee_id": "700", "status": "active", "created_at": "2020-01-01"}


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()


def result_of(slug: str) -> CheckResult:
    run = run_checks(trigger=Run.Trigger.COMMAND, slugs=[slug])
    return CheckResult.objects.get(run=run)


def causes(slug: str) -> list[str]:
    return cause_texts(reported_causes(result_of(slug).unknown_causes))


CASES: dict[str, tuple[dict[str, Row], str, list[str]]] = {
    "no factors": ({"a": {}}, "no-mfa", ["a does not say whether there is MFA"]),
    "no factors at one of two sources": (
        {"a": {"mfa_enabled": True}, "b": {}},
        "no-mfa",
        ["b does not say whether there is MFA"],
    ),
    "an account without a status": (
        {"a": {"status": "unknown", "mfa_enabled": False}},
        "no-mfa",
        ["a gives no status"],
    ),
    "a factor of an unknown kind": (
        {"a": {"mfa_factors": "retina|sms"}},
        "weak-mfa-only",
        ["a does not say how strong the MFA factors are"],
    ),
    "the strength of an administrator's factors": (
        {"a": {"admin_roles": ["Owner"], "mfa_enabled": True}},
        "admin-weak-mfa",
        ["a does not say how strong the MFA factors are"],
    ),
    "roles and sign-in": (
        {"a": {}},
        "dormant-admin",
        ["a gives no administrator roles", "a gives no last sign-in"],
    ),
    "the country": (
        {"a": {"last_sign_in_at": "2024-01-01"}},
        "denied-territory",
        ["a gives no country of the last sign-in"],
    ),
    "no HR source": ({"a": {}}, "missing-in-hr", ["no HR record is imported"]),
    "an employee id that joins nobody": (
        {"a": {"employee_id": "TBD"}, "hr": {"login": "bob", "employee_id": "701"}},
        "terminated-active",
        ["employee ids of a join nobody"],
    ),
    "an HR record without a status": (
        {"a": {}, "hr": {"status": "unknown"}},
        "terminated-active",
        ["hr gives no status"],
    ),
    "a field that only one side has": (
        {"a": {"title": "Clerk"}, "hr": {"department": "Sales"}},
        "hr-mismatch",
        [
            "a gives no department",
            "a gives no manager",
            "hr gives no manager",
            "hr gives no title",
        ],
    ),
    "a manager who matches no user": (
        {"a": {"manager": "nobody"}},
        "manager-inactive",
        ["managers named by a match no user"],
    ),
    "no password, no flag": (
        {"a": {}},
        "password-age",
        ["a gives no time of the last password change"],
    ),
    "whether mail is forwarded": (
        {"a": {"forwarding": []}, "b": {}},
        "email-forwarding",
        ["b does not say whether mail is forwarded"],
    ),
    "since when a user is stuck": (
        {"a": {"status": "staged"}},
        "stuck-state",
        ["a does not say since when the status holds"],
    ),
}


@pytest.mark.parametrize(("accounts", "slug", "expected"), CASES.values(), ids=CASES)
def test_a_result_says_which_field_of_which_source_is_unknown(
    accounts: dict[str, Row], slug: str, expected: list[str]
) -> None:
    for source, row in accounts.items():
        load([ANN | row], source, "hr" if source == "hr" else "identity")
    assert causes(slug) == expected


TYPES = ["internal", "service_account", "guest", "unknown"]


def test_every_check_that_cannot_evaluate_somebody_says_why() -> None:
    load(
        [{"login": f"u{n}", "user_type": kind, "manager": "unknown"} for n, kind in enumerate(TYPES)],
    )
    load([{"login": "x", "employee_id": "9"}], "hr", "hr")
    run = run_checks(trigger=Run.Trigger.COMMAND)
    unknown = CheckResult.objects.filter(run=run, unknown__gt=0)
    assert len(unknown) > 15
    assert [each.check_ref.slug for each in unknown if not each.unknown_causes] == []
    texts = " ".join(text for each in unknown for text in cause_texts(reported_causes(each.unknown_causes)))
    assert " is unknown" not in texts  # the phrase for a cause without a text


def test_a_share_says_how_many_of_the_unknown_users_a_cause_concerns() -> None:
    load([ANN | {"login": f"u{n}", "employee_id": f"1{n}"} for n in range(3)], "a")
    load([ANN | {"login": "v", "employee_id": "20"}], "b")
    assert causes("no-mfa") == [
        "a does not say whether there is MFA (75 %)",
        "b does not say whether there is MFA (25 %)",
    ]
    assert [(each["name"], each["source"], each["share"]) for each in result_of("no-mfa").unknown_causes] == [
        ("mfa_factors", "a", 0.75),
        ("mfa_factors", "b", 0.25),
    ]


def test_of_many_unknown_users_a_sample_finds_the_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_causes, "SAMPLE", 50)
    for source in ("a", "b"):
        load([ANN | {"login": f"{source}{n}", "employee_id": f"{source}{n}"} for n in range(150)], source)
    result = result_of("no-mfa")
    assert result.unknown == 300
    shares = {each["source"]: each["share"] for each in result.unknown_causes}
    assert shares["a"] + shares["b"] == pytest.approx(1, abs=0.01)
    assert 0.25 < shares["a"] < 0.75


def test_a_sample_of_many_leaves_out_no_check_that_few_cannot_be_evaluated_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unknown_causes, "SAMPLE", 2)
    rows: list[Row] = [ANN | {"login": f"a{n}", "employee_id": f"a{n}"} for n in range(400)]
    # Few checks cannot evaluate this one and can evaluate the others.
    load([*rows, ANN | {"login": "b", "employee_id": "b", "mfa_enabled": False, "status": "unknown"}], "a")
    run = run_checks(trigger=Run.Trigger.COMMAND)
    results = CheckResult.objects.filter(run=run, unknown__gt=0).select_related("check_ref")
    assert {result.check_ref.slug for result in results if not result.unknown_causes} == set()
    assert {result.unknown for result in results} >= {1, 400}


def test_values_that_are_too_old_are_named_with_their_source() -> None:
    load([ANN | {"mfa_factors": "fido2"}], "a")
    load([ANN | {"mfa_factors": "fido2"}], "b")
    long_ago = timezone.now() - timedelta(days=30)
    SourceFreshness.objects.filter(group=FieldGroup.FACTORS).update(max_age_days=7)
    SourceFreshness.objects.filter(group=FieldGroup.FACTORS, source__slug="b").update(as_of=long_ago)
    result = result_of("no-mfa")
    assert (result.unknown, result.stale) == (0, 1)
    assert cause_texts(reported_causes(result.unknown_causes)) == ["values of b are too old: MFA factors"]


def test_a_preview_has_the_causes_too() -> None:
    load([ANN], "a")
    (preview,) = preview_run(["no-mfa"])
    assert cause_texts(preview.causes) == ["a does not say whether there is MFA"]


def test_who_can_be_evaluated_needs_no_cause() -> None:
    load([ANN | {"mfa_factors": "fido2"}], "a")
    assert causes("no-mfa") == []


def test_one_line_names_the_first_causes_and_counts_the_others() -> None:
    load([ANN], "a")
    load([ANN], "hr", "hr")
    found = reported_causes(result_of("hr-mismatch").unknown_causes)
    assert len(found) == 6
    assert causes_text(found).endswith("; 3 more causes")
    assert causes_text([]) == ""
