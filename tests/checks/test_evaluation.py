"""The engine: findings open, resolve and open again; one check's error is its own; nothing is lost in a crash."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks import dialect
from checks.catalogue import CATALOGUE
from checks.engine import evaluate, statements
from checks.engine.outcomes import Place, combined
from checks.freshness import STALE_TABLE
from checks.models import Check, CheckResult, Exclusion, FieldGroup, Finding, Run, User
from checks.services import preview_run, run_checks, sync_catalogue, update_check
from tests.checks.factories import check_of, days_ago, make_account, make_user, open_names

pytestmark = pytest.mark.django_db
OLD = days_ago(4000)


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()


def fail(name: str = "ann@example.com", **facts: Any) -> User:
    """A user who fails `no-mfa` and nothing that these tests look at."""
    return make_user(name, no_mfa_since=OLD, last_sign_in_at=timezone.now(), **facts)


def run(*slugs: str, **options: Any) -> Run:
    return run_checks(trigger="command", slugs=slugs or ("no-mfa",), **options)


def result(run: Run, slug: str = "no-mfa") -> dict[str, Any]:
    names = ("evaluated", "failing", "new", "resolved", "unknown", "error")
    return CheckResult.objects.values(*names).get(run=run, check_ref__slug=slug)


def counts(run: Run, slug: str = "no-mfa") -> tuple[int, int, int, int, int]:
    """evaluated, failing, new, resolved, unknown"""
    row = result(run, slug)
    assert not row["error"]
    return row["evaluated"], row["failing"], row["new"], row["resolved"], row["unknown"]


def change(user: User, **facts: Any) -> None:
    User.objects.filter(pk=user.pk).update(**facts)


def test_who_begins_to_fail_is_new_once_and_stays_open():
    fail()
    make_user("bob@example.com")

    first, second = run(), run()

    assert counts(first) == (2, 1, 1, 0, 0)
    assert counts(second) == (2, 1, 0, 0, 0)
    finding = Finding.objects.get()
    assert (finding.opened_run, finding.opened_at) == (first, first.started_at)
    assert first.state == Run.State.SUCCEEDED
    assert first.users == 2


def test_who_is_cured_is_resolved_and_new_again_after_a_relapse():
    user = fail()
    run()
    change(user, no_mfa_since=None)

    cured = run()
    assert counts(cured) == (1, 0, 0, 1, 0)
    finding = Finding.objects.get()
    assert (finding.resolution, finding.resolved_run, finding.resolved_at) == (
        "cured",
        cured,
        cured.started_at,
    )

    change(user, no_mfa_since=OLD)
    again = run()
    assert counts(again) == (1, 1, 1, 0, 0)
    assert Finding.objects.count() == 2


def test_a_user_who_can_no_longer_be_evaluated_is_resolved_as_unknown():
    user = fail()
    run()
    change(user, no_mfa_since=None, mfa_unknown_since=OLD)

    assert counts(run()) == (1, 0, 0, 1, 1)
    assert Finding.objects.get().resolution == "unknown"


@pytest.mark.parametrize("facts", [{"protected": False}, {"nhi": True}])
def test_who_leaves_the_population_or_the_audience_is_resolved_as_out_of_scope(facts):
    user = fail()
    run()
    change(user, **facts)

    assert counts(run()) == (0, 0, 0, 1, 0)
    assert Finding.objects.get().resolution == "out_of_scope"


def test_an_excluded_user_is_left_out_until_the_end_date():
    user = fail()
    run()
    exclusion = Exclusion.objects.create(
        check_ref=check_of("no-mfa"), user=user, reason="leave", until=timezone.now() + timedelta(days=1)
    )
    assert counts(run()) == (0, 0, 0, 1, 0)
    assert Finding.objects.get().resolution == "out_of_scope"

    exclusion.until = timezone.now()
    exclusion.save()
    assert counts(run()) == (1, 1, 1, 0, 0)


def test_an_exclusion_without_end_holds_for_its_own_check_only():
    user = fail(mfa_bypass=True)
    Exclusion.objects.create(check_ref=check_of("no-mfa"), user=user, reason="accepted")

    found = run("no-mfa", "mfa-bypass")

    assert counts(found) == (0, 0, 0, 0, 0)
    assert counts(found, "mfa-bypass") == (1, 1, 1, 0, 0)


def test_included_and_ignored_domains_decide_who_is_evaluated():
    for name in ("ann@one.test", "bob@two.test", "cyd@sub.two.test", "deb"):
        fail(name)
    check = check_of("no-mfa")

    update_check(check, ignored_domains=["TWO.test"])
    run()
    assert open_names("no-mfa") == ["ann@one.test", "cyd@sub.two.test", "deb"]

    update_check(check, included_domains=["one.test", "two.test"])
    run()
    assert open_names("no-mfa") == ["ann@one.test"]


def test_ignored_logins_match_every_login_and_e_mail_of_a_user_whatever_their_case():
    for name in ("ann@one.test", "Örn", "cyd@one.test"):
        make_account(fail(name))
    make_account(User.objects.get(name="cyd@one.test"), login="CORP\\cyd", status="disabled")

    update_check(check_of("no-mfa"), ignored_logins=["ANN@one.TEST", "öRN", "corp\\CYD"])
    run()

    assert open_names("no-mfa") == []


def test_a_disabled_check_is_not_evaluated_and_its_findings_stay():
    user = fail()
    run("no-mfa")
    update_check(check_of("no-mfa"), enabled=False)
    change(user, no_mfa_since=None)

    everything = run_checks(trigger="command")
    assert not everything.results.filter(check_ref__slug="no-mfa").exists()
    assert open_names("no-mfa") == ["ann@example.com"]

    update_check(check_of("no-mfa"), enabled=True)
    assert counts(run()) == (1, 0, 0, 1, 0)


def test_the_selected_checks_touch_only_their_own_findings():
    user = fail(mfa_bypass=True)
    run_checks(trigger="command")
    change(user, no_mfa_since=None, mfa_bypass=False)

    run("no-mfa")

    assert (open_names("no-mfa"), open_names("mfa-bypass")) == ([], ["ann@example.com"])
    assert counts(run("mfa-bypass"), "mfa-bypass") == (1, 0, 0, 1, 0)


def test_the_callback_sees_the_findings_inside_their_transaction():
    fail()
    seen = []

    def on_findings(run: Run, check: Check, result: CheckResult) -> None:
        assert connection.in_atomic_block
        names = Finding.objects.filter(opened_run=run, check_ref=check).values_list("user__name", flat=True)
        seen.append((check.slug, list(names), result.new, result.failing))

    run(on_findings=on_findings)
    run(on_findings=on_findings)

    assert seen == [("no-mfa", ["ann@example.com"], 1, 1)], "nothing is new the second time"


def test_a_callback_that_raises_takes_its_checks_findings_back_and_the_next_run_tries_again():
    fail(mfa_bypass=True)

    def refuse(run: Run, check: Check, result: CheckResult) -> None:
        if check.slug == "no-mfa":
            raise OSError("disk full")

    broken = run("no-mfa", "mfa-bypass", on_findings=refuse)

    assert broken.state == Run.State.PARTIAL
    assert "1 of 2" in broken.error
    assert result(broken)["error"] == "OSError: disk full"
    assert (open_names("no-mfa"), open_names("mfa-bypass")) == ([], ["ann@example.com"])
    assert counts(run()) == (1, 1, 1, 0, 0)


def rule_that(monkeypatch: pytest.MonkeyPatch, slug: str, fails: Any) -> None:
    monkeypatch.setattr(type(CATALOGUE[slug]), "fails", fails)


def raising(self: Any, settings: Any, now: Any) -> Q:
    raise TypeError("a bug in this rule")


def rejected_at_once(self: Any, settings: Any, now: Any) -> Q:
    return Q(RawSQL("no_such_column = 1", (), output_field=BooleanField()))


def unresolvable(self: Any, settings: Any, now: Any) -> Q:
    return Q(no_such_fact=True)


@pytest.mark.parametrize("broken_rule", [raising, rejected_at_once, unresolvable])
def test_one_checks_error_is_recorded_and_does_not_stop_the_others(monkeypatch, broken_rule):
    fail(mfa_bypass=True)
    rule_that(monkeypatch, "mfa-bypass", broken_rule)

    partial = run_checks(trigger="command", slugs=("no-mfa", "mfa-bypass"))

    assert partial.state == Run.State.PARTIAL
    assert counts(partial) == (1, 1, 1, 0, 0)
    assert result(partial, "mfa-bypass")["error"]
    assert open_names("mfa-bypass") == []
    previews = {preview.slug: preview for preview in preview_run(["no-mfa", "mfa-bypass"])}
    assert previews["mfa-bypass"].error
    assert previews["no-mfa"].failing == 1


def test_a_check_that_failed_to_run_keeps_its_findings_and_catches_up_later(monkeypatch):
    user = fail()
    run()
    change(user, no_mfa_since=None)
    with monkeypatch.context() as patched:
        rule_that(patched, "no-mfa", raising)
        failed = run()
    assert failed.state == Run.State.FAILED
    assert open_names("no-mfa") == ["ann@example.com"]

    assert counts(run()) == (1, 0, 0, 1, 0)


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def killed_after(slug: str, *slugs: str, **options: Any) -> Run:
    """A run of these checks that dies once the findings of `slug` are committed."""

    def kill(done: int, total: int, text: str) -> None:
        if text == CATALOGUE[slug].title:
            raise Killed

    with pytest.raises(Killed):
        run(*slugs, progress=kill, **options)
    killed = Run.objects.latest("created_at")
    Run.objects.filter(pk=killed.pk).update(state=Run.State.DIED)
    return killed


def test_what_a_killed_run_found_is_not_new_again_and_what_it_did_not_reach_is_found_next():
    fail(mfa_bypass=True)
    killed_after("no-mfa", "no-mfa", "mfa-bypass")
    assert (open_names("no-mfa"), open_names("mfa-bypass")) == (["ann@example.com"], [])

    again = run("no-mfa", "mfa-bypass")

    assert counts(again) == (1, 1, 0, 0, 0)
    assert counts(again, "mfa-bypass") == (1, 1, 1, 0, 0)
    assert Finding.objects.count() == 2


def test_who_was_cured_after_a_killed_run_had_found_the_failure_is_resolved():
    user = fail()
    killed_after("no-mfa", "no-mfa")
    change(user, no_mfa_since=None)

    assert counts(run()) == (1, 0, 0, 1, 0)
    assert open_names("no-mfa") == []


def test_who_fails_again_after_a_killed_run_had_found_the_cure_is_new():
    user = fail()
    run()
    change(user, no_mfa_since=None)
    killed_after("no-mfa", "no-mfa")
    change(user, no_mfa_since=OLD)

    assert counts(run()) == (1, 1, 1, 0, 0)
    assert Finding.objects.count() == 2


# --- Reopening --------------------------------------------------------------------------------------


def unknown(user: User) -> None:
    change(user, no_mfa_since=None, mfa_unknown_since=OLD)


def test_a_finding_that_was_resolved_as_unknown_is_reopened_and_is_not_new():
    user = fail()
    first = run()
    unknown(user)
    run()
    notified: list[list[int]] = []

    change(user, no_mfa_since=OLD)
    other = fail("new@example.com")
    assert [(preview.failing, preview.new) for preview in preview_run(["no-mfa"])] == [(2, 1)]
    other.delete()
    again = run(
        on_findings=lambda run, check, result: notified.append(
            list(Finding.objects.filter(opened_run=run).values_list("pk", flat=True))
        )
    )

    assert counts(again) == (1, 1, 0, 0, 0)
    finding = Finding.objects.get()
    assert (finding.opened_run, finding.opened_at) == (first, first.started_at)
    assert (finding.resolved_at, finding.resolved_run, finding.resolution) == (None, None, "")
    assert notified == [[]], "there is nothing to tell"


@pytest.mark.parametrize(
    ("facts", "resolution"), [({"mfa_unknown_since": None}, "cured"), ({"nhi": True}, "out_of_scope")]
)
def test_once_the_outcome_is_known_the_finding_cannot_be_reopened(facts, resolution):
    user = fail()
    run()
    unknown(user)
    resolved = run()
    change(user, **facts)

    settled = run()
    assert counts(settled)[2:] == (0, 0, 0), "it was resolved before"
    finding = Finding.objects.get()
    assert (finding.resolution, finding.resolved_run) == (resolution, resolved)

    change(user, no_mfa_since=OLD, nhi=False)
    assert counts(run()) == (1, 1, 1, 0, 0), "who fails again after a cure, or comes back into scope, is new"
    assert Finding.objects.count() == 2


def test_a_user_whose_exclusion_has_ended_is_new():
    user = fail()
    run()
    until = timezone.now() + timedelta(days=1)
    exclusion = Exclusion.objects.create(check_ref=check_of("no-mfa"), user=user, reason="x", until=until)
    run()
    unknown(user)
    run()
    exclusion.delete()
    change(user, no_mfa_since=OLD)

    assert counts(run()) == (1, 1, 1, 0, 0)
    assert Finding.objects.count() == 2


def test_an_import_without_a_column_sends_nothing_again():
    """All findings of a check were resolved as unknown; the next import has the column again."""
    users = [fail(f"user{number}@example.com") for number in range(5)]
    run()
    for user in users:
        unknown(user)
    assert counts(run()) == (5, 0, 0, 5, 5)
    for user in users:
        change(user, no_mfa_since=OLD)

    assert counts(run()) == (5, 5, 0, 0, 0)
    assert Finding.objects.count() == 5


def test_as_many_users_who_begin_to_fail_as_are_cured_are_found():
    """The numbers are those of the last run: what differs are the users."""
    cured, stays = fail("cured@example.com"), fail("stays@example.com")
    run()
    change(cured, no_mfa_since=None)
    fail("begins@example.com")

    assert counts(run()) == (3, 2, 1, 1, 0)
    assert open_names("no-mfa") == ["begins@example.com", stays.name]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no fingerprints: it compares all")
def test_only_checks_whose_users_changed_are_compared():
    changing, _ = fail("ann@example.com", mfa_bypass=True), fail("bob@example.com", mfa_bypass=True)
    of_check = {slug: f"({check_of(slug).pk}, 0, " for slug in ("no-mfa", "mfa-bypass")}

    def compared() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            run(*of_check)
        comparing = [each["sql"] for each in captured if "f.resolved_at IS NULL" in each["sql"]]
        return [slug for slug, place in of_check.items() if any(place in sql for sql in comparing)]

    run(*of_check)
    assert compared() == []
    change(changing, mfa_bypass=False)
    assert compared() == ["mfa-bypass"]
    assert compared() == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no fingerprints: it compares all")
def test_the_fingerprints_of_parts_make_that_of_the_whole_and_no_two_sets_share_one():
    def fingerprint(ids: list[int], seed: int = 1) -> int | None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {dialect.fingerprint('id', seed)} FROM unnest(%s) AS listed (id)", [ids])
            return cursor.fetchone()[0]

    assert combined(fingerprint([1, 2, 3]), fingerprint([4, 5])) == fingerprint([5, 1, 4, 2, 3])
    # All of one size with one sum and one sum of squares, where simpler numbers are alike.
    alike = [[1, 5, 8, 12], [2, 3, 10, 11], [0, 7, 8, 11]]
    sets = [fingerprint([10**12 + each for each in ids], seed) for ids in alike for seed in (0, 1, 2**63 - 1)]
    assert len(set(sets)) == len(sets)


def test_the_statements_of_a_run_do_not_grow_with_the_users():
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            run()
        return len(captured)

    fail("earlier@example.com")
    run()
    fail("first@example.com")
    few = statements()
    for number in range(50):
        fail(f"user{number}@example.com")

    assert statements() == few


def test_a_dry_run_says_what_a_run_would_find_and_writes_nothing():
    cured, _ = fail("ann@example.com"), fail("bob@example.com")
    run()
    change(cured, no_mfa_since=None)
    fail("cyd@example.com")

    preview = preview_run(["no-mfa"])

    assert [(p.slug, p.evaluated, p.failing, p.new, p.resolved, p.unknown) for p in preview] == [
        ("no-mfa", 3, 2, 1, 1, 0)
    ]
    assert (Run.objects.count(), CheckResult.objects.count()) == (1, 1)
    assert open_names("no-mfa") == ["ann@example.com", "bob@example.com"]
    assert counts(run()) == (3, 2, 1, 1, 0)


def test_a_dry_run_of_all_checks_lists_them_in_the_order_of_the_catalogue():
    assert [preview.slug for preview in preview_run()] == list(CATALOGUE)


@pytest.mark.django_db(transaction=True)
def test_a_user_who_vanishes_between_the_pass_and_the_findings_is_skipped(monkeypatch):
    gone = fail()
    fail("bob@example.com")
    evaluate_users = evaluate.evaluate

    def evaluate_then_delete(*arguments: Any) -> Any:
        counts = evaluate_users(*arguments)
        User.objects.filter(pk=gone.pk).delete()
        return counts

    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "evaluate", evaluate_then_delete)
        done = run()

    assert (done.state, open_names("no-mfa")) == (Run.State.SUCCEEDED, ["bob@example.com"])
    assert counts(run()) == (1, 1, 0, 0, 0)


# --- Many checks ------------------------------------------------------------------------------------


@pytest.fixture
def two_hundred(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """200 checks: the catalogue's, and copies of them under other names."""
    templates = list(CATALOGUE.values())
    for number in range(200 - len(templates)):
        template = templates[number % len(templates)]
        copy = type(template.__class__.__name__, (type(template),), {"slug": f"{template.slug}-{number}"})()
        monkeypatch.setitem(CATALOGUE, copy.slug, copy)
    sync_catalogue()
    assert Check.objects.count() == 200
    return list(CATALOGUE)


