"""A delay after failed sign-ins, by account and by address: what django-axes asks this project for.

After SIGN_IN_FAILURES failures for an account name (whether it exists or not) or from an address, sign-in is refused
for SIGN_IN_DELAY seconds; an attempt that is refused does not extend the delay.

An attacker could lock a member out permanently by failing repeatedly for their account. So a browser in which the
member has signed in before is counted by itself: a signed cookie names the account, and what fails elsewhere does not
count against it ("Slow down online guessing attacks with device cookies", OWASP). Without such a browser the operator
of the server makes another superuser (``manage.py createsuperuser``), whose name the attacker does not know.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from cii_project.web.client_address import client_address, network_of

COOKIE = "known_browser"
COOKIE_AGE = timedelta(days=365)
SALT = "cii_project.known_browser"
# Most seconds that one host's clock may be ahead of another's.
CLOCK_SLACK = timedelta(minutes=5)


class FailureCounter(AxesDatabaseHandler):
    """Leaves out failures of the future: after the clock is set back they would refuse sign-in until it catches up."""

    def get_user_attempts(
        self, request: HttpRequest, credentials: Mapping[str, object] | None = None
    ) -> list[QuerySet[AccessAttempt]]:
        latest = timezone.now() + CLOCK_SLACK
        found = super().get_user_attempts(request, credentials)
        return [attempts.filter(attempt_time__lte=latest) for attempts in found]


def account_key(request: HttpRequest, credentials: Mapping[str, object] | None) -> str:
    """The key by which failures are counted: the account's name, with the browser if it has signed in to the
    account before."""
    name = str((credentials or request.POST).get("username") or "")
    browser = _browser_of(request, name)
    return f"{name} in browser {browser}" if browser else name


def counted_by(request: HttpRequest, credentials: Mapping[str, object] | None) -> list[str]:
    """A known browser is counted separately from others at its address."""
    name = str((credentials or request.POST).get("username") or "")
    return ["username"] if _browser_of(request, name) else ["username", "ip_address"]


def counted_address(request: HttpRequest) -> str | None:
    return network_of(client_address(request)) or None


def delay(request: HttpRequest | None = None) -> timedelta:
    return timedelta(seconds=settings.SIGN_IN_DELAY)


def failure_limit(request: HttpRequest | None = None, credentials: Mapping[str, object] | None = None) -> int:
    return int(settings.SIGN_IN_FAILURES)


def locked_out(
    request: HttpRequest, response: HttpResponse, credentials: Mapping[str, object] | None
) -> HttpResponse:
    """The sign-in page, whose form says how long to wait, as 429."""
    response.status_code = 429
    response["Retry-After"] = str(settings.SIGN_IN_DELAY)
    return response


def refused_message() -> str:
    """The same text for every account name, so that it does not reveal which accounts exist."""
    minutes = -(-settings.SIGN_IN_DELAY // 60)
    return f"Too many failed sign-ins. Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again."


def forget_failures(request: HttpRequest, name: str) -> None:
    """After a success: the failures of this account from here; of others from this address none, so that a member
    cannot guess another's password by signing in now and then."""
    here = AccessAttempt.objects.filter(ip_address=counted_address(request))
    here.filter(username__in={name, account_key(request, {"username": name})}).delete()


def remember_browser(request: HttpRequest, response: HttpResponse, name: str) -> None:
    """Mark the browser as one in which ``name`` has signed in."""
    browser = _browser_of(request, name) or secrets.token_urlsafe(16)
    response.set_cookie(
        COOKIE,
        signing.dumps([name, browser], salt=SALT),
        max_age=COOKIE_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _browser_of(request: HttpRequest, name: str) -> str:
    """The id of the browser if ``name`` has signed in there, else ""."""
    try:
        known, browser = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_AGE)
    except signing.BadSignature:  # none, forged or expired
        return ""
    return str(browser) if name and known == name else ""
