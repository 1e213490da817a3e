"""A non-human identity's password that is older than the policy allows."""

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.password_age import PasswordAge
from checks.catalogue.setting_fields import days


class NhiPasswordAge(PasswordAge):
    slug = "nhi-password-age"
    title = "Old Password of a Non-Human Identity"
    severity = "medium"
    topics = ("Password", "Non-human identity")
    description = (
        "These service accounts and shared mailboxes have an enabled account whose password is more than "
        "{{max_age_days}} days old. Such passwords lie in scripts and configuration files, are known to people who "
        "have left, and seldom have a second factor behind them.",
    )
    recommended_actions = (
        "Rotate the password, and let a secrets manager rotate it from now on.",
        "Better: replace it by a certificate, a workload identity or short-lived tokens.",
        "Find out who uses the account; disable it if nobody does.",
    )
    texts = AudienceTexts(
        subject="old password of a service account",
        user=UserText(
            found="The password of this service account or shared mailbox is more than {{max_age_days}} days old.",
            why="Such passwords are often written down somewhere, and people who have left may still know them.",
            actions=(
                "Tell us which program or people use it, so that we can change the password together.",
                "If nobody needs it any more, tell us and we will close it.",
            ),
            due_days=30,
            shows=("passwordChangedAt", "sourcesWithOldPassword"),
        ),
        manager=ManagerText(
            found="The password of this service account or shared mailbox is more than {{max_age_days}} days old.",
            actions=(
                "Tell us who uses it, so that we can plan a new password without stopping any work.",
                "Tell us if it is no longer needed.",
            ),
            shows=("passwordChangedAt", "sourcesWithOldPassword"),
        ),
        list=ListText(
            found="The passwords of these service accounts and shared mailboxes are more than {{max_age_days}} days old."
        ),
    )
    frameworks = ("NIST-800-53:IA-5", "NIST-800-53:IA-9", "ISO-27001:A.5.17")
    fields = {
        "max_age_days": days(180, "Oldest age in days", "Passwords older than this fail.", least=1),
    }
    audience = Q(nhi=True)


check = NhiPasswordAge()
