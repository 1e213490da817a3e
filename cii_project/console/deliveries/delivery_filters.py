"""The filters and the search of the list of deliveries, as querysets."""

import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from checks.models import Check, Run
from checks.services import CATALOGUE, search_users
from cii_project.console.core.list_query import Filter, ListQuery, choices_of
from cii_project.console.core.list_view import MOST_SELECTS
from cii_project.console.core.titles import check_choices
from cii_project.console.core.unstorable_values import parse_id
from cii_project.console.core.viewer_zone import shown_time
from integrations.models import Integration
from notifications.models import Delivery, Event
from notifications.services import replayable_together

PERIODS = {"1": "Last hour", "24": "Last 24 hours", "168": "Last 7 days", "720": "Last 30 days"}
# Targets that a search by their names considers.
MOST_TARGETS = 100


def delivery_filters() -> list[Filter]:
    """State, target, check, time, cause, run. Two queries; one more for a target or a run that a link has chosen."""
    targets = list(Integration.objects.order_by("name").values_list("id", "name")[: MOST_SELECTS + 1])
    return [
        Filter("state", "State", choices_of(Delivery.State)),
        Filter(
            "target",
            "Target",
            [(str(pk), name) for pk, name in targets] if len(targets) <= MOST_SELECTS else [],
            accepts=lambda value: Integration.objects.filter(pk=parse_id(value)).exists(),
            describe=_target_name,
        ),
        Filter("check", "Check", check_choices()),
        Filter("period", "Time", list(PERIODS.items())),
        Filter("origin", "Cause", choices_of(Event.Origin)),
        Filter("run", "Run", accepts=_is_uuid, describe=_run_text),
    ]


def _target_name(value: str) -> str:
    target = Integration.objects.filter(pk=parse_id(value)).first()
    return target.name if target else ""


def _run_text(value: str) -> str:
    run = Run.objects.filter(pk=value).first()
    return shown_time(run.created_at) if run else "a run that is gone"


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def filtered_deliveries(chosen: Mapping[str, str]) -> QuerySet[Delivery]:
    """The deliveries that pass the filters, without an order. ``chosen``: name of :func:`delivery_filters` → value."""
    found = Delivery.objects.all()
    if state := chosen.get("state"):
        found = found.filter(state=state)
    if target := chosen.get("target"):
        found = found.filter(integration_id=int(target))
    if slug := chosen.get("check"):
        # By id, not by slug: the database then knows how many rows match and plans accordingly.
        check = Check.objects.filter(slug=slug).first()
        found = found.filter(event__check_ref=check) if check else found.none()
    if origin := chosen.get("origin"):
        found = found.filter(event__origin=origin)
    if run := chosen.get("run"):
        found = found.filter(event__run_id=run)
    if period := chosen.get("period"):
        found = found.filter(created_at__gte=timezone.now() - timedelta(hours=int(period)))
    return found


def matching_deliveries(asked: ListQuery) -> list[QuerySet[Delivery]]:
    """The deliveries that match, in parts: of targets, of checks, to recipients that have each word; or with this id."""
    found = filtered_deliveries(asked.filters)
    if not asked.search:
        return [found]
    if _is_uuid(asked.search):
        return [found.filter(id=asked.search)]
    words = asked.search.casefold().split()
    named = Q()
    for word in words:
        named &= Q(name__icontains=word)
    targets = list(Integration.objects.filter(named).values_list("id", flat=True)[:MOST_TARGETS])
    slugs = [slug for slug, one in CATALOGUE.items() if all(word in one.title.casefold() for word in words)]
    checks = list(Check.objects.filter(slug__in=slugs).values_list("id", flat=True)) if slugs else []
    users = search_users(asked.search).ids
    parts = []
    if targets:
        parts.append(found.filter(integration_id__in=targets))
    if checks:
        parts.append(found.filter(event__check_ref_id__in=checks))
    if users:
        parts.append(found.filter(recipient_id__in=users))
    return parts or [found.none()]


def replayable_deliveries(asked: ListQuery) -> QuerySet[Delivery]:
    """The deliveries that “replay all that match” sends: the dead letters, or the deliveries of the state
    that is asked for."""
    first, *others = matching_deliveries(asked)
    found = first
    if others:
        chosen = Q()
        for part in (first, *others):
            chosen |= Q(id__in=part.order_by().values("id"))
        found = Delivery.objects.filter(chosen)
    if asked.matches_nothing:
        found = found.none()
    found = replayable_together(found)
    return found if asked.filters.get("state") else found.filter(state=Delivery.State.DEAD)
