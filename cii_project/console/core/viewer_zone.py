"""The time zone in which a member reads and sets times: the one that they chose, else that of their browser, else UTC.

``console.js`` keeps the browser's zone in a cookie. :class:`ViewerZone` makes the zone the current one of a request, so that
templates show times in it.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils import dateformat, timezone

from cii_project.models import MemberPreference

# The formats of all times and days that pages show, as Django's ``date`` filter writes them.
DAY = "j M Y"
MINUTE = f"{DAY}, H:i T"
SECOND = f"{DAY}, H:i:s T"
COOKIE = "zone"
# Key of the chosen zone in the session, so that pages need no query for it.
SESSION_KEY = "zone"
_UTC = ZoneInfo("UTC")


@cache
def zone_names() -> frozenset[str]:
    """The names of the known zones. Finding them walks through hundreds of files, which takes 10 ms."""
    return frozenset(available_timezones())


def zone_choices() -> list[tuple[str, str]]:
    """The zones for a select: name and label."""
    return [(name, name.replace("_", " ")) for name in sorted(zone_names())]


def viewer_zone(request: HttpRequest) -> ZoneInfo:
    session = getattr(request, "session", {})
    name = session.get(SESSION_KEY) or request.COOKIES.get(COOKIE, "")
    # Compared with the known names, so that a cookie never becomes the path of a file.
    return ZoneInfo(name) if name in zone_names() else _UTC


class ViewerZone:
    """Middleware: the current zone of a request is the viewer's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(viewer_zone(request)):
            return self.get_response(request)


@receiver(user_logged_in)
def _remember_zone(request: HttpRequest, user: object, **kwargs: object) -> None:
    chosen = MemberPreference.objects.filter(member=user).values_list("zone", flat=True).first()  # type: ignore[misc]
    request.session[SESSION_KEY] = chosen or ""


def shown_time(moment: datetime, form: str = MINUTE) -> str:
    """``moment`` in the current zone: ``2 Mar 2026, 07:00 CET``."""
    return dateformat.format(timezone.localtime(moment), form)


def shown_day(day: date) -> str:
    """``2 Mar 2026``; of a moment its day in the current zone."""
    return dateformat.format(timezone.localtime(day) if isinstance(day, datetime) else day, DAY)


def recent_time(moment: datetime, now: datetime) -> str:
    """``moment`` in the current zone, with its day unless that is today: ``13:12 CET``."""
    is_today = timezone.localdate(moment) == timezone.localdate(now)
    return shown_time(moment, "H:i T" if is_today else MINUTE)


def today(zone: ZoneInfo) -> date:
    return datetime.now(zone).date()


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment after ``day`` in ``zone``, in UTC."""
    return datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)


def last_day(until: datetime, zone: ZoneInfo) -> date:
    """The last day in ``zone`` that starts before ``until``: of :func:`end_of_day` the day."""
    return (until.astimezone(zone) - timedelta(microseconds=1)).date()
