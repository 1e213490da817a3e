"""Deliveries: the list and its filters, one delivery's timeline, replaying one and all that match."""

import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from checks.models import User
from cii_project.console.core.list_query import ListQuery
from cii_project.console.deliveries.delivery_filters import replayable_deliveries
from integrations.models import Integration
from notifications.delivery import task_requests
from notifications.models import Delivery, Event
from tests.console.checks_world import (
    HTMX,
    attempted,
    check_of,
    client_of,
    delivered,
    failing_run,
    queries,
    said,
    text,
    webhook,
)

pytestmark = pytest.mark.django_db
URL = "/deliveries/"


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch):
    monkeypatch.setattr(task_requests, "async_task", lambda task, *args: None)


def ids(response) -> list[str]:
    return re.findall(r'<a class="c-name" href="/deliveries/([^/]+)/"', text(response))


def test_the_list_shows_what_went_where_and_what_came_back():
    delivered(webhook("soar"), state="dead", status_code=404, reason="The receiver answered 404 Not Found.")
    page = text(client_of("Viewer").get(URL))
    for part in ("No MFA Configured", "soar", "Dead letter", "The receiver answered 404 Not Found."):
        assert part in page


def test_an_empty_list_says_how_to_fill_it():
    client = client_of("Viewer")
    assert "Nothing was sent yet" in text(client.get(URL))
    assert "No delivery matches" in text(client.get(f"{URL}?state=dead"))


def test_the_filters_narrow_and_combine():
    soar, siem = webhook("soar"), webhook("siem")
    run = failing_run("kim@example.com")
    event = Event.objects.create(run=run, check_ref=check_of(), created_at=timezone.now())
    old = timezone.now() - timedelta(days=3)
    made = {
        "run": delivered(soar, event=event),
        "dead": delivered(soar, state="dead"),
        "siem": delivered(siem, "mfa-bypass"),
        "old": delivered(siem, created_at=old, state="due"),
        "test": delivered(soar, origin="test"),
    }
    client = client_of("Viewer")

    def found(**query) -> set[str]:
        shown = ids(client.get(URL, query))
        return {name for name, delivery in made.items() if str(delivery.id) in shown}

    assert found() == set(made)
    assert found(state="dead") == {"dead"}
    assert found(target=siem.id) == {"siem", "old"}
    assert found(check="mfa-bypass") == {"siem"}
    assert found(period="24") == {"run", "dead", "siem", "test"}
    assert found(origin="test") == {"test"}
    assert found(run=run.id) == {"run"}
    assert found(target=soar.id, state="delivered") == {"run", "test"}
    for unknown in ({"target": "x"}, {"state": "x"}, {"period": "x"}, {"run": "x"}, {"target": "9" * 40}):
        assert found(**unknown) == set()
        assert "Unknown value" in text(client.get(URL, unknown))


def test_paging_by_key_visits_each_once_though_times_are_equal():
    target, now = webhook(), timezone.now()
    event = Event.objects.create(origin="current", check_ref=check_of(), created_at=now)
    Delivery.objects.bulk_create(
        Delivery(event=event, integration=target, batch=batch, created_at=now, state="dead")
        for batch in range(120)
    )
    client, url, pages = client_of("Viewer"), f"{URL}?state=dead", []
    while url:
        answer = client.get(url)
        pages.append(ids(answer))
        following = re.search(r'href="(\?[^"]+)" rel="next"', text(answer))
        url = URL + following[1].replace("&amp;", "&") if following else ""
    assert [len(page) for page in pages] == [50, 50, 20]
    assert len({one for page in pages for one in page}) == 120


# --- One delivery -----------------------------------------------------------------------------------
def test_a_deliverys_page_has_the_timeline_with_the_answers():
    delivery = delivered(webhook("soar"), state="dead", reason="The retries are used up.", attempts=2)
    attempted(delivery, 1, response_body="<b>overloaded</b>", response_headers={"Server": "nginx"})
    attempted(delivery, 2, token_step="Token from the cache.", next_attempt_at=timezone.now())
    page = text(client_of("Viewer").get(f"{URL}{delivery.id}/"))
    for part in (
        "Dead letter.",
        "The retries are used up.",
        "Attempt 2",
        "Attempt 1",
        "503",
        "41 ms",
        "Token from the cache.",
        "Then planned for",
        "Server: nginx",
        "&lt;b&gt;overloaded&lt;/b&gt;",
    ):
        assert part in page
    assert page.index("Attempt 2") < page.index("Attempt 1")


