"""Steps of ``evaluate``: a run of the product, a run of the floor, what stands in the findings."""

from typing import Any

from django.db import connection
from django.utils import timezone

from checks.models import Run
from cii_project.benchmark import floor_rules
from cii_project.benchmark.measuring import measured
from cii_project.benchmark.steps import step
from notifications.services import run_and_notify


@step
def run_product() -> dict[str, Any]:
    """The daily task's own call."""
    with measured() as result:
        run = run_and_notify(trigger=Run.Trigger.SCHEDULE)
    if run.state != Run.State.SUCCEEDED:
        raise RuntimeError(f"The run ended as {run.state}: {run.error}")
    return {**result, **_found()}


@step
def run_floor() -> dict[str, Any]:
    connection.ensure_connection()
    with measured() as result:
        floor_rules.run(timezone.now())
    return {**result, **_found()}


def _found() -> dict[str, Any]:
    """The open findings, and a text by which two databases' are compared."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT check_id, COUNT(*), SUM(user_id), SUM((user_id * 7919) % 1000003) FROM checks_finding "
            "WHERE resolved_at IS NULL GROUP BY check_id ORDER BY check_id"
        )
        rows = [tuple(int(value) for value in row) for row in cursor.fetchall()]
    return {"open": sum(row[1] for row in rows), "checks": len(rows), "fingerprint": repr(rows)}
