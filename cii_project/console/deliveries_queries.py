"""Which deliveries a page shows or replays: the filters of the address, as a queryset."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils import timezone

from checks.models import Check
from integrations.models import Integration
from notifications.models import Delivery, Event

PERIODS = {"1": "Last hour", "24": "Last 24 hours", "168": "Last 7 days", "720": "Last 30 days"}
NAMES = ("state", "target", "check", "period", "origin", "run")


@dataclass(frozen=True, slots=True)
class Filters:
    state: str = ""
    target: str = ""
    check: str = ""
    period: str = ""
    origin: str = ""
    run: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """The filters of a query string; what makes no sense is dropped."""
        given = {name: query.get(name, "") for name in NAMES}
        return cls(
            state=given["state"] if given["state"] in Delivery.State.values else "",
            target=given["target"] if re.fullmatch(r"[0-9]{1,18}", given["target"]) else "",
            check=given["check"].replace("\x00", "")[:64],
            period=given["period"] if given["period"] in PERIODS else "",
            origin=given["origin"] if given["origin"] in Event.Origin.values else "",
            run=given["run"] if _is_uuid(given["run"]) else "",
        )

    def active(self) -> bool:
        return any(getattr(self, name) for name in NAMES)

    def query(self) -> str:
        return urlencode({name: getattr(self, name) for name in NAMES if getattr(self, name)})


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def matching(filters: Filters) -> "QuerySet[Delivery]":
    """The deliveries that match, without an order."""
    found = Delivery.objects.all()
    if filters.state:
        found = found.filter(state=filters.state)
    if filters.target:
        found = found.filter(integration_id=int(filters.target))
    if filters.check:
        # By id, not by slug: then the database knows how many rows stand behind it and plans accordingly.
        check = Check.objects.filter(slug=filters.check).values_list("id", flat=True).first()
        found = found.filter(event__check_ref_id=check) if check else found.none()
    if filters.origin:
        found = found.filter(event__origin=filters.origin)
    if filters.run:
        found = found.filter(event__run_id=filters.run)
    if filters.period:
        found = found.filter(created_at__gte=timezone.now() - timedelta(hours=int(filters.period)))
    return found


def replayable(filters: Filters) -> "QuerySet[Delivery]":
    """What “replay all that match” means: the dead letters, unless another settled state is asked for.

    What lost its bytes after retention, or goes to a disabled target, cannot be sent again.
    """
    found = matching(filters).exclude(body=None).exclude(integration__state=Integration.State.DISABLED)
    if not filters.state:
        return found.filter(state=Delivery.State.DEAD)
    return found.exclude(state__in=Delivery.OPEN)
