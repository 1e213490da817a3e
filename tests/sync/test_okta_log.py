"""Okta's System Log: it names the users whose factors changed, so that a day's sync reads these and not everybody."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone

from checks.models import Account, Finding, Run, Source
from checks.services import add_source, run_checks, sync_catalogue
from cii_project.sync.rotation import planned_accounts
from cii_project.tools.scripted_sources.okta import (
    ScriptedOkta,
    okta_error,
    okta_event,
    okta_factor,
    okta_user,
)
from integrations.models import SpooledPage, Sync, SyncPass
from integrations.services import probe_connection, save_connection
from integrations.source_data import Permission
from integrations.sources import API_SOURCES
from tests.sync.worlds import account, connect, serving, sync

pytestmark = pytest.mark.django_db(transaction=True)

USERS = 36
# 00u00 is an administrator; a seventh of the others is read by rotation.
WATCHED, OLDEST = 1, 5
LOG = {"groups": False, "changes": True}
FACTORS = API_SOURCES["okta"].pass_of("factors")


def organization(**values):
    keys = [f"00u{place:02}" for place in range(USERS)]
    return ScriptedOkta(
        users={key: okta_user(key, f"{key}@example.com") for key in keys},
        factors={key: [okta_factor("webauthn", credentialId=key)] for key in keys},
        roles={"00u00": ["SUPER_ADMIN"]},
        **values,
    )


def asked_for(server):
    """The users whose factors were asked for since the requests were cleared."""
    return [each.path.split("/")[4] for each in server.asked if each.path.endswith("/factors")]


def log_calls(server):
    return [each for each in server.asked if each.path == "/api/v1/logs"]


def log_pass(done):
    return done.passes.get(slug="changes")


def published(moment):
    return {"published": f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"}


def move_place(moment):
    """As if the last sync had read the log up to this moment."""
    SyncPass.objects.filter(slug="changes").update(version={"until": moment.isoformat()})


def test_the_first_sync_reads_everybody_and_no_log_and_keeps_the_place():
    before = timezone.now()
    with serving(organization()) as server:
        done = sync(connect(server, passes=LOG))

    assert done.state == Sync.State.SUCCEEDED
    assert log_calls(server) == []
    assert before <= datetime.fromisoformat(log_pass(done).version["until"]) + timedelta(seconds=1)
    assert done.passes.get(slug="factors").done == USERS
    assert "the next sync reads what changes from now on" in log_pass(done).note


def test_factors_that_were_reset_are_read_the_next_day_although_nothing_else_changed():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        first = sync(connection)
        okta.change_factors("00u30", [], kind="user.mfa.factor.reset_all")
        # Nobody logged this one: the rotation finds it within seven days.
        okta.factors["00u31"] = []
        server.asked.clear()
        done = sync(connection)

    assert done.state == Sync.State.SUCCEEDED
    (asked,) = log_calls(server)
    place = datetime.fromisoformat(log_pass(first).version["until"])
    assert datetime.fromisoformat(asked.query["since"]) == place - timedelta(hours=1)
    assert datetime.fromisoformat(asked.query["until"]) == datetime.fromisoformat(
        log_pass(done).version["until"]
    )
    assert asked.query["filter"] == 'eventType sw "user.mfa.factor."'
    assert "00u30" in asked_for(server)
    assert len(asked_for(server)) == 1 + WATCHED + OLDEST
    assert (account("00u30@example.com").mfa, account("00u31@example.com").mfa) == (False, True)
    factors = done.passes.get(slug="factors")
    assert (
        factors.note
        == "New or changed users: 1. Administrators and users with a finding: 1. Read longest ago: 5."
    )
    assert log_pass(done).note.startswith("Users named since ")
    assert log_pass(done).note.endswith(" UTC: 1.")


def test_the_rotation_reads_everybody_within_seven_syncs():
    with serving(organization()) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        server.asked.clear()
        for _ in range(7):
            sync(connection)

    assert set(asked_for(server)) == {f"00u{place:02}" for place in range(USERS)}


def test_an_event_that_appears_late_is_read_and_one_before_the_overlap_is_not():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        okta.change_factors("00u30", [], **published(timezone.now() - timedelta(minutes=50)))
        okta.change_factors("00u31", [], **published(timezone.now() - timedelta(minutes=70)))
        sync(connection)

    assert (account("00u30@example.com").mfa, account("00u31@example.com").mfa) == (False, True)


def test_the_log_is_read_page_by_page_to_its_end():
    okta = organization(log_page=2)
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        for place in range(30, 35):
            okta.change_factors(f"00u{place}", [])
        server.asked.clear()
        done = sync(connection)

    assert [each.query.get("after") for each in log_calls(server)] == [None, "2", "4"]
    assert {each.query["limit"] for each in log_calls(server)} == {"1000"}
    assert {f"00u{place}" for place in range(30, 35)} <= set(asked_for(server))
    assert len(asked_for(server)) == 5 + WATCHED + OLDEST
    assert log_pass(done).pages == 3


def test_odd_events_and_unknown_users_are_passed_over():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        for target in (None, "00u01", [], [None, 7, "00u02"], [{"type": "User", "id": 7}], [{"id": "00u03"}]):
            okta.events.append(okta_event("00u04", target=target))
        okta.events.append(okta_event("00uof-another-organization"))
        okta.events.append(okta_event("00u05", kind="user.session.start"))
        okta.change_factors("00u30", [])
        okta.events.append(okta_event("00u30", kind="user.mfa.factor.suspend"))
        server.asked.clear()
        done = sync(connection)

    assert done.state == Sync.State.SUCCEEDED
    assert done.passes.get(slug="factors").cursor["changed"] == 1
    assert asked_for(server).count("00u30") == 1
    assert "00uof-another-organization" not in asked_for(server)


def test_without_the_permission_everybody_is_read_as_before_and_the_page_says_it():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        okta.forbidden = ("/api/v1/logs",)
        okta.change_factors("00u30", [])
        server.asked.clear()
        done = sync(connection)
        okta.forbidden = ()
        okta.change_factors("00u31", [])
        server.asked.clear()
        later = sync(connection)

    assert (done.state, log_pass(done).state, log_pass(done).error) == (Sync.State.SUCCEEDED, "failed", "")
    assert "The log was not read" in log_pass(done).note
    assert "E0000006" in log_pass(done).note
    assert done.passes.get(slug="factors").done == USERS
    # The place of the last log that was read.
    assert later.passes.get(slug="factors").cursor["changed"] == 2


@pytest.mark.parametrize("days", [91, 90])
def test_a_place_older_than_the_log_reads_everybody_and_starts_again(days):
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        move_place(timezone.now() - timedelta(days=days))
        server.asked.clear()
        done = sync(connection)
        later = sync(connection)

    assert len(asked_for(server)) == USERS + WATCHED + OLDEST
    assert "The log does not reach back to" in log_pass(done).note
    assert len(log_calls(server)) == 1
    assert "since" in log_pass(later).version


def test_users_that_a_log_named_and_an_outage_left_unread_are_named_again():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        okta.change_factors("00u30", [])
        server.disturb = lambda asked: okta_error(500) if asked.path.endswith("/factors") else None
        broken = sync(connection)
        server.disturb = None
        # After hours, beyond the overlap.
        place = timezone.now() - timedelta(hours=9)
        first = SyncPass.objects.filter(slug="changes").order_by("pk").first()
        SyncPass.objects.filter(pk=first.pk).update(version={"until": place.isoformat()})
        server.asked.clear()
        sync(connection)

    assert broken.state == Sync.State.PARTIAL
    since = datetime.fromisoformat(log_calls(server)[0].query["since"])
    assert abs(since - (place - timedelta(hours=1))) < timedelta(seconds=1)
    assert account("00u30@example.com").mfa is False


def test_what_a_log_named_does_not_stay_in_the_spool_even_if_the_sync_fails():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        okta.change_factors("00u30", [])
        sync(connection)
        assert not SpooledPage.objects.exists()
        server.disturb = lambda asked: okta_error(401) if asked.path.endswith("/factors") else None
        done = sync(connection)

    assert (done.state, log_pass(done).state) == (Sync.State.FAILED, "imported")
    assert not SpooledPage.objects.exists()


def test_a_log_that_leads_to_another_host_is_not_followed():
    okta = organization()
    with serving(okta) as server, serving(organization()) as other:
        connection = connect(server, passes=LOG)
        sync(connection)

        def lead_away(asked):
            if asked.path != "/api/v1/logs":
                return None
            answer = okta.answer(asked)
            link = {"Link": f'<{other.url}/api/v1/logs?after=1>; rel="next"'}
            return type(answer)(200, answer.body, {**answer.headers, **link})

        server.disturb = lead_away
        done = sync(connection)

    assert (done.state, other.asked) == (Sync.State.SUCCEEDED, [])
    assert "not the address of this source" in log_pass(done).note
    assert done.passes.get(slug="factors").done == USERS


def test_a_source_that_did_not_choose_the_log_is_read_as_before():
    with serving(organization()) as server:
        connection = connect(server)
        sync(connection)
        server.asked.clear()
        done = sync(connection)

    assert log_calls(server) == []
    assert done.passes.get(slug="factors").done == USERS


def planned(connection, named=frozenset()):
    return planned_accounts(connection, Source.objects.get(), FACTORS, 300, named)


def test_a_status_that_changed_after_the_reading_and_a_new_user_are_changes():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        changed = published(timezone.now())["published"]
        okta.users["00u33"] |= {"status": "RECOVERY", "statusChanged": changed}
        okta.users["00u99"] = okta_user("00u99", "new@example.com")
        server.asked.clear()
        sync(connection)

    assert {"00u33", "00u99"} <= set(asked_for(server))
    assert len(asked_for(server)) == 2 + WATCHED + OLDEST


def test_users_who_fail_an_mfa_check_are_read_each_time_and_those_who_fail_another_are_not():
    sync_catalogue()
    okta = organization()
    okta.factors["00u30"] = []
    # Nobody else is inactive.
    now = published(timezone.now())["published"]
    for user in okta.users.values():
        user["lastLogin"] = now
    okta.users["00u31"]["lastLogin"] = "2020-01-01T00:00:00.000Z"
    with serving(okta) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
        run_checks(trigger=Run.Trigger.COMMAND)
        server.asked.clear()
        okta.factors["00u30"] = [okta_factor("push")]
        sync(connection)

    failing = set(
        Finding.objects.filter(check_ref__slug__in=["no-mfa", "inactive-user"]).values_list(
            "user__accounts__source_key", flat=True
        )
    )
    assert failing == {"00u30", "00u31"}
    assert "00u30" in asked_for(server)
    assert "00u31" not in asked_for(server)
    # The fix shows.
    assert account("00u30@example.com").mfa is True


def test_a_great_many_changes_do_not_stop_the_rotation():
    with serving(organization()) as server:
        connection = connect(server, passes=LOG)
        sync(connection)
    keys = sorted(Account.objects.values_list("source_key", flat=True))

    plan = planned(connection, frozenset(keys[:20]))

    assert plan.changed == keys[:20]
    assert len(plan.oldest) == 3
    assert not plan.is_all
    assert planned(connection, frozenset(keys)).is_all
    assert planned(connection, None).is_all
    # Without a log, an hour of calls; where that does not reach, a seventh of the others as well.
    assert len(planned_accounts(connection, Source.objects.get(), FACTORS, 0.4, None).keys) == 24
    assert (
        len(planned_accounts(connection, Source.objects.get(), FACTORS, 0.0, None).keys) == WATCHED + OLDEST
    )


def service_app(**values):
    """An organization whose app has a key and has to prove it, and the settings of its source."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    okta = organization(public_key=key.public_key(), nonce="nonce-of-the-server", **values)
    document = {
        "authorization": "service_app",
        "client_id": okta.client_id,
        "private_key": key.private_bytes(*form).decode(),
    }
    return okta, document


