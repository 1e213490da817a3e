"""Internal users without an HR record."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, days_before, past_grace
from checks.catalogue.setting_fields import days
from checks.models import Account, SourceKind, User


class MissingInHr(CatalogueCheck):
    slug = "missing-in-hr"
    title = "Missing in HR"
    severity = "medium"
    topics = ("HR", "Data quality")
    description = (
        "These users are internal people by what the identity providers say, but no HR system has a record of them.",
        "Users created within the last {{grace_days}} days pass. As long as no HR record has been imported at all, "
        "no user can be evaluated.",
    )
    recommended_actions = (
        "Find out who the person is and who asked for the account.",
        "Correct the employee id or e-mail if HR's record was not found for its spelling, or link the two by hand.",
        "Give contractors, guests and service accounts their own user type.",
    )
    texts = AudienceTexts(
        subject="no record in HR",
        user=UserText(
            found="We could not find a record in HR that belongs to your account.",
            why="HR's record tells us when somebody joins, moves or leaves. Without it your access may end by mistake.",
            actions=(
                "Tell us your employee number, or the company that you work for if you are not an employee.",
                "Tell us who your contact with us is, if you work for a partner.",
            ),
            due_days=30,
            contact="the HR department",
            shows=("employeeId", "department"),
        ),
        manager=ManagerText(
            found="We could not find a record in HR that belongs to this account.",
            actions=(
                "Tell us who the person is and what they work on.",
                "If they work for a partner, tell us until when.",
            ),
            shows=("employeeId", "department"),
        ),
        list=ListText(found="No HR system has a record of these users."),
    )
    frameworks = ("NIST-800-53:AC-2", "NIST-800-53:IA-4", "CIS-V8:5.1", "ISO-27001:A.5.16")
    fields = {
        "grace_days": days(7, "Grace period in days", "Users created more recently than this pass."),
    }
    audience = Q(nhi=False) & (Q(internal=True) | Q(internal__isnull=True))

    def fails(self, s: Settings, now: datetime) -> Q:
        past = past_grace("created_at", days_before(now, s.grace_days))
        return Q(internal=True, in_hr=False, hr_unknown=False) & past & hr_is_known()

    def unknown(self, s: Settings, now: datetime) -> Q:
        past = past_grace("created_at", days_before(now, s.grace_days))
        return Q(hr_unknown=True) | (Q(in_hr=False) & past) | ~hr_is_known()

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "createdAt": user.created_at,
            "employeeId": user.employee_id or None,
            "department": user.department or None,
            "lastSignIn": user.last_sign_in_at,
        }


def hr_is_known() -> Q:
    """At least one HR record was imported. Before that, a missing record means nothing."""
    return Q(Exists(Account.objects.filter(source__kind=SourceKind.HR)))


check = MissingInHr()
