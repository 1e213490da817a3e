"""The open findings after a run by department and by source, stored with the run.

They are counted once a run, because a page that grouped a million findings would take seconds; and they are kept,
because of a past day nothing else tells them.
"""

import logging
from collections.abc import Iterable, Mapping
from time import monotonic

from django.db import transaction
from django.db.models import Count

from checks.models import Account, Finding, GroupResult, Run, User

log = logging.getLogger(__name__)
# Groups that are kept by name, those with most failing users; the others are one row.
MOST_GROUPS = 200


def store_group_results(run: Run) -> list[GroupResult]:
    """Count the open findings by department and by source, and store them with ``run``. Replaces what it has."""
    started = monotonic()
    open_findings = Finding.objects.filter(resolved_at__isnull=True).order_by()
    in_scope = User.objects.filter(protected=True).order_by()
    counted = {"findings": Count("id"), "failing": Count("user", distinct=True)}
    department = GroupResult.Dimension.DEPARTMENT
    rows = _rows(
        run,
        department,
        dict(in_scope.values_list("department").annotate(number=Count("id"))),
        open_findings.values_list("user__department").annotate(**counted),
    )
    accounts = Account.objects.filter(user__protected=True, source__deleted_at=None).order_by()
    rows += _rows(
        run,
        GroupResult.Dimension.SOURCE,
        dict(accounts.values_list("source__name").annotate(number=Count("user", distinct=True))),
        # A user with two accounts at one source has each finding once there.
        open_findings.filter(user__accounts__source__deleted_at=None)
        .values_list("user__accounts__source__name")
        .annotate(findings=Count("id", distinct=True), failing=Count("user", distinct=True)),
    )
    with transaction.atomic():
        GroupResult.objects.filter(run=run).delete()
        stored = GroupResult.objects.bulk_create(rows)
    log.info(
        "Counted by department and source", extra={"groups": len(stored), "seconds": monotonic() - started}
    )
    return stored


def _rows(
    run: Run, dimension: str, users: Mapping[str, int], counted: Iterable[tuple[str, int, int]]
) -> list[GroupResult]:
    found = {name: (findings, failing) for name, findings, failing in counted if name is not None}
    ordered = sorted({*users, *found} - {None}, key=lambda name: (-found.get(name, (0, 0))[1], name))
    rows = [
        GroupResult(
            run=run,
            dimension=dimension,
            name=name,
            users=users.get(name, 0),
            findings=found.get(name, (0, 0))[0],
            failing_users=found.get(name, (0, 0))[1],
        )
        for name in ordered
    ]
    kept, others = rows[:MOST_GROUPS], rows[MOST_GROUPS:]
    if others:
        kept.append(
            GroupResult(
                run=run,
                dimension=dimension,
                is_rest=True,
                users=sum(one.users for one in others),
                findings=sum(one.findings for one in others),
                failing_users=sum(one.failing_users for one in others),
            )
        )
    return kept