@pytest.mark.parametrize("per_pass", [evaluate.CHECKS_PER_PASS, 63])
def test_two_hundred_checks_run_with_all_scopes(two_hundred, monkeypatch, per_pass):
    monkeypatch.setattr(evaluate, "CHECKS_PER_PASS", per_pass)
    people = {name: fail(name, mfa_bypass=True) for name in ("ann@in.test", "bob@out.test", "cyd@in.test")}
    excluded = fail("eve@in.test", mfa_bypass=True)
    make_account(people["cyd@in.test"])
    for check in Check.objects.all():
        update_check(
            check, ignored_domains=["out.test"], included_domains=["in.test"], ignored_logins=["CYD@in.test"]
        )
        Exclusion.objects.create(check_ref=check, user=excluded, reason="accepted")

    done = run_checks(trigger="command")

    assert (done.state, done.results.count()) == (Run.State.SUCCEEDED, 200)
    failing = [slug for slug in two_hundred if slug.startswith(("no-mfa", "mfa-bypass"))]
    assert len(failing) > 10
    for result in done.results.select_related("check_ref"):
        expected = 1 if result.check_ref.slug in failing else 0
        assert (result.failing, result.new) == (expected, expected), result.check_ref.slug
    assert {name for slug in failing for name in open_names(slug)} == {"ann@in.test"}

    change(people["ann@in.test"], mfa_bypass=False, no_mfa_since=None)
    again = run_checks(trigger="command")
    resolved = again.results.filter(resolved=1).values_list("check_ref__slug", flat=True)
    assert sorted(resolved) == sorted(failing)
    assert not Finding.objects.filter(resolved_at=None).exists()


