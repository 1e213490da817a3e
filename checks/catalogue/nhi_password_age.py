"""A non-human identity's password that is older than the policy allows."""

from django.db.models import Q

from checks.catalogue.fields import days
from checks.catalogue.password_age import PasswordAge


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
    frameworks = ("NIST-800-53:IA-5", "NIST-800-53:IA-9", "ISO-27001:A.5.17")
    fields = {
        "max_age_days": days(180, "Oldest age in days", "Passwords older than this fail.", least=1),
    }
    audience = Q(nhi=True)


check = NhiPasswordAge()