def test_the_request_is_shown_with_every_secret_masked():
    target = webhook(
        "soar",
        "https://soar.example/in?key=in-the-address",
        parameters={
            "header": {"X-Tenant": "acme", "X-Key": {"value": "sealed-header", "secret": True}},
            "body": {"team": "iam", "token": {"value": "sealed-body", "secret": True}},
        },
    )
    page = text(client_of("Viewer").get(f"{URL}{delivered(target).id}/"))
    for part in ("POST https://soar.example/…", "webhook-id: ", "Authorization: Basic ••••••", "no-mfa"):
        assert part in page
    for secret in ("s3cret-pass", "sealed-header", "sealed-body", "in-the-address", "whsec_"):
        assert secret not in page


@pytest.mark.parametrize(
    ("authorization", "shown", "secret"),
    [
        ({"type": "api_key", "name": "x-token", "value": "sesame"}, "x-token: ••••••", "sesame"),
        (
            {
                "type": "oauth",
                "endpoint": "https://id.example/token",
                "client_id": "abc",
                "client_secret": "hush-hush",
            },
            "Authorization: Bearer ••••••",
            "hush-hush",
        ),
    ],
)
def test_each_authorization_is_shown_masked(authorization, shown, secret):
    page = text(client_of("Viewer").get(f"{URL}{delivered(webhook(authorization=authorization)).id}/"))
    assert shown in page
    assert secret not in page


def test_a_long_body_is_cut_and_says_so():
    body = json.dumps({"users": ["kim@example.com"] * 3000}).encode()
    page = text(client_of("Viewer").get(f"{URL}{delivered(webhook(), body=body).id}/"))
    assert "The first 32,768 of" in page
    assert page.count("kim@example.com") < 3000


def test_what_was_never_made_or_dropped_after_retention_says_so():
    client, target = client_of("Operator"), webhook()
    skipped = delivered(target, state="skipped", reason="The manager is unknown.", body=None)
    page = text(client.get(f"{URL}{skipped.id}/"))
    assert "The manager is unknown." in page
    assert "There is no content to send." in page
    dropped = text(client.get(f"{URL}{delivered(target, body=None).id}/"))
    assert "dropped after the retention" in dropped
    assert "disabled title=" in dropped


def test_a_direct_message_names_its_recipient():
    kim = User.objects.create(name="kim@example.com")
    delivery = delivered(webhook(), audience="user", recipient=kim)
    client = client_of("Viewer")
    assert "kim@example.com" in text(client.get(f"{URL}{delivery.id}/"))
    assert "kim@example.com" in text(client.get(URL))


def test_a_delivery_on_its_way_asks_again_by_itself_until_it_is_settled():
    delivery = delivered(webhook("soar"), state="due", due_at=timezone.now())
    client = client_of("Viewer")
    assert 'hx-trigger="every 2s"' in text(client.get(f"{URL}{delivery.id}/"))
    part = text(client.get(f"{URL}{delivery.id}/", headers=HTMX))
    assert part.strip().startswith("<section")
    Delivery.objects.update(state="delivered")
    assert "hx-trigger" not in text(client.get(f"{URL}{delivery.id}/", headers=HTMX))


def test_a_delivery_to_a_paused_target_says_that_it_waits():
    delivery = delivered(webhook("soar"), state="due", due_at=timezone.now())
    Integration.objects.update(state="paused")
    assert "waits until it is active again" in text(client_of("Viewer").get(f"{URL}{delivery.id}/"))


def test_a_delivery_that_does_not_exist_is_not_found():
    assert client_of("Viewer").get(f"{URL}{uuid4()}/").status_code == 404


def test_a_delivery_that_waits_is_sent_now():
    target = webhook("soar")
    later = timezone.now() + timedelta(minutes=30)
    delivery = delivered(target, state="due", attempts=4, due_at=later)
    Integration.objects.update(breaker_until=later)
    client, url = client_of("Operator"), f"{URL}{delivery.id}/"
    assert "Send now</button>" in text(client.get(url))
    assert "Send now</button>" not in text(client_of("Viewer").get(url))
    assert "It is sent now." in text(client.post(f"{url}send-now", follow=True))
    again = Delivery.objects.get()
    assert again.due_at <= timezone.now()
    assert (again.state, again.attempts) == ("due", 4)
    assert Integration.objects.get().breaker_until is None
    assert said() == ["Sent now to “soar”."]