# --- The statements ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_every_statement_of_a_run_can_be_explained():
    """Each is whole: the database accepts it by itself, with its parameters."""
    user = fail()
    checks = [(check_of("no-mfa").pk, Place.of(0)), (check_of("mfa-bypass").pk, Place.of(25))]
    finding, now = str(user.pk), timezone.now()
    reads = [(Place.of(0), frozenset({FieldGroup.FACTORS})), (Place.of(25), frozenset({FieldGroup.PROFILE}))]
    statements_with_parameters = {
        statements.select_outcomes("SELECT id, 2, 2 FROM checks_user", reads, any_stale=False): [],
        statements.select_outcomes("SELECT id, 2, 2 FROM checks_user", reads, any_stale=True): [],
        statements.count_outcomes([0, 1], seed=7): [],
        statements.count_open_findings(seed=7): [],
        statements.COUNT_SUSPENDED_FINDINGS: [],
        statements.compare_open_findings(checks): [],
        statements.compare_suspended_findings(checks): [],
        statements.find_new_failures(0, checks[:1]): [],
        statements.count_stale_with_finding(Place.of(25)): [1],
        statements.COUNT_CHANGES: [],
        statements.COUNT_SUSPENSIONS: [],
        statements.OPEN_FINDINGS: [now, finding.zfill(32), 1],
        statements.REOPEN_FINDINGS: [1, 1],
        statements.RESOLVE_FINDINGS: [now, finding.zfill(32), 1, 1],
        statements.SETTLE_FINDINGS: [1, 1],
        statements.FORGET_DELETED_USERS: [],
    }
    with evaluate.session(), connection.cursor() as cursor:
        cursor.execute(statements.CREATE_CHANGES)
        columns = statements.outcome_columns(words=2)
        dialect.create_filled(
            cursor, statements.OUTCOME_TABLE, columns, "SELECT id, 2, 2 FROM checks_user", []
        )
        cursor.execute(f"CREATE TEMPORARY TABLE {STALE_TABLE} (user_id bigint, field_groups bigint)")
        for statement, parameters in statements_with_parameters.items():
            cursor.execute(f"EXPLAIN {statement}", parameters)
            assert cursor.fetchall(), statement
