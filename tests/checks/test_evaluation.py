"""The engine: findings open, resolve and open again; one check's error is its own; nothing is lost in a crash."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks import evaluation
from checks.catalogue import CATALOGUE
from checks.models import Check, CheckResult, Exclusion, Finding, Run, User
from checks.rules import place_of
from checks.services import preview_run, run_checks, sync_catalogue, update_check
from checks.verdicts import Place, Tallies, Tally, Verdict, complement, mask, place
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


def word(user: User, slug: str = "no-mfa") -> Verdict:
    at = place_of(Check.objects.get(slug=slug))
    stored = User.objects.values_list("verdict_a", "verdict_b").get(pk=user.pk)
    return next(verdict for verdict in Verdict if stored[at.word] & at.mask == at.bits(verdict))


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


def test_who_can_no_longer_be_judged_is_resolved_as_unknown():
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

    judged = run("no-mfa", "mfa-bypass")

    assert counts(judged) == (0, 0, 0, 0, 0)
    assert counts(judged, "mfa-bypass") == (1, 1, 1, 0, 0)


def test_included_and_ignored_domains_decide_who_is_judged():
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


def test_a_disabled_check_is_not_judged_and_its_findings_stay():
    user = fail()
    run("no-mfa")
    update_check(check_of("no-mfa"), enabled=False)
    change(user, no_mfa_since=None)

    everything = run_checks(trigger="command")
    assert not everything.results.filter(check_ref__slug="no-mfa").exists()
    assert open_names("no-mfa") == ["ann@example.com"]

    update_check(check_of("no-mfa"), enabled=True)
    assert counts(run()) == (1, 0, 0, 1, 0)


def test_the_selected_checks_touch_only_their_own_verdicts():
    user = fail(mfa_bypass=True)
    run_checks(trigger="command")
    change(user, no_mfa_since=None, mfa_bypass=False)

    run("no-mfa")

    assert (open_names("no-mfa"), open_names("mfa-bypass")) == ([], ["ann@example.com"])
    assert (word(user), word(user, "mfa-bypass")) == (Verdict.PASSES, Verdict.FAILS)
    assert counts(run("mfa-bypass"), "mfa-bypass") == (1, 0, 0, 1, 0)


def test_a_check_in_the_second_word_is_judged_like_one_in_the_first():
    user = fail()
    Check.objects.filter(slug="no-mfa").update(slot=31)
    Check.objects.filter(slug="mfa-bypass").update(slot=61)
    change(user, mfa_bypass=True)

    both = run("no-mfa", "mfa-bypass", "weak-mfa-only")
    assert counts(both) == counts(both, "mfa-bypass") == (1, 1, 1, 0, 0)
    assert counts(both, "weak-mfa-only") == (1, 0, 0, 0, 0)

    change(user, no_mfa_since=None)
    assert counts(run("no-mfa", "mfa-bypass")) == (1, 0, 0, 1, 0)
    assert open_names("mfa-bypass") == ["ann@example.com"]


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
    user = fail(mfa_bypass=True)

    def refuse(run: Run, check: Check, result: CheckResult) -> None:
        if check.slug == "no-mfa":
            raise OSError("disk full")

    broken = run("no-mfa", "mfa-bypass", on_findings=refuse)

    assert broken.state == Run.State.PARTIAL
    assert "1 of 2" in broken.error
    assert result(broken)["error"] == "OSError: disk full"
    assert (open_names("no-mfa"), open_names("mfa-bypass")) == ([], ["ann@example.com"])
    assert word(user) is not Verdict.FAILS
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


def killed_before_the_words(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Run:
    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "store_words", kill)
        with pytest.raises(Killed):
            run("no-mfa", **options)
    killed = Run.objects.latest("created_at")
    Run.objects.filter(pk=killed.pk).update(state=Run.State.DIED)
    return killed


def test_what_a_killed_run_found_is_not_new_again(monkeypatch):
    fail()
    killed_before_the_words(monkeypatch)
    assert open_names("no-mfa") == ["ann@example.com"]

    assert counts(run()) == (1, 1, 0, 0, 0)
    assert Finding.objects.count() == 1


def test_who_was_cured_after_a_killed_run_had_found_the_failure_is_resolved(monkeypatch):
    user = fail()
    killed_before_the_words(monkeypatch)
    change(user, no_mfa_since=None)

    assert counts(run()) == (1, 0, 0, 1, 0)
    assert open_names("no-mfa") == []


def test_who_fails_again_after_a_killed_run_had_found_the_cure_is_new(monkeypatch):
    user = fail()
    run()
    change(user, no_mfa_since=None)
    killed_before_the_words(monkeypatch)
    change(user, no_mfa_since=OLD)

    assert counts(run()) == (1, 1, 1, 0, 0)
    assert Finding.objects.count() == 2


def test_a_repair_leaves_the_other_checks_verdicts_alone(monkeypatch):
    user = fail(mfa_bypass=True)
    run("mfa-bypass")
    killed_before_the_words(monkeypatch)

    again = run("no-mfa", "mfa-bypass")

    assert counts(again) == counts(again, "mfa-bypass") == (1, 1, 0, 0, 0)
    assert word(user, "mfa-bypass") is Verdict.FAILS


def test_an_open_finding_that_the_words_do_not_know_of_is_not_doubled():
    user = fail()
    first = run()
    User.objects.update(verdict_a=0, verdict_b=0)
    Run.objects.update(counted={})

    again = run()

    assert counts(again) == (1, 1, 0, 0, 0)
    assert Finding.objects.get().opened_run == first
    assert word(user) is Verdict.FAILS


def test_the_words_are_stored_in_transactions_of_bounded_size(monkeypatch):
    monkeypatch.setattr(evaluation, "WORDS_A_TRANSACTION", 2)
    users = [fail(f"user{number}@example.com") for number in range(5)]

    run()

    assert {word(user) for user in users} == {Verdict.FAILS}
    assert counts(run()) == (5, 5, 0, 0, 0)


def test_the_statements_of_a_run_do_not_grow_with_the_users():
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            run()
        return len(captured)

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
    before = list(User.objects.order_by("id").values_list("verdict_a", "verdict_b"))

    preview = preview_run(["no-mfa"])

    assert [(p.slug, p.evaluated, p.failing, p.new, p.resolved, p.unknown) for p in preview] == [
        ("no-mfa", 3, 2, 1, 1, 0)
    ]
    assert (Run.objects.count(), CheckResult.objects.count()) == (1, 1)
    assert open_names("no-mfa") == ["ann@example.com", "bob@example.com"]
    assert list(User.objects.order_by("id").values_list("verdict_a", "verdict_b")) == before
    assert counts(run()) == (3, 2, 1, 1, 0)


def test_a_dry_run_of_all_checks_lists_them_in_the_order_of_the_catalogue():
    assert [preview.slug for preview in preview_run()] == list(CATALOGUE)


@pytest.mark.django_db(transaction=True)
def test_a_user_who_vanishes_between_the_pass_and_the_findings_is_skipped(monkeypatch):
    gone = fail()
    fail("bob@example.com")
    judge = evaluation.judge

    def judge_then_delete(*arguments: Any) -> None:
        judge(*arguments)
        User.objects.filter(pk=gone.pk).delete()

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "judge", judge_then_delete)
        done = run()

    assert (done.state, open_names("no-mfa")) == (Run.State.SUCCEEDED, ["bob@example.com"])
    assert counts(run()) == (1, 1, 0, 0, 0)


def test_every_slot_has_two_bits_of_its_own_and_no_word_is_negative():
    places = [place(slot) for slot in range(62)]
    assert len({(each.word, each.shift) for each in places}) == 62
    assert mask(places, 0) == mask(places, 1) == 2**62 - 1
    assert complement(mask(places, 0)) == 0
    with pytest.raises(ValueError, match="Slot 62"):
        place(62)


@pytest.mark.parametrize("ordinary", [Verdict.PASSES, Verdict.OUT_OF_SCOPE, Verdict.UNKNOWN])
def test_what_is_ordinary_is_stored_as_nothing_and_what_fails_always_the_same(ordinary):
    at = Place(0, 4, ordinary)
    assert at.bits(ordinary) == 0
    assert {at.code(verdict) for verdict in Verdict} == {0, 1, 2, 3}
    assert at.code(Verdict.FAILS) == Verdict.FAILS


def test_a_tally_counts_the_bits_at_each_slot():
    tally = Tally()
    tally.add((Place(0, 60).bits(Verdict.FAILS), Place(1, 0).bits(Verdict.UNKNOWN)), 3)
    tally.add((Place(0, 60).bits(Verdict.PASSES), 0), 4)
    assert tally.codes() == {30: [4, 3, 0], 31: [0, 0, 3]}


def test_tallies_know_what_is_stored_after_only_some_changes_are_written():
    change = {0: [0, -1, 1], 1: [0, 2, 0]}
    tallies = Tallies(users=10, stored={0: [0, 3, 0]}, change=change)
    assert [tallies.now(place(0), verdict) for verdict in Verdict] == [7, 0, 2, 1]
    assert tallies.after({1}) == {0: [0, 3, 0], 1: [0, 2, 0]}