def test_only_a_delivery_that_waits_for_an_active_target_is_sent_now():
    delivery = delivered(webhook("soar"), state="due", due_at=timezone.now())
    client, url = client_of("Operator"), f"{URL}{delivery.id}/"
    Integration.objects.update(state="paused")
    assert "Send now</button>" not in text(client.get(url))
    assert "“soar” is paused: resume it first." in text(client.post(f"{url}send-now", follow=True))
    Integration.objects.update(state="active")
    Delivery.objects.update(state="delivered")
    assert "does not wait any more" in text(client.post(f"{url}send-now", follow=True))
    assert said() == []


def test_a_failed_test_is_shown_as_one_and_cannot_be_replayed():
    delivery = delivered(webhook("soar"), origin="connectivity", state="test_failed", reason="Answered 503.")
    client, url = client_of("Operator"), f"{URL}{delivery.id}/"
    page = text(client.get(url))
    assert "The test failed." in page
    assert "Answered 503." in page
    assert "Dead letter" not in page
    assert "Replay</button>" not in page
    assert "A test is not sent again." in text(client.post(f"{url}replay", follow=True))
    assert "Test failed" in text(client.get(f"{URL}?state=test_failed"))
    assert list(replayable_deliveries(ListQuery(filters={"state": "test_failed"}))) == []


# --- Replay -----------------------------------------------------------------------------------------
def test_one_delivery_is_replayed_with_the_same_id_and_bytes():
    delivery = delivered(webhook("soar"), state="dead")
    client = client_of("Operator")
    answer = client.post(f"{URL}{delivery.id}/replay", follow=True)
    assert "are on their way" in text(answer)
    again = Delivery.objects.get()
    assert (again.id, again.state, again.replays) == (delivery.id, "due", 1)
    assert bytes(again.body) == bytes(delivery.body)
    assert said() == ["Replayed to “soar”."]
    assert "still open" in text(client.post(f"{URL}{delivery.id}/replay", follow=True))


def test_a_viewer_replays_nothing_and_sees_no_button():
    delivery = delivered(webhook(), state="dead")
    client = client_of("Viewer")
    for page in (URL, f"{URL}{delivery.id}/"):
        assert "Replay</button>" not in text(client.get(page))
        assert "deliveries/replay" not in text(client.get(page))
    assert client.post(f"{URL}{delivery.id}/replay").status_code == 403
    assert client.get(f"{URL}replay", headers=HTMX).status_code == 403
    assert client.post(f"{URL}replay", headers=HTMX).status_code == 403
    assert Delivery.objects.get().state == "dead"


def test_all_that_match_are_replayed_after_the_count_was_shown():
    soar, siem = webhook("soar"), webhook("siem")
    for target in (soar, soar, siem):
        delivered(target, state="dead")
    delivered(soar)
    client = client_of("Operator")
    dialog = text(client.get(f"{URL}replay?target={soar.id}", headers=HTMX))
    assert "2 deliveries" in dialog
    assert "soar" in dialog
    assert f'name="target" value="{soar.id}"' in dialog
    answer = client.post(f"{URL}replay", {"target": soar.id}, headers=HTMX)
    assert answer["HX-Redirect"] == f"{URL}?target={soar.id}"
    assert sorted(Delivery.objects.values_list("integration__name", "state")) == [
        ("siem", "dead"),
        ("soar", "delivered"),
        ("soar", "due"),
        ("soar", "due"),
    ]
    assert said() == ["Replayed 2 deliveries."]


def test_only_what_can_be_sent_again_is_counted():
    soar, off = webhook("soar"), webhook("off")
    Integration.objects.filter(id=off.id).update(state="disabled")
    wanted = delivered(soar, state="dead")
    delivered(soar, state="dead", body=None)
    delivered(off, state="dead")
    delivered(soar, state="due")
    arrived = delivered(soar)
    assert list(replayable_deliveries(ListQuery())) == [wanted]
    assert list(replayable_deliveries(ListQuery(filters={"state": "delivered"}))) == [arrived]
    assert list(replayable_deliveries(ListQuery(filters={"state": "due"}))) == []
    dialog = text(client_of("Operator").get(f"{URL}replay?state=due", headers=HTMX))
    assert "No delivery matches" in dialog


def test_a_replay_of_nothing_says_so():
    answer = client_of("Operator").post(f"{URL}replay", {}, headers=HTMX)
    assert answer["HX-Redirect"].rstrip("?") == URL
    assert said() == []


def test_the_pages_take_few_queries():
    target = webhook()
    delivery = delivered(target)
    client = client_of("Operator")
    few = queries(client, URL)
    for number in range(5):
        attempted(delivered(webhook(f"t{number}")))
    attempted(delivery)
    assert queries(client, URL) <= few <= 12
    assert queries(client, f"{URL}{delivery.id}/") <= 10
