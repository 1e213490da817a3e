"""When a session ends: some time after the last request, and some time after the sign-in, whichever is first.

SESSION_IDLE_MINUTES and SESSION_HOURS set both. The session store itself refuses a session after its expiry, which
each request of the person moves; a part of a page that refreshes itself does not.
"""

from collections.abc import Callable
from time import time

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

STARTED, SEEN = "signed_in_at", "seen_at"
# A request moves the expiry at most this often: each time writes a row.
MOST_PRECISE_SECONDS = 60
# Most time that one host's clock may be ahead of another's. Beyond it the clock was set back, and the expiry
# is too late.
CLOCK_SLACK_SECONDS = 300


@receiver(user_logged_in)
def _start(request: HttpRequest, **kwargs: object) -> None:
    request.session[STARTED] = time()
    _extend(request.session, time())


def _extend(session: SessionBase, now: float) -> None:
    left = session[STARTED] + settings.SESSION_ABSOLUTE_SECONDS - now
    session[SEEN] = now
    session.set_expiry(int(min(settings.SESSION_IDLE_SECONDS, left)))


class SessionLimits:
    """Signs a person out whose session is too old, and extends the others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            _limit(request, time())
        return self.get_response(request)


def _limit(request: HttpRequest, now: float) -> None:
    session = request.session
    # A session of before these limits has neither time: it starts now.
    started, seen = session.setdefault(STARTED, now), session.get(SEEN, 0)
    precision = min(MOST_PRECISE_SECONDS, settings.SESSION_IDLE_SECONDS / 10)
    is_from_the_future = max(started, seen) > now + CLOCK_SLACK_SECONDS
    if is_from_the_future or now - started >= settings.SESSION_ABSOLUTE_SECONDS:
        logout(request)
    elif now - seen >= precision and not _is_refresh(request):
        _extend(session, now)


def _is_refresh(request: HttpRequest) -> bool:
    """Whether a part of a page refreshes itself (``hx-headers`` of what has ``hx-trigger="every …"``)."""
    return "X-Refresh" in request.headers
