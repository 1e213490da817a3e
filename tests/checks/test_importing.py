"""Importing records: what is written, what is refused, and that nothing else changes."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, strategies as st

from checks.importing import apply
from checks.importing.accounts import (
    ImportRefused,
    StrictRefused,
    import_accounts,
    link_account,
    unlink_account,
)
from checks.importing.staging import Rejected
from checks.models import Account, Authenticator, Forward, Import, Source, User
from tests.checks.imports import Row, load, source
from tests.examples import examples

pytestmark = pytest.mark.django_db


def everything() -> list[list[dict[str, Any]]]:
    return [list(model.objects.order_by("pk").values()) for model in (User, Account, Authenticator, Forward)]


def people(count: int, **more: Any) -> list[Row]:
    return [{"login": f"u{i:03d}", **more} for i in range(count)]


def counts(done: Import) -> tuple[int, int, int, int, int]:
    return done.created, done.changed, done.unchanged, done.deleted, done.rejected


def test_importing_twice_changes_nothing() -> None:
    rows = [
        {"login": f"u{i}", "email": f"u{i}@x.org", "mfa_factors": "sms:+1555", "forwarding": "a@b.org"}
        for i in range(5)
    ]
    assert counts(load(rows)) == (5, 0, 0, 0, 0)
    before = everything()
    assert counts(load(rows, full=True)) == (0, 0, 5, 0, 0)
    assert everything() == before


def test_only_what_differs_is_written() -> None:
    load(people(3, title="Clerk"))
    untouched = list(User.objects.exclude(login="u001").order_by("pk").values())
    done = load([*people(1, title="Clerk"), {"login": "U001", "title": "Boss"}, {"login": "u003"}])
    assert counts(done) == (1, 1, 1, 0, 0)
    assert list(User.objects.filter(login__in=["u000", "u002"]).order_by("pk").values()) == untouched
    assert User.objects.get(login="U001").title == "Boss"


def test_devices_and_forwards_follow_the_record() -> None:
    load([{"login": "a", "mfa_factors": "sms:+1 5|fido2:KEY", "forwarding": "x@One.org|y@two.org"}])
    load([{"login": "a", "mfa_factors": "fido2:KEY", "forwarding": ["y@two.org"]}])
    assert list(Authenticator.objects.values_list("kind", "device_key")) == [("fido2", "key")]
    assert list(Forward.objects.values_list("address", "domain")) == [("y@two.org", "two.org")]


def test_bad_records_do_not_stop_the_others() -> None:
    rejected: list[Rejected] = []
    done = load(
        [{"login": "a"}, {"login": ""}, {"login": "b", "created_at": "soon"}], on_reject=rejected.append
    )
    assert (done.state, done.created, done.rejected) == (Import.State.PARTIAL, 1, 2)
    assert [(r.line, r.problems[0].column, r.problems[0].value) for r in rejected] == [
        (3, "login", ""),
        (4, "created_at", "soon"),
    ]
    assert rejected[1].original == {"login": "b", "created_at": "soon"}


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_login_that_comes_twice_is_kept_once_and_says_where_it_stood(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "BATCH", batch)
    rejected: list[Rejected] = []
    rows = [{"login": "Ann", "title": "first"}, {"login": "bob"}, {"login": " aNN"}, {"login": "ANN"}]
    assert counts(load(rows, on_reject=rejected.append)) == (2, 0, 0, 0, 2)
    assert Account.objects.get(login_key="ann").title == "first"
    assert [(r.line, r.problems[0].expected) for r in rejected] == [
        (4, "a unique login; the record at 2 has it already"),
        (5, "a unique login; the record at 2 has it already"),
    ]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_good_record_after_a_bad_one_of_the_same_login_is_taken(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "BATCH", batch)
    rejected: list[Rejected] = []
    rows = [{"login": "a", "created_at": "soon"}, {"login": "a"}, {"login": "a"}]
    assert counts(load(rows, on_reject=rejected.append)) == (1, 0, 0, 0, 2)
    assert "the record at 3" in rejected[1].problems[0].expected


@pytest.mark.parametrize("text", ["x" * 300_000, "\ud800" * 300_000], ids=["text", "half surrogates"])
def test_of_large_records_few_are_held_at_once(text: str) -> None:
    """``remarks`` is no field; it fills the memory all the same."""
    seen: list[int] = []
    load([{**person, "remarks": text} for person in people(40)], progress=seen.append)
    steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert seen[-1] == 40
    assert max(steps) * 300_000 < 2 * apply.BATCH_SIZE


def test_a_strict_import_with_a_bad_record_changes_nothing() -> None:
    load(people(2))
    before = everything()
    with pytest.raises(StrictRefused, match=r"1 of 2 records are bad; nothing was changed"):
        load([{"login": "new"}, {"login": "b", "created_at": "soon"}], strict=True)
    assert everything() == before
    assert Import.objects.first().state == Import.State.FAILED


def test_a_strict_import_of_good_records_succeeds() -> None:
    assert load(people(2), strict=True).state == Import.State.SUCCEEDED


def test_without_full_nothing_is_deleted() -> None:
    load(people(10))
    load(people(1))
    assert not Account.objects.filter(status="deleted").exists()


def test_a_full_import_marks_up_to_a_fifth_deleted() -> None:
    load(people(10, status="active"))
    done = load(people(8, status="active"), full=True)
    assert counts(done) == (0, 0, 8, 2, 0)
    gone = Account.objects.get(login="u009")
    assert (gone.status, gone.status_changed_at) == ("deleted", done.started_at)
    assert User.objects.get(login="u009").protected is False


def test_a_full_import_that_would_delete_over_a_fifth_is_refused_with_the_numbers() -> None:
    load(people(10))
    before = everything()
    with pytest.raises(
        ImportRefused, match=r"3 of the 10 accounts of okta as deleted, over 20%.*force the import"
    ):
        load(people(7), full=True)
    assert everything() == before
    assert load(people(7), full=True, force=True).deleted == 3


def test_an_empty_full_import_is_refused() -> None:
    load(people(1))
    with pytest.raises(ImportRefused):
        load([], full=True)


def test_the_deleted_do_not_count_among_those_who_could_be() -> None:
    load(people(10))
    load(people(5), full=True, force=True)
    assert load(people(4), full=True).deleted == 1
    with pytest.raises(ImportRefused, match="1 of the 4"):
        load(people(3), full=True)


def test_a_full_import_spares_other_sources() -> None:
    load(people(2), "entra")
    load(people(2))
    load([{"login": "else"}], full=True, force=True)
    assert set(Account.objects.filter(source__slug="entra").values_list("status", flat=True)) == {None}


def test_a_bad_record_does_not_delete_its_account() -> None:
    load(people(2))
    done = load([{"login": "u000"}, {"login": "u001", "created_at": "soon"}], full=True)
    assert (done.deleted, done.rejected) == (0, 1)


def test_a_deleted_account_that_returns_unchanged_is_revived() -> None:
    load(people(5, status="active"))
    load(people(4, status="active"), full=True)
    assert counts(load(people(5, status="active"), full=True)) == (0, 1, 4, 0, 0)
    revived = Account.objects.get(login="u004")
    assert (revived.status, revived.status_changed_at) == ("active", None)


def test_an_import_that_was_overtaken_is_refused() -> None:
    load([{"login": "a", "title": "before"}])
    importer = Source.objects.get(slug="okta")

    def overtaken() -> Iterator[tuple[int, Row]]:
        yield 1, {"login": "a", "title": "after"}
        Source.objects.update(last_import_at=timezone.now())

    with pytest.raises(ImportRefused, match="another import into okta finished while this one was reading"):
        import_accounts(overtaken(), source=importer)
    assert Account.objects.get().title == "before"


@pytest.mark.parametrize("step", ["facts.refresh", "join.join_accounts"])
def test_a_crash_on_the_way_leaves_nothing_half_done(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(people(2))
    before = everything()

    def crash(*args: Any) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(f"checks.importing.apply.{step}", crash)
        with pytest.raises(RuntimeError):
            load([{"login": "u000", "title": "new"}, {"login": "new"}])
    assert everything() == before
    assert counts(load([{"login": "u000", "title": "new"}, {"login": "new"}])) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("step", ["facts.refresh", "staging_tables"])
def test_a_new_source_comes_with_its_accounts_or_not_at_all(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any) -> None:
        raise RuntimeError("the power went")

    new = Source(slug="okta", name="Okta")
    with monkeypatch.context() as patch:
        patch.setattr(f"checks.importing.apply.{step}", crash)
        with pytest.raises(RuntimeError):
            import_accounts([(1, {"login": "a"})], source=new)
    assert not Source.objects.exists()
    assert not Import.objects.exists()
    assert import_accounts([(1, {"login": "a"})], source=new).source == Source.objects.get()


def test_a_source_that_came_up_meanwhile_is_not_written_over() -> None:
    def overtaken() -> Iterator[tuple[int, Row]]:
        yield 1, {"login": "a"}
        source("okta")

    with pytest.raises(ImportRefused, match="another import into okta"):
        import_accounts(overtaken(), source=Source(slug="okta", name="Okta"))


def test_a_reader_that_fails_leaves_an_import_that_failed_and_no_change() -> None:
    def broken() -> Iterator[tuple[int, Row]]:
        yield 1, {"login": "a"}
        raise ValueError("the file ends in the middle")

    with pytest.raises(ValueError, match="middle"):
        import_accounts(broken(), source=source(), file_name="f.csv")
    failed = Import.objects.get()
    assert (failed.state, failed.error, failed.file_name) == (
        "failed",
        "the file ends in the middle",
        "f.csv",
    )
    assert not Account.objects.exists()


def test_the_import_is_on_record() -> None:
    seen: list[int] = []
    done = load(people(3), progress=seen.append, file_name="users.csv")
    assert Import.objects.get() == done
    assert (done.state, done.read, done.file_name) == ("succeeded", 3, "users.csv")
    assert done.started_at <= done.finished_at == source().last_import_at
    assert seen == [3]


@pytest.mark.parametrize("value", ["\0", "a\ud800", "ß" * 320, "x" * 321])
def test_what_a_database_would_refuse_is_a_bad_record(value: str) -> None:
    done = load([{"login": value}, {"login": "ok", "groups": [value[:2]]}, {"login": "good"}])
    assert done.rejected >= 1


@examples(15)
@given(data=st.data())
def test_the_order_of_the_records_does_not_matter(data: st.DataObject) -> None:
    few = st.sampled_from(["", "1", "2", "3"])
    row = st.fixed_dictionaries(
        {
            "employee_id": few,
            "email": st.sampled_from(["", "a@x.org", "b@x.org", "c@x.org"]),
            "manager": few,
            "status": st.sampled_from(["active", "disabled"]),
        }
    )
    drawn = data.draw(st.lists(row, min_size=2, max_size=7))
    rows = [{"login": f"l{i}", **r} for i, r in enumerate(drawn)]
    known = [{"login": f"l{i}", **r} for i, r in enumerate(data.draw(st.lists(row, min_size=1, max_size=3)))]

    def outcome(order: list[Row]) -> list[Any]:
        Source.objects.all().delete()
        User.objects.all().delete()
        load(known, "before")
        load(order)
        groups: dict[int | None, list[str]] = {}
        for user, slug, login in Account.objects.order_by("source__slug", "login").values_list(
            "user_id", "source__slug", "login"
        ):
            groups.setdefault(user, []).append(f"{slug}/{login}")
        names = User.objects.values_list("name", "manager__name", "enabled", "employee_id")
        return [sorted(groups.values()), sorted(names, key=str)]

    assert outcome(rows) == outcome(data.draw(st.permutations(rows)))


def test_a_person_links_and_unlinks_and_later_imports_keep_it() -> None:
    rows = [{"login": "a", "email": "a@x.org"}]
    load(rows)
    load([{"login": "b"}], "entra")
    ann, other = User.objects.order_by("pk")
    account = Account.objects.get(login="b")
    link_account(account, ann)
    account.refresh_from_db()
    assert (account.user, account.join_reason) == (ann, "member")
    load([{"login": "b", "title": "new"}], "entra")
    account.refresh_from_db()
    ann.refresh_from_db()
    other.refresh_from_db()
    assert (account.user, ann.title, other.protected) == (ann, "new", False)
    unlink_account(account)
    account.refresh_from_db()
    ann.refresh_from_db()
    assert (account.user.login, account.user.title, ann.title) == ("b", "new", "")
    load([{"login": "b", "email": "a@x.org"}], "entra")
    account.refresh_from_db()
    assert account.user != ann


@pytest.mark.django_db(transaction=True)
def test_no_temporary_table_stays_behind() -> None:
    load(people(2))
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor, include_views=True))
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_temp_master")
            tables |= {name for (name,) in cursor.fetchall()}
    assert not {t for t in tables if t.startswith(("staged_", "seen_", "touched_", "user_facts"))}


def test_where_every_record_is_bad_nothing_changes_even_by_force() -> None:
    load(people(3))
    with pytest.raises(ImportRefused, match="all 2 records are bad; nothing was changed"):
        load([{"login": ""}, {"name": "ann"}], full=True, force=True)
    assert Import.objects.first().state == "failed"
    assert not Account.objects.filter(status="deleted").exists()


@pytest.mark.postgres
def test_an_import_collects_statistics_when_the_tables_have_grown() -> None:
    """Without them PostgreSQL expects one row, and joins thousands by nested loops."""

    def known() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples FROM pg_class WHERE relname IN ('checks_account', 'checks_authenticator')"
            )
            return [int(rows) for (rows,) in cursor.fetchall()]

    def devices(first: int, count: int) -> list[Row]:
        return [{"login": f"u{i}", "mfa_factors": f"sms:+1555{i:04d}"} for i in range(first, first + count)]

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE checks_account, checks_authenticator")
    assert known() == [0, 0]
    load(devices(0, 600))
    assert known() == [600, 600]
    load(devices(600, 60), full=False)
    assert known() == [600, 600]  # sixty are too few
    load(devices(660, 160), full=False)
    assert known() == [820, 820]
