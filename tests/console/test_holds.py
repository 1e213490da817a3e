"""Held messages in the browser: the list, one hold with its people, texts and CSV, release and drop by role."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from checks.models import Finding, Run
from cii_project.console.core.titles import check_title
from cii_project.console.deliveries.sent_request import recipient_text
from integrations.services import save_integration
from notifications.delivery import task_requests
from notifications.models import Configuration, Delivery, Hold
from notifications.planning import finding_ranges
from notifications.services import run_and_notify, subscribe
from tests.console.checks_world import HTMX, check_of, client_of, fail, queries, said, text, webhook

pytestmark = pytest.mark.django_db
URL = "/deliveries/held/"
ROLES = ("Viewer", "Operator", "Engineer")


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch):
    monkeypatch.setattr(task_requests, "async_task", lambda task, *args: None)


def bot():
    document = {"mode": "bot", "token": "xoxb-111111111111-222222222222", "channel": "#identity"}
    return save_integration(name="slack", kind="slack", document=document).integration


def held(count=3, *targets, limit=2) -> Hold:
    """The hold of a real run whose messages to ``count`` people exceed the limit."""
    Configuration.load()
    Configuration.objects.update(max_people_per_run=limit, max_people_percent=0)
    check = check_of()
    for target in targets or (webhook("direct"),):
        subscribe(check, target, "user")
    for number in range(count):
        fail(f"kim{number:03}@example.com", display_name=f"Kim {number}")
    run_and_notify(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",))
    return Hold.objects.get()


def page_of(hold: Hold, role: str = "Viewer", query: str = "") -> str:
    return text(client_of(role).get(f"{URL}{hold.pk}/{query}"))


def test_the_page_says_who_would_get_what_and_why_it_is_held():
    hold = held(3, webhook("direct"), bot())
    page = page_of(hold)
    assert "Nothing has been sent." in page
    assert "3 people would get direct messages. The limit is 2 people." in page
    assert "No MFA Configured" in page
    assert page.count("See message") == 6
    assert "to slack, users · 3 messages" in page
    assert re.search(r"Hello Kim \d", page), "the text of a chat without its form"
    for number in range(3):
        assert f"kim{number:03}@example.com" in page


def test_every_role_reads_and_only_who_may_replay_decides():
    hold = held()
    for role in ROLES:
        client = client_of(role)
        for url in (URL, f"{URL}{hold.pk}/", f"{URL}{hold.pk}/export"):
            assert client.get(url).status_code == 200, (role, url)
        page = text(client.get(f"{URL}{hold.pk}/"))
        assert ("Release…" in page, "Drop…" in page) == ((role != "Viewer"),) * 2
    viewer = client_of("")
    for action in ("release", "drop"):
        assert viewer.get(f"{URL}{hold.pk}/").status_code == 403
        assert viewer.post(f"{URL}{hold.pk}/{action}").status_code == 403
    client = client_of_again("Viewer")
    for action in ("release", "drop"):
        assert client.get(f"{URL}{hold.pk}/{action}", headers=HTMX).status_code == 403
        assert client.post(f"{URL}{hold.pk}/{action}", headers=HTMX).status_code == 403
    assert Hold.objects.get().state == "open"


def client_of_again(role: str):
    from django.contrib.auth.models import User as Person
    from django.test import Client

    client = Client()
    client.force_login(Person.objects.get(username=role.lower()))
    return client


def test_who_is_not_signed_in_is_sent_to_sign_in(client):
    assert "/admin/login/" in client.get(URL).url


@pytest.mark.parametrize(
    ("action", "state", "became", "toast"),
    [
        ("release", "released", "due", "3 messages are released and will be sent now."),
        ("drop", "dropped", "skipped", "3 messages are dropped and will not be sent."),
    ],
)
def test_an_operator_decides_after_a_question_and_it_is_on_record(action, state, became, toast):
    hold, client = held(), client_of("Operator")
    url = f"{URL}{hold.pk}/{action}"
    dialog = text(client.get(url, headers=HTMX))
    assert f"{action.capitalize()} 3" in dialog
    assert "3 people" in dialog
    answer = client.post(url, headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"{URL}{hold.pk}/"
    page = text(client.get(f"{URL}{hold.pk}/"))
    assert toast in page
    assert "by operator" in page
    assert "Release…" not in page
    hold.refresh_from_db()
    assert (hold.state, hold.decided_by.username) == (state, "operator")
    assert set(Delivery.objects.values_list("state", flat=True)) == {became}
    assert f"{state.capitalize()} 3 held messages to 3 people." in said()[-1]


def test_the_second_of_two_operators_reads_what_the_first_decided():
    hold, client = held(), client_of("Operator")
    client.post(f"{URL}{hold.pk}/drop", headers=HTMX)
    client.post(f"{URL}{hold.pk}/release", headers=HTMX)
    page = text(client.get(f"{URL}{hold.pk}/"))
    assert "These messages were dropped already by operator" in page
    assert set(Delivery.objects.values_list("state", flat=True)) == {"skipped"}


def test_the_question_says_how_many_findings_are_resolved_by_now():
    hold = held()
    Finding.objects.filter(pk=Finding.objects.first().pk).update(
        resolved_at=timezone.now() + timedelta(seconds=1)
    )
    dialog = text(client_of("Operator").get(f"{URL}{hold.pk}/release", headers=HTMX))
    assert "1 of them is about findings that have been resolved since." in dialog


def test_the_list_is_paged_and_searched():
    hold = held(60)
    client = client_of("Viewer")
    first = text(client.get(f"{URL}{hold.pk}/"))
    assert first.count("See message") == 50
    following = re.search(r'href="(\?page=[^"]+)" rel="next"', first).group(1)
    assert text(client.get(f"{URL}{hold.pk}/{following}")).count("See message") == 10
    found = text(client.get(f"{URL}{hold.pk}/?q=KIM05"))
    assert found.count("See message") == 10
    assert "No message matches" in text(client.get(f"{URL}{hold.pk}/?q=nobody"))


def test_the_csv_has_all_people_or_those_found_and_no_formula():
    hold = held(3)
    mine = Delivery.objects.select_related("recipient").order_by("batch")[0]
    mine.recipient.display_name = "=1+1"
    mine.recipient.save()
    client = client_of("Viewer")

    def rows(query=""):
        content = b"".join(client.get(f"{URL}{hold.pk}/export{query}").streaming_content)
        return list(csv.DictReader(io.StringIO(content.decode())))

    assert len(rows()) == 3
    (row,) = rows("?q=kim000")
    assert said()[-1] == "Exported the list of held messages as CSV."
    assert row["recipient"] == row["user"] == "kim000@example.com"
    assert (row["display_name"], row["as"], row["check"], row["target"], row["state"]) == (
        "'=1+1", "user", "No MFA Configured", "direct", "held",
    )  # fmt: skip


def test_the_messages_of_a_hold_are_filtered_sorted_and_have_columns():
    hold = held(3, webhook("direct"), bot())
    client, url = client_of("Viewer"), f"{URL}{hold.pk}/"
    slack = Delivery.objects.filter(integration__name="slack").values_list("integration_id", flat=True)[0]
    page = text(client.get(url, {"target": slack, "sort": "-recipient", "columns": "user"}))
    assert re.findall(r'class="c-name" href="/users/\d+/">(.*?)</a>', page) == [
        f"kim00{number}@example.com" for number in (2, 1, 0)
    ]
    assert "3 held messages" in page
    heads = page[page.rindex("<thead>") : page.rindex("</thead>")]
    assert ("User" in heads, "Target" in heads) == (True, False)
    assert "No message matches" in text(client.get(url, {"as": "manager"}))
    assert "Unknown value “gone”" in text(client.get(url, {"state": "gone"}))


def test_a_message_about_more_than_one_finding_says_so():
    hold = held(3)
    Delivery.objects.filter(hold=hold).update(finding_ranges=finding_ranges.from_ids([1, 2]))
    assert "No MFA Configured and more" in page_of(hold)


def test_the_page_takes_few_queries_however_long_the_list():
    hold = held(60)
    assert queries(client_of("Operator"), f"{URL}{hold.pk}/") <= 20


def test_the_dashboard_the_run_and_the_deliveries_point_at_an_open_hold():
    hold = held()
    client = client_of("Operator")
    dashboard = text(client.get("/"))
    assert "3 direct messages held. 3 people would get direct messages." in dashboard
    assert f'href="{URL}{hold.pk}/"' in dashboard
    assert "3 held" in dashboard
    run = text(client.get(f"/runs/{hold.run_id}/"))
    assert f'href="{URL}{hold.pk}/"' in run
    assert "3 held" in run
    deliveries = text(client.get("/deliveries/?state=held"))
    assert deliveries.count(">Held</span>") == 3
    assert "1 open" in deliveries
    assert "Replay all that match" not in deliveries
    one = Delivery.objects.first()
    delivery = text(client.get(f"/deliveries/{one.pk}/"))
    assert "Its run or digest would message too many people." in delivery
    assert 'title="It is held"' in delivery
    assert "every 2s" not in delivery
    client.post(f"{URL}{hold.pk}/drop", headers=HTMX)
    assert "direct messages held" not in text(client.get("/"))
    assert "dropped by operator" in text(client.get(f"/deliveries/{one.pk}/"))


def test_the_list_of_holds_shows_what_was_decided():
    client = client_of("Operator")
    assert "No message is held" in text(client.get(URL))
    hold = held()
    client.post(f"{URL}{hold.pk}/release", headers=HTMX)
    page = text(client.get(URL))
    assert "Released" in page
    assert "operator," in page


def test_the_list_of_holds_is_searched_filtered_sorted_and_exported():
    client = client_of("Operator")
    hold = held()
    title = check_title(next(iter(hold.checks)))
    assert f'href="{URL}{hold.pk}/"' in text(client.get(URL, {"q": title, "state": "open", "sort": "people"}))
    for other in ({"q": "nobody"}, {"state": "dropped"}):
        assert "No held message matches" in text(client.get(URL, other))
    assert "Unknown value" in text(client.get(URL, {"state": "gone"}))
    (row,) = csv.DictReader(
        io.StringIO(b"".join(client.get(URL, {"format": "csv"}).streaming_content).decode())
    )
    assert (row["state"], row["people"], row["decided"]) == ("open", str(hold.people), "")


def test_metrics_and_health_count_what_is_held(admin_client):
    held()
    lines = text(admin_client.get("/metrics")).splitlines()
    assert 'cii_deliveries{kind="webhook",state="held"} 3.0' in lines
    assert "cii_open_holds 1.0" in lines
    assert admin_client.get("/healthz").json()["open_holds"] == 1


def test_a_hold_whose_target_is_deleted_can_still_be_closed():
    hold = held()
    Delivery.objects.all().delete()
    page = page_of(hold, "Operator")
    assert "their targets were deleted" in page
    assert client_of_again("Operator").post(f"{URL}{hold.pk}/drop", headers=HTMX).status_code == 204
    assert Hold.objects.get().state == "dropped"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"detail": {"message": "Please add a second factor."}}, "Please add a second factor."),
        ({"text": "cut", "blocks": [{"text": {"type": "plain_text", "text": "whole"}}]}, "whole"),
        ({"markdown": "**Hello**", "toPersonEmail": "kim@example.com"}, "**Hello**"),
        ({"attachments": [{"content": {"body": [{"type": "TextBlock", "text": "Hi"}]}}]}, "Hi"),
    ],
)
def test_the_text_of_a_message_is_shown_without_its_form(body, expected):
    assert recipient_text(Delivery(integration=bot(), body=json.dumps(body).encode())) == expected
