"""Steps of ``evaluate``: a run of the product, a run of each floor, the number of open findings."""

from collections.abc import Callable

from django.db import connection
from django.utils import timezone

from checks.models import Run
from cii_project.tools.benchmark import floor_rules
from cii_project.tools.benchmark.common_steps import tidy
from cii_project.tools.benchmark.measuring import Measured, measured
from cii_project.tools.benchmark.steps import step
from integrations.services import JsonObject
from notifications.services import run_and_notify


@step
def run_product(repeats: int = 1) -> JsonObject:
    """The daily task's own call; of several times the quickest."""

    def once() -> None:
        run = run_and_notify(trigger=Run.Trigger.SCHEDULE)
        if run.state != Run.State.SUCCEEDED:
            raise RuntimeError(f"The run ended as {run.state}: {run.error}")

    return {**_quickest(once, repeats), **_found()}


@step
def prepare_one_pass() -> JsonObject:
    floor_rules.keep_bits()
    return {}


@step
def run_one_pass(repeats: int = 1) -> JsonObject:
    floor_rules.match_bits()
    return {**_quickest(lambda: floor_rules.one_pass(timezone.now()), repeats), **_found()}


@step
def run_obvious(repeats: int = 1) -> JsonObject:
    return {**_quickest(lambda: floor_rules.obvious(timezone.now()), repeats), **_found()}


def _quickest(action: Callable[[], None], repeats: int) -> Measured:
    tidy()
    results = []
    for _ in range(repeats):
        with measured() as result:
            action()
        results.append(result)
    return min(results, key=lambda result: float(result["seconds"]))


def _found() -> JsonObject:
    """The open findings, and a text by which two databases' are compared."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT check_id, COUNT(*), SUM(user_id), SUM((user_id * 7919) % 1000003) FROM checks_finding "
            "WHERE resolved_at IS NULL GROUP BY check_id ORDER BY check_id"
        )
        rows = [tuple(int(value) for value in row) for row in cursor.fetchall()]
    return {"open": sum(row[1] for row in rows), "checks": len(rows), "fingerprint": repr(rows)}