def test_a_service_app_asks_for_the_scope_of_the_log_and_the_test_says_if_it_is_missing():
    okta, document = service_app()
    with serving(okta) as server:
        add_source(slug="okta", name="Okta", kind="identity", provider="OKTA")
        # By default a new source reads the log.
        connection, _ = save_connection(slug="okta", kind="okta", document={"url": server.url, **document})
        granted = probe_connection(connection)
        asked = [each.form["scope"] for each in server.asked if each.form.get("scope")]
        sync(connection)
        okta.change_factors("00u30", [])
        done = sync(connection)
        okta.forbidden = ("/api/v1/logs",)
        missing = probe_connection(connection)

    assert set(asked) == {"okta.users.read okta.roles.read okta.groups.read okta.logs.read"}
    assert {each.state for each in granted.permissions} == {Permission.GRANTED}
    assert done.passes.get(slug="factors").cursor["changed"] == 1
    (result,) = [each for each in missing.permissions if each.state is not Permission.GRANTED]
    assert (result.name, result.groups) == ("Changed factors (System Log)", ())
    assert "It needs okta.logs.read." in result.detail


def test_an_app_without_the_scope_of_the_log_reads_everything_else():
    """Also where a configuration from before the log is applied again: it asks for the log then."""
    okta, document = service_app(ungranted=("okta.logs.read",))
    with serving(okta) as server:
        add_source(slug="okta", name="Okta", kind="identity", provider="OKTA")
        connection, _ = save_connection(slug="okta", kind="okta", document={"url": server.url, **document})
        seen = probe_connection(connection)
        first, second = sync(connection), sync(connection)

    missing = [each.name for each in seen.permissions if each.state is not Permission.GRANTED]
    assert missing == ["Changed factors (System Log)"]
    assert (first.state, second.state) == (Sync.State.SUCCEEDED, Sync.State.SUCCEEDED)
    assert second.passes.get(slug="factors").cursor["all"]


def test_a_scope_that_is_needed_and_not_granted_fails_with_okta_s_words():
    okta, document = service_app(ungranted=("okta.roles.read",))
    with serving(okta) as server:
        add_source(slug="okta", name="Okta", kind="identity", provider="OKTA")
        connection, _ = save_connection(slug="okta", kind="okta", document={"url": server.url, **document})
        failed = sync(connection)

    assert failed.state == Sync.State.FAILED
    assert "invalid_scope: One or more scopes are not configured" in failed.error


def test_a_stored_source_without_the_setting_reads_no_log():
    slugs = [each.slug for each in API_SOURCES["okta"].passes_of({"passes": {"groups": True}})]
    assert slugs == ["users", "roles", "groups", "factors"]
