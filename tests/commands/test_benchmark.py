"""benchmark: each subject at a size of seconds; its floors agree with the product, and it leaves nothing behind."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from django.conf import settings

from checks.catalogue import CATALOGUE
from cii_project.tools.benchmark import data, floor_rules
from cii_project.tools.benchmark.measuring import Measurement

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def benchmark(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "benchmark", *arguments],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def rows(*arguments: str) -> dict[str, dict]:
    code, output, errors = benchmark(*arguments, "--format", "json")
    assert code == 0, errors
    return {row["what"]: row for row in json.loads(output)["rows"]}


def where() -> list[str]:
    url = os.environ.get("TEST_DATABASE_URL", "")
    return ["--database", url.rpartition("/")[0] + "/postgres"] if url.startswith("postgres") else []


def test_evaluate_finds_what_the_rules_by_hand_find():
    found = rows("evaluate", "--users", "1000", *where())
    assert {"first run", "nothing new", "1 % changed"} <= set(found)
    assert found["first run"]["floor"] > 0
    assert "checks" in found["first run"]["note"]


def test_import_tells_first_and_second_time_and_memory():
    found = rows("import", "--users", "1000", *where())
    for form in ("csv", "jsonl"):
        assert found[f"{form}: second, against the first"]["note"] == "1,000 unchanged"
        assert found[f"{form}: peak memory"]["product"] > 0
        assert found[f"{form}: first import"]["ratio"] > 1
        assert found[f"{form}: first, against its texts"]["ratio"] > 1
    assert found["csv: growth, other source"]["product"] > 0


def test_pages_visits_every_page_and_goes_far_into_the_lists():
    found = rows("pages", "--users", "1000", *where())
    lists = {"users", "check, sort failing_since", "check, sort user", "deliveries", "runs"}
    assert lists | {f"{name}, far" for name in lists} <= set(found)
    assert {"dashboard", "settings", "would fail, no-mfa", "records of checks_user"} <= set(found)
    assert all(row["product"] > 0 for row in found.values())


def test_deliver_sends_each_message_once_through_a_real_cluster():
    found = rows("deliver", "--users", "300", *where())
    assert found["events a second"]["product"] > 0
    assert "300 messages" in found["planning"]["note"]


def test_sync_never_calls_faster_than_the_allowed_rate():
    found = rows("sync", "--users", "1000", *where())
    for what in ("first sync", "second sync"):
        # A worker may catch up for three seconds.
        assert found[what]["product"] > found[what]["floor"] - 3.5
        assert "calls at 75 % of 600 a minute" in found[what]["note"]
    assert "1,011 calls" in found["first sync"]["note"]
    changes = found["calls of a day's changes"]
    assert changes["note"].startswith("5 listing, 1 log, 10 factors of changed users")
    assert changes["product"] == pytest.approx(16 / 1011 * 100)
    assert changes["met"] is True
    # The first of the five administrators is one of the changed.
    assert found["calls for administrators"]["product"] == 6 + 4
    assert found["calls of the rotation"]["product"] == 141
    assert found["peak memory"]["product"] > 0


def test_the_floor_knows_checks_of_the_catalogue_alone():
    assert set(floor_rules.RULES) <= set(CATALOGUE)


def test_the_same_seed_makes_the_same_users_and_another_version_others():
    def made(seed: int = 1, **more: int) -> list[data.AccountRecord]:
        return list(data.account_records("okta", 50, seed=seed, now=NOW, **more))

    assert made() == made()
    assert made() != made(seed=2)
    changed = made(version=1, every=10)
    assert [record["login"] for record in changed] == [record["login"] for record in made()[1::10]]
    assert changed != made()[1::10]


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Measurement("less is better", "s", 3, 2, target=1.5), True),
        (Measurement("less is better", "s", 4, 2, target=1.5), False),
        (Measurement("more is better", "/s", 3, 2, target=1.5, higher=True), True),
        (Measurement("more is better", "/s", 2, 2, target=1.5, higher=True), False),
        (Measurement("no floor", "MB", 151, target=150), False),
        (Measurement("a bound of its own", "ms", 301, 1, most=300), False),
        (Measurement("nothing asked", "s", 3, 2), None),
    ],
)
def test_a_target_bounds_the_ratio(row, met):
    assert row.met is met


def test_a_database_that_is_none_is_refused():
    code, _, errors = benchmark("evaluate", "--database", "mysql://localhost/x")
    assert code == 2
    assert "postgres://" in errors
