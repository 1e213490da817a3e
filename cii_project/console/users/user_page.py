"""One user's page: why each check fails and what was sent about it, the accounts, the past, and an evaluation now."""

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone

from checks.models import Exclusion, User
from checks.services import UserOutcome, cause_texts, evaluate_user
from cii_project.console.core.console_view import ConsoleView, page_url
from cii_project.console.core.titles import check_title, event_title
from cii_project.console.core.viewer_zone import last_day, viewer_zone
from cii_project.console.users.account_tables import (
    account_ages,
    account_factors,
    compare_accounts,
    join_texts,
    named_users,
)
from cii_project.console.users.timeline import recipient_text, timeline
from cii_project.console.users.user_findings import check_url, failed_checks
from notifications.services import last_deliveries

SENT_SHOWN = 20
OUTCOME_LABELS = {
    "fails": ("Fails", "danger"),
    "error": ("Check is broken", "danger"),
    "unknown": ("Could not evaluate", "warning"),
    "stale": ("Values too old", "warning"),
    "excluded": ("Excluded", "info"),
    "passes": ("Passes", "success"),
    "out_of_scope": ("Out of scope", "plain"),
}


class UserPage(ConsoleView):
    template = "console/users/user.html"
    section = "console:users"
    guide = "checks#how-a-check-answers"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User.objects.select_related("manager", "owner"), pk=pk)
        zone = viewer_zone(request)
        accounts = list(
            user.accounts.select_related("source", "joined_by").order_by("source__kind", "source__name", "id")
        )
        accounts.sort(key=lambda account: account.source.kind != "identity")
        findings = list(user.findings.select_related("check_ref").order_by("resolved_at", "-opened_at"))
        exclusions: list[Exclusion] = list(
            user.exclusions.select_related("check_ref", "created_by").order_by("-created_at")
        )
        sent = last_deliveries(user, findings, SENT_SHOWN)
        lines = compare_accounts(accounts, named_users(accounts))
        ages = account_ages(accounts)
        return self.page(
            {
                "title": user.display_name or user.name,
                "subtitle": user.name if user.display_name else "",
                "crumbs": [("Users", page_url("users"))],
                "one": user,
                "accounts": [(account, f"account-{account.pk}") for account in accounts],
                "joins": join_texts(accounts),
                "lines": lines,
                "differing": sum(line.differs for line in lines),
                "factors": [(account, account_factors(account)) for account in accounts],
                "ages": [ages[account.pk] for account in accounts],
                "failing": failed_checks(user, findings, sent, exclusions, timezone.now()),
                "timeline": timeline(user, accounts, findings, exclusions, sent, zone),
                "exclusions": [
                    (
                        exclusion,
                        check_title(exclusion.check_ref.slug),
                        check_url(exclusion.check_ref.slug, user),
                        last_day(exclusion.until, zone) if exclusion.until else None,
                    )
                    for exclusion in exclusions
                ],
                "sent": [
                    (
                        delivery,
                        event_title(delivery.event),
                        page_url("delivery", delivery.pk),
                        recipient_text(delivery, user),
                    )
                    for delivery in sent
                ],
            }
        )


class EvaluateUser(ConsoleView):
    """The results that the checks would have for the user now. Writes nothing: findings and messages stay
    unchanged."""

    section = "console:users"
    template = "console/users/evaluated.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        user = get_object_or_404(User, pk=pk)
        now = timezone.now()
        outcomes = evaluate_user(user, now)
        order = list(OUTCOME_LABELS)
        rows = [
            {
                "title": check_title(one.check.slug),
                "url": check_url(one.check.slug, user),
                "severity": one.check.severity,
                "outcome": one,
                "label": OUTCOME_LABELS[one.outcome][0],
                "variant": OUTCOME_LABELS[one.outcome][1],
                "why": _why(one),
            }
            for one in sorted(outcomes, key=lambda one: order.index(one.outcome))
        ]
        return self.fragment(
            self.template,
            {
                "one": user,
                "rows": rows,
                "now": now,
                "counts": _counts(outcomes),
                "changing": [one.check.slug for one in outcomes if one.opens or one.resolves],
            },
        )


def _counts(outcomes: Sequence[UserOutcome]) -> list[tuple[str, str, int]]:
    """Label, variant and number of checks of each outcome that occurs."""
    numbers = {name: sum(one.outcome == name for one in outcomes) for name in OUTCOME_LABELS}
    return [(*OUTCOME_LABELS[name], number) for name, number in numbers.items() if number]


def _why(one: UserOutcome) -> str:
    if one.outcome == "stale":
        return f"Too old: {', '.join(group.label for group in one.stale)}"
    return "; ".join(cause_texts(one.causes))


urlpatterns = [
    path("users/<int:pk>/", UserPage.as_view(), name="user"),
    path("users/<int:pk>/evaluate", EvaluateUser.as_view(), name="user-evaluate"),
]
