"""Nothing is deleted but by a complete listing, and not many at once without a member."""

from datetime import timedelta

import pytest

from checks.models import Account
from cii_project.sync.requests import SyncRefused, drop_held, release_held
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_user
from integrations.models import SpooledPage, Sync
from tests.sync.worlds import connect, serving, sync, work

pytestmark = pytest.mark.django_db(transaction=True)


def organization(number: int) -> ScriptedOkta:
    keys = [f"00u{place:03}" for place in range(number)]
    return ScriptedOkta(users={key: okta_user(key, f"user{key}@example.com") for key in keys})


def remove(okta: ScriptedOkta, number: int) -> None:
    for key in list(okta.users)[:number]:
        del okta.users[key]


def deleted() -> int:
    return Account.objects.filter(status="deleted").count()


@pytest.fixture
def synced():
    okta = organization(40)
    with serving(okta) as server:
        connection = connect(server)
        sync(connection)
        yield okta, connection, server


def test_one_in_twenty_may_leave_at_once(synced):
    okta, connection, _ = synced
    remove(okta, 2)
    assert (sync(connection).state, deleted()) == (Sync.State.SUCCEEDED, 2)


def test_more_are_deleted_once_two_listings_agree(synced):
    okta, connection, _ = synced
    remove(okta, 6)
    first = sync(connection)
    assert (first.state, deleted()) == (Sync.State.SUCCEEDED, 0)
    sync(connection)
    assert deleted() == 6
    connection.refresh_from_db()
    assert connection.unconfirmed == []


def test_those_who_come_back_meanwhile_stay(synced):
    okta, connection, _ = synced
    everyone = dict(okta.users)
    remove(okta, 6)
    sync(connection)
    okta.users = everyone
    sync(connection)
    assert deleted() == 0


def test_a_fifth_and_more_waits_for_a_member_and_no_other_pass_is_read(synced):
    okta, connection, server = synced
    remove(okta, 9)
    server.asked.clear()
    held = sync(connection)
    assert (held.state, deleted()) == (Sync.State.HELD, 0)
    assert (held.held["live"], held.held["missing"], len(held.held["accounts"])) == (40, 9, 9)
    assert set(server.paths()) == {"/api/v1/users"}


def test_a_released_listing_is_imported_without_reading_it_again(synced):
    okta, connection, server = synced
    remove(okta, 9)
    held = sync(connection)
    server.asked.clear()
    release_held(held, "kim")
    done = work(held)
    assert (done.state, deleted(), done.decision) == (Sync.State.SUCCEEDED, 9, "Released by kim.")
    assert "/api/v1/users" not in server.paths()
    with pytest.raises(SyncRefused, match="decided already"):
        drop_held(done, "lee")


def test_a_listing_may_be_released_days_later(synced):
    okta, connection, _ = synced
    remove(okta, 9)
    held = sync(connection)
    Sync.objects.filter(pk=held.pk).update(created_at=held.created_at - timedelta(days=5))
    held.refresh_from_db()
    release_held(held, "kim")
    assert (work(held).state, deleted()) == (Sync.State.SUCCEEDED, 9)


def test_a_dropped_listing_leaves_the_accounts_and_nothing_in_the_spool(synced):
    okta, connection, _ = synced
    remove(okta, 9)
    held = sync(connection)
    drop_held(held, "kim")
    held.refresh_from_db()
    assert (held.state, deleted(), SpooledPage.objects.count()) == (Sync.State.DROPPED, 0, 0)


def test_a_newer_listing_replaces_one_that_is_held(synced):
    okta, connection, _ = synced
    everyone = dict(okta.users)
    remove(okta, 9)
    held = sync(connection)
    okta.users = everyone
    assert sync(connection).state == Sync.State.SUCCEEDED
    held.refresh_from_db()
    assert (held.state, held.decision) == (Sync.State.DROPPED, "Replaced by a newer listing.")
