"""Integrations in the browser: the form, errors beside their fields, secrets, and what can be done to one."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone

from checks.models import Check
from checks.services import CATALOGUE
from cii_project.audit.models import AuditEntry
from integrations import services
from integrations.auth.sealing import unseal
from integrations.models import Integration
from integrations.services import document_of
from integrations.targets import KINDS
from integrations.targets.webhook.presets import PRESETS
from notifications.models import Delivery, Subscription
from notifications.services import subscribe
from tests.console.checks_world import (
    HTMX,
    attempted,
    beside,
    check_of,
    client_of,
    delivered,
    said,
    text,
    webhook,
)
from tests.receiver import Behaviour, Receiver

pytestmark = pytest.mark.django_db
ADD = "/integrations/add/webhook/"
BASIC = {
    "name": "soar",
    "url": "https://soar.example.com/hook",
    "method": "POST",
    "authorization": "basic",
    "username": "cii",
    "password": "s3cret-pass",
    "signing_enabled": "on",
    "timeout_connect": "5",
    "timeout_answer": "5",
}
OAUTH = {
    **BASIC,
    "authorization": "oauth",
    "endpoint": "https://id.example.com/token",
    "token_method": "PUT",
    "client_authentication": "basic",
    "client_id": "abc",
    "client_secret": "s3cret-client",
}


def row(prefix, number, where, name, value, secret=False):
    found = {
        f"{prefix}-where-{number}": where,
        f"{prefix}-name-{number}": name,
        f"{prefix}-value-{number}": value,
    }
    return found | ({f"{prefix}-secret-{number}": "on"} if secret else {})


def of(integration, action=""):
    return f"/integrations/{integration.pk}/{action}"


# --- The form ------------------------------------------------------------------------------------------
def test_the_form_makes_a_basic_webhook_and_says_what_to_do_next():
    answer = client_of("Engineer").post(ADD, BASIC, follow=True)
    made = Integration.objects.get()
    assert (made.name, made.kind, made.settings["authorization"]) == (
        "soar",
        "webhook",
        {"type": "basic", "username": "cii"},
    )
    assert unseal(made.sealed)["authorization"] == {"password": "s3cret-pass"}
    page = text(answer)
    assert "Test its connectivity, then enable it on checks." in page
    assert "It is on no check yet" in page
    assert said() == ["Added.", "New signing secret; earlier ones stay valid for 24 hours at most."]


def test_the_signing_secret_is_shown_once_after_creation_and_never_again():
    client = client_of("Engineer")
    first = text(client.post(ADD, BASIC, follow=True))
    shown = re.search(r'value="(whsec_[^"]+)"', first)
    assert shown
    assert shown[1] == unseal(Integration.objects.get().signing_secrets.get().sealed)
    assert "whsec_" not in text(client.get(of(Integration.objects.get())))


def test_a_receiver_whose_url_is_the_secret_needs_no_authorization():
    """Such as a webhook of Tines or n8n."""
    data = {**BASIC, "authorization": "none", "username": "", "password": ""}
    page = text(client_of("Engineer").post(ADD, data, follow=True))
    assert Integration.objects.get().settings["authorization"] == {"type": "none"}
    assert "<dt>Authorization</dt><dd>None</dd>" in page


def test_the_form_makes_an_oauth_webhook_with_parameters_of_both_requests():
    data = {
        **OAUTH,
        **row("call", 0, "header", "X-Tenant", "acme"),
        **row("call", 1, "body", "team", "iam"),
        **row("token", 0, "body", "audience", "siem"),
        **row("token", 4, "query", "key", "hush-hush", secret=True),
    }
    assert client_of("Engineer").post(ADD, data).status_code == 302
    made = Integration.objects.get()
    assert made.settings["parameters"] == {"header": {"X-Tenant": "acme"}, "body": {"team": "iam"}}
    assert made.settings["authorization"] == {
        "type": "oauth",
        "endpoint": "https://id.example.com/…",
        "method": "PUT",
        "client_authentication": "basic",
        "client_id": "abc",
        "parameters": {"body": {"audience": "siem"}, "query": {"key": {"secret": True}}},
    }
    assert unseal(made.sealed)["authorization"] == {
        "client_secret": "s3cret-client",
        "parameters": {"query": {"key": "hush-hush"}},
    }


def test_a_preset_fills_in_what_its_receiver_wants_and_asks_for_its_secrets():
    client = client_of("Engineer")
    page = text(client.get("/integrations/add/google-secops/"))
    assert 'value="X-goog-api-key"' in page
    assert re.search(r'<option value="api_key" selected', page)
    assert 'value="X-Webhook-Access-Key"' in page
    assert "The secret key that the feed generated." in page
    assert "Add Google SecOps" in page
    assert "An API key of the Google Cloud project" in page
    datadog = text(client.get("/integrations/add/datadog/"))
    assert 'value="ddsource"' in datadog
    assert "An API key of the organisation." in datadog


def test_every_kind_and_preset_is_in_the_gallery_and_has_a_form():
    client = client_of("Engineer")
    slugs = re.findall(r'href="/integrations/add/([^/"]+)/"', text(client.get("/integrations/add/")))
    assert set(slugs) == set(KINDS) | {preset.slug for preset in PRESETS}
    for slug in slugs:
        assert client.get(f"/integrations/add/{slug}/").status_code == 200
    assert client.get("/integrations/add/carrier-pigeon/").status_code == 404


def test_a_kind_with_declared_fields_is_made_by_its_form_and_edited_without_its_secret():
    client = client_of("Engineer")
    data = {"name": "chat", "mode": "webhook", "url": "https://hooks.slack.com/services/T0/B0/s3cret-pass"}
    assert client.post("/integrations/add/slack/", data).status_code == 302
    made = Integration.objects.get()
    assert made.kind == "slack"
    edit = text(client.get(of(made, "edit/")))
    assert "s3cret-pass" not in edit
    shown = re.search(r'name="url"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="url"', edit)
    unchanged = {"name": "chat two", "mode": "webhook", "url": shown[1] or shown[2]}
    assert unchanged["url"] == "https://hooks.slack.com/…"
    assert client.post(of(made, "edit/"), unchanged).status_code == 302
    made.refresh_from_db()
    assert made.name == "chat two"
    assert services.target_of(made).settings["url"].endswith("s3cret-pass")


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"name": ""}, "name", "Write 1 to 64 characters"),
        ({"url": "ftp://example.com"}, "url", "http"),
        ({"username": "a:b"}, "username", "must not contain a colon"),
        ({"password": ""}, "password", "Write 1 to 512 characters"),
        ({"owner_email": "nobody"}, "owner_email", "e-mail address"),
        ({"timeout_answer": "31"}, "timeout_answer", "from 0.1 to 30"),
        ({"per_second": "-1"}, "per_second", "or leave it empty"),
        ({"signing_secret": "whsec_short"}, "signing_secret", "whsec_"),
        ({"ca": "nonsense"}, "ca", "BEGIN CERTIFICATE"),
        ({"max_attempts": "many"}, "max_attempts", "whole number"),
    ],
)
def test_an_error_stands_beside_its_field_and_nothing_is_saved(change, field, problem):
    answer = client_of("Engineer").post(ADD, {**BASIC, **change})
    assert answer.status_code == 200
    assert problem in beside(text(answer), field)
    assert not Integration.objects.exists()


def test_a_name_that_is_taken_is_refused_beside_the_name():
    webhook("Soar")
    answer = client_of("Engineer").post(ADD, BASIC)
    assert "Another integration has this name" in beside(text(answer), "name")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (row("call", 0, "header", "Host", "x"), "Leave this one out: it belongs to the connection."),
        (row("call", 0, "body", "detail", "x"), "the event itself has a key of this name"),
        (row("call", 0, "header", "A b", "x"), "no spaces"),
        (
            {**row("call", 0, "query", "a", "1"), **row("call", 1, "query", "a", "2")},
            "This name is used twice.",
        ),
        (row("call", 0, "header", "X-Key", "", secret=True), "Write the secret value."),
        (row("call", 0, "nowhere", "a", "1"), "Choose header, query string or body."),
    ],
)
def test_an_error_of_a_parameter_stands_in_its_row(rows, problem):
    answer = client_of("Engineer").post(ADD, {**BASIC, **rows})
    assert answer.status_code == 200
    found = re.findall(r'c-row-error"[^>]*>(.*?)</p>', text(answer))
    assert [error for error in found if problem in error]
    assert not Integration.objects.exists()


def test_what_was_written_stays_in_the_form_but_for_secrets():
    answer = client_of("Engineer").post(ADD, {**BASIC, "name": "", **row("call", 0, "query", "team", "iam")})
    page = text(answer)
    assert 'value="https://soar.example.com/hook"' in page
    assert 'value="iam"' in page
    assert "s3cret-pass" not in page


def test_saving_with_empty_secrets_keeps_them():
    client = client_of("Engineer")
    client.post(ADD, {**BASIC, **row("call", 0, "header", "X-Key", "hush-hush", secret=True)})
    made = Integration.objects.get()
    before = unseal(made.sealed)
    data = {
        **BASIC,
        "password": "",
        "description": "new",
        **row("call", 0, "header", "X-Key", "", secret=True),
    }
    assert client.post(of(made, "edit/"), data).status_code == 302
    made.refresh_from_db()
    assert made.description == "new"
    assert unseal(made.sealed) == before
    assert said()[-1] == "Changed description."


def test_saving_the_form_as_it_stands_changes_nothing_not_even_a_number_from_a_file():
    made = webhook(parameters={"header": {}, "query": {"flag": True}, "body": {"n": 5, "text": "5"}})
    client = client_of("Engineer")
    before = document_of(made)
    data = {
        **BASIC,
        "url": made.settings["url"],
        "password": "",
        **row("call", 0, "query", "flag", "true"),
        **row("call", 1, "body", "n", "5"),
        **row("call", 2, "body", "text", "5"),
    }
    answer = client.post(of(made, "edit/"), data, follow=True)
    made.refresh_from_db()
    assert document_of(made) == before
    assert "Nothing was changed." in text(answer)


# --- What can be done to one ---------------------------------------------------------------------------
ACTIONS = (
    "Edit",
    "Test connectivity",
    "Enable on checks…",
    "Deliveries",
    "Pause",
    "Rotate signing secret…",
    "Delete…",
)


def test_the_list_shows_state_checks_and_what_can_be_done_to_each():
    target = webhook("soar")
    for slug in ("no-mfa", "mfa-bypass", "guest-admin"):
        subscribe(check_of(slug), target)
    page = text(client_of("Engineer").get("/integrations/"))
    assert "Guest With Administrator Role" in page
    assert "2 more checks of soar" in page
    assert "Nothing sent yet" in page
    assert [action for action in ACTIONS if f"</span>{action}" not in page] == []


def test_the_targets_own_page_has_the_same_actions_as_buttons():
    target = webhook("soar")
    page = text(client_of("Engineer").get(of(target)))
    head = page[: page.index("</header>", page.index("c-page-header"))]
    found = re.findall(r'class="c-button[^>]*>\s*<span[^>]*>[a-z_]+</span>([^<]+)<', head)
    assert set(found) == set(ACTIONS)
    viewer = text(client_of("Viewer").get(of(target)))
    assert "Rotate signing secret…" not in viewer


def test_a_url_that_its_parameters_make_too_long_is_refused_beside_the_url():
    form = {
        **BASIC,
        "url": "https://soar.example.com/" + "a" * 2015,
        **row("call", 0, "query", "t", "acme-prod"),
    }
    page = text(client_of("Engineer").post(ADD, form))
    assert "together they may have 2,048 characters" in beside(page, "url")
    assert not Integration.objects.exists()


def test_a_target_offers_to_send_what_it_did_not_get():
    target = webhook("soar")
    later = timezone.now() + timedelta(minutes=30)
    for state in ("due", "due", "due", "dead", "dead"):
        delivered(target, state=state, due_at=later if state == "due" else None)
    delivered(target, state="test_failed", origin="connectivity")
    client, viewer = client_of("Engineer"), client_of("Viewer")
    page = text(client.post(of(target, "edit/"), BASIC, follow=True))
    assert "<strong>3 waiting</strong>, <strong>2 dead</strong>" in page
    assert of(target, "send/") in page
    assert of(target, "send/") not in text(viewer.get(of(target)))
    assert viewer.post(of(target, "send/"), headers=HTMX).status_code == 403
    client.post(of(target, "send/"), headers=HTMX)
    assert Delivery.objects.filter(state="due", due_at__lte=timezone.now()).count() == 5
    page = text(client.get(of(target)))
    assert "On the way: 3 that waited, 2 dead letters." in page
    assert "<strong>" not in page[page.index('id="unsent"') : page.index('id="test-result"')]
    assert said()[-1] == "Sent now: 3 waiting, 2 dead letters."
    client.post(of(target, "send/"), headers=HTMX)
    assert "Nothing waits any more." in text(client.get(of(target)))


@pytest.mark.parametrize(("status", "is_offered"), [(200, True), (500, False)])
def test_a_test_in_the_list_that_succeeds_offers_to_send_what_waits(status, is_offered):
    with Receiver() as receiver:
        receiver.script("/hook", Behaviour(status=status))
        target = webhook(url=receiver.url())
        delivered(target, state="dead")
        page = text(client_of("Operator").post(of(target, "test/?in=dialog"), headers=HTMX))
    assert ("<strong>1 dead</strong>" in page) == is_offered


def test_the_bad_day_of_a_target_says_what_failed_since_when_and_what_to_do():
    target = webhook("soar")
    Integration.objects.update(
        failing_since=timezone.now() - timedelta(hours=3), consecutive_failures=4, last_reason="Answered 401."
    )
    dead = delivered(target, state="dead", reason="Answered 401.")
    attempted(dead, status_code=401, outcome="permanent", reason="Answered 401.")
    page = text(client_of("Engineer").get(of(target)))
    failed = page[page.index('id="failing"') : page.index('id="on-no-check"')]
    assert "Failing since" in failed
    assert "4 times in a row" in failed
    assert f'href="/deliveries/{dead.pk}/"' in failed
    assert "<strong>401</strong> Answered 401." in failed
    assert "The receiver does not accept the credentials." in failed
    assert f'hx-post="{of(target, "test/")}"' in failed
    assert f'href="{of(target, "edit/")}"' in failed
    assert f"/deliveries/replay?target={target.pk}&amp;state=dead" in page
    viewer = text(client_of("Viewer").get(of(target)))
    assert "Answered 401." in viewer
    assert "hx-post" not in viewer[viewer.index('id="failing"') : viewer.index('id="on-no-check"')]


def test_equal_answers_of_a_failing_target_are_one_line_with_their_number():
    target = webhook("soar")
    Integration.objects.update(failing_since=timezone.now(), consecutive_failures=7)
    dead = delivered(target, state="dead", reason="Answered 401.")
    refused = {"status_code": 401, "outcome": "permanent", "reason": "Answered 401."}
    unavailable = {"status_code": 503, "outcome": "retryable", "reason": "Answered 503."}
    for number, answer in enumerate([refused] * 6 + [unavailable], start=1):
        attempted(dead, number=number, **answer)
    page = text(client_of("Viewer").get(of(target)))
    answers = page[page.index("Last answers") : page.index("</ul>", page.index("Last answers"))]
    assert answers.count("<li>") == 2
    assert '<strong>401</strong> Answered 401. <span class="c-badge">6 times</span>' in answers
    assert re.search(r"<strong>503</strong> Answered 503\.</span>", answers)


@pytest.mark.parametrize(("status", "is_cured"), [(200, True), (500, False)])
def test_a_test_that_succeeds_ends_the_failing_state_and_offers_to_send(status, is_cured):
    with Receiver() as receiver:
        receiver.script("/hook", Behaviour(status=status))
        target = webhook(url=receiver.url())
        since = timezone.now() - timedelta(hours=3)
        Integration.objects.update(failing_since=since, consecutive_failures=12, breaker_until=since)
        delivered(target, state="dead")
        page = text(client_of("Operator").post(of(target, "test/"), headers=HTMX))
    target.refresh_from_db()
    assert (target.failing_since is None) == is_cured
    assert (target.breaker_until is None) == is_cured
    assert target.consecutive_failures == (0 if is_cured else 12)
    assert ('id="failing" class="c-collapse" hx-swap-oob="true"' in page) == is_cured
    assert ("<strong>1 dead</strong>" in page) == is_cured
    cured = "No longer failing: a connectivity test was delivered."
    assert (cured in said()) == is_cured


def test_sending_all_that_waits_asks_first():
    target = webhook("soar")
    delivered(target, state="dead")
    page = text(client_of("Operator").get(of(target)))
    assert 'hx-confirm="Send 1 dead to “soar” now?"' in page


@pytest.mark.parametrize(
    ("failures", "words"),
    [
        (0, "Failing since 2 Mar 2026, 06:00 UTC: Answered 404."),
        (1, "Failing since 2 Mar 2026, 06:00 UTC, 1 time in a row: Answered 404."),
        (21, "Failing since 2 Mar 2026, 06:00 UTC, 21 times in a row: Answered 404."),
    ],
)
def test_a_failing_target_says_how_often_only_where_failures_are_counted(failures, words):
    """Refusals are no failures in a row: they do not count for the breaker."""
    target = webhook("soar")
    Integration.objects.update(
        failing_since=datetime(2026, 3, 2, 6, tzinfo=UTC),
        consecutive_failures=failures,
        last_reason="Answered 404.",
    )
    assert words in text(client_of("Viewer").get(of(target)))


def test_a_test_that_arrives_shows_status_latency_and_the_beginning_of_the_answer():
    with Receiver() as receiver:
        receiver.script("/hook", Behaviour(body=b"<b>welcome</b>" + b"x" * 5000))
        target = webhook(url=receiver.url())
        page = text(client_of("Operator").post(of(target, "test/?in=dialog"), headers=HTMX))
        sent = json.loads(receiver.requests[0].body)
    assert sent["detail-type"] == "WebhookTest"
    assert "Delivered" in page
    assert re.search(r"<dt>Status</dt><dd>200</dd>", page)
    assert re.search(r"<dt>Took</dt><dd>\d+ ms</dd>", page)
    assert "&lt;b&gt;welcome&lt;/b&gt;" in page
    assert page.count("x" * 1000) == 1
    assert "x" * 1024 not in page
    assert "It works, and is on no check yet." in page


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "does not accept the credentials"),
        (404, "Nothing is at this address"),
        (302, "redirects are not followed"),
        (500, "an internal error"),
        (429, "Requests per second"),
    ],
)
def test_a_test_that_fails_says_what_to_do(status, advice):
    with Receiver() as receiver:
        receiver.script("/hook", Behaviour(status=status, headers=[("Location", "https://example.com/")]))
        target = webhook(url=receiver.url())
        page = text(client_of("Operator").post(of(target, "test/"), headers=HTMX))
    assert f"<dd>{status}</dd>" in page
    assert advice in page
    assert "It works" not in page


def test_a_test_without_an_answer_says_so_and_what_to_do():
    target = webhook(url="http://127.0.0.1:9/hook")
    page = text(client_of("Operator").post(of(target, "test/?in=dialog"), headers=HTMX))
    assert "no answer" in page
    assert "What to do" in page
    assert 'id="c-dialog-title"' in page


def test_the_token_step_is_shown_apart_from_the_call():
    with Receiver() as receiver:
        receiver.script("/token", Behaviour(status=400, body=b'{"error": "invalid_client"}'))
        target = webhook(
            url=receiver.url(),
            authorization={
                "type": "oauth",
                "endpoint": receiver.url("/token"),
                "client_id": "abc",
                "client_secret": "token-secret",
            },
        )
        page = text(client_of("Operator").post(of(target, "test/"), headers=HTMX))
        assert not receiver.of("/hook")
    token = re.search(r"<dt>Token</dt><dd>(.*?)</dd>", page, re.S)
    assert token
    assert "invalid_client" in token[1]
    assert "check the authorization endpoint, client id and secret" in page
    assert "token-secret" not in page


def test_checks_are_chosen_in_a_dialog_and_taken_away_again():
    target = webhook()
    check_of()
    keep, drop, new = (Check.objects.get(slug=s) for s in ("no-mfa", "mfa-bypass", "guest-admin"))
    subscribe(keep, target)
    subscribe(drop, target)
    client = client_of("Operator")
    dialog = text(client.get(of(target, "checks/"), headers=HTMX))
    assert dialog.count(" checked") == 2
    answer = client.post(of(target, "checks/"), {"list": [keep.pk, new.pk]}, headers=HTMX)
    assert answer["HX-Refresh"] == "true"
    assert "is enabled on 2 checks" in text(client.get("/integrations/"))
    assert set(Subscription.objects.values_list("check_ref__slug", flat=True)) == {"no-mfa", "guest-admin"}
    assert len(said()) == 2


def test_a_target_that_reaches_people_is_enabled_for_each_audience_apart():
    target, check = webhook(), check_of()
    subscribe(check, target, audience="user")
    client = client_of("Operator")
    dialog = text(client.get(of(target, "checks/"), headers=HTMX))
    for label in ("the list of users", "each user", "each manager"):
        assert f'aria-label="No MFA Configured: {label}"' in dialog
    client.post(of(target, "checks/"), {"manager": [check.pk], "list": [check.pk, "x", 10**6]}, headers=HTMX)
    assert set(Subscription.objects.values_list("audience", flat=True)) == {"list", "manager"}


def test_choosing_checks_on_the_targets_own_page_leaves_the_rest_of_it_alone():
    target = webhook()
    check = check_of()
    headers = {**HTMX, "HX-Current-URL": f"http://testserver{of(target)}"}
    answer = client_of("Operator").post(of(target, "checks/"), {"list": [check.pk]}, headers=headers)
    assert "HX-Refresh" not in answer
    assert answer["HX-Reswap"] == "none"
    assert "is enabled on 1 check." in answer["HX-Trigger"]
    assert 'id="on-checks-card" hx-swap-oob="true"' in text(answer)
    assert "No MFA Configured" in text(answer)


def test_pausing_keeps_messages_and_resuming_starts_afresh():
    target = webhook()
    client = client_of("Operator")
    client.post(of(target, "pause/"), headers=HTMX)
    target.refresh_from_db()
    assert target.state == "paused"
    assert "Paused by operator." in text(client.get(of(target)))
    client.post(of(target, "resume/"), headers=HTMX)
    target.refresh_from_db()
    assert target.state == "active"
    assert said() == ["Paused.", "Resumed."]


def test_a_rotated_secret_is_shown_once_with_its_overlap():
    target = webhook()
    client = client_of("Engineer")
    wrong = client.post(of(target, "rotate/"), {"hours": "1000"}, headers=HTMX)
    assert wrong.status_code == 200
    assert "less than or equal to 720" in beside(text(wrong), "hours")
    assert target.signing_secrets.count() == 1
    page = text(client.post(of(target, "rotate/"), {"hours": "2"}, headers=HTMX))
    newest = target.signing_secrets.first()
    assert unseal(newest.sealed) in page
    assert "valid for 2 more hours" in page
    assert target.signing_secrets.count() == 2
    assert "whsec" not in "".join(said())


def test_deleting_says_what_it_affects_and_is_on_record():
    target = webhook("soar")
    subscribe(check_of(), target)
    delivered(target, state="due")
    client = client_of("Engineer")
    dialog = " ".join(text(client.get(of(target, "delete/"), headers=HTMX)).split())
    assert "1 check no longer notifies it: No MFA Configured" in dialog
    assert "1 message that waits to be sent" in dialog
    answer = client.post(of(target, "delete/"), headers=HTMX)
    assert answer["HX-Redirect"] == "/integrations/"
    assert not Integration.objects.exists()
    assert not Delivery.objects.exists()
    assert said()[-1] == "Deleted."


def test_the_page_of_one_shows_its_settings_without_secrets_and_its_last_deliveries():
    target = webhook(url="http://127.0.0.1:9/hook?key=hush-hush")
    delivered(target, state="dead", reason="The receiver answered 404 Not Found.", status_code=404)
    page = text(client_of("Viewer").get(of(target)))
    assert "http://127.0.0.1:9/…" in page
    assert "hook" not in page.replace("webhook", "").replace("Webhook", "")
    assert "hush-hush" not in page
    assert "The receiver answered 404 Not Found." in page


def test_the_checks_of_a_target_on_many_fold():
    target = webhook()
    slugs = sorted(CATALOGUE)[:10]
    for slug in slugs:
        subscribe(check_of(slug), target)
    page = text(client_of("Viewer").get(of(target)))
    assert "Enabled on 10 checks" in page
    shown, folded = page[page.index('id="on-checks"') :].split("<summary>2 more</summary>")
    assert (shown.count('class="c-badge"'), folded.split("</details>")[0].count('class="c-badge"')) == (8, 2)


# --- Plain http -----------------------------------------------------------------------------------------
def test_plain_http_is_refused_beside_the_url_and_allowed_by_the_switch(settings):
    settings.ALLOWED_NETWORKS = []
    client = client_of("Engineer")
    plain = BASIC | {"url": "http://soar.example.com/hook"}
    refused = text(client.post(ADD, plain))
    assert "allow plain http for this target" in beside(refused, "url")
    assert not Integration.objects.exists()
    assert client.post(ADD, plain | {"allow_plain_http": "on"}).status_code == 302
    made = Integration.objects.get()
    assert made.settings["allow_plain_http"] is True
    page = text(client.get(of(made, "edit/")))
    assert re.search(r'<input[^>]*name="allow_plain_http"[^>]*checked', page)


def test_a_target_that_is_called_by_plain_http_says_so_on_its_row_and_page():
    client = client_of("Engineer")
    client.post(ADD, BASIC | {"url": "http://soar.example.com/hook", "allow_plain_http": "on"})
    made = Integration.objects.get()
    viewer = client_of("Viewer")
    assert "Not encrypted" in text(viewer.get("/integrations/"))
    assert "The URL is called by plain http" in text(viewer.get(of(made)))
    client.post(of(made, "edit/"), BASIC)
    assert "Not encrypted" not in text(viewer.get("/integrations/"))
    assert "plain http" not in text(viewer.get(of(made)))


# --- Revealing a URL -----------------------------------------------------------------------------------
def test_an_engineer_reveals_a_url_on_record_and_nobody_else_does():
    target = webhook(url="https://hooks.example.com/services/s3cret-path?sig=s3cret-sig")
    page = text(client_of("Viewer").get(of(target)))
    assert "https://hooks.example.com/…" in page
    assert "Reveal" not in page
    assert client_of("Operator").post(of(target, "reveal/"), headers=HTMX).status_code == 403
    engineer = client_of("Engineer")
    assert "Reveal URL" in text(engineer.get(of(target)))
    assert engineer.get(of(target, "reveal/")).status_code == 405
    answer = engineer.post(of(target, "reveal/"), headers=HTMX)
    assert "https://hooks.example.com/services/s3cret-path?sig=s3cret-sig" in text(answer)
    assert "no-store" in answer["Cache-Control"]
    assert said()[-1] == "Revealed: URL."
    assert AuditEntry.objects.filter(action="reveal", actor="engineer").count() == 1


def test_a_target_without_such_a_url_has_nothing_to_reveal():
    target = webhook(url="https://hooks.example.com/")
    assert "Reveal" not in text(client_of("Engineer").get(of(target)))


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Engineer"])
def test_no_page_export_or_metric_shows_the_path_of_a_url(role, admin_client):
    target = webhook(url="https://hooks.example.com/services/s3cret-path?sig=s3cret-sig")
    failed = delivered(target, state="dead", reason="The receiver answered 404 Not Found.")
    client = client_of(role)
    pages = [
        "/", "/integrations/", of(target), of(target, "edit/"), "/deliveries/", f"/deliveries/{failed.id}/",
        f"/deliveries/?target={target.pk}", "/metrics", "/checks/no-mfa/failing.csv", "/checks/no-mfa/",
    ]  # fmt: skip
    shown = "".join(text(client.get(page)) for page in pages if "csv" not in page)
    shown += b"".join(client.get("/checks/no-mfa/failing.csv").streaming_content).decode()
    for page in (f"integration/{target.pk}/change/", "integration/", f"integration/{target.pk}/history/"):
        shown += text(admin_client.get(f"/admin/integrations/{page}", follow=True))
    shown += "".join(map(str, AuditEntry.objects.values()))
    assert "s3cret-path" not in shown.replace("q=s3cret-path", "")
    assert "s3cret-sig" not in shown


def test_a_url_that_is_left_as_it_is_shown_is_kept_and_its_edit_asks_for_the_secrets():
    client = client_of("Engineer")
    client.post(ADD, BASIC)
    target = Integration.objects.get()
    kept = {**BASIC, "url": "https://soar.example.com/…", "password": "", "description": "new"}
    assert client.post(of(target, "edit/"), kept).status_code == 302
    target = Integration.objects.get()
    assert target.description == "new"
    assert services.target_of(target).settings["url"] == BASIC["url"]
    moved = {**kept, "url": "https://soar.example.com/another"}
    assert "Enter it again" in beside(text(client.post(of(target, "edit/"), moved)), "password")
    guessed = {**kept, "url": "https://evil.example.com/…"}
    assert "Write the whole URL" in beside(text(client.post(of(target, "edit/"), guessed)), "url")


def test_every_card_of_the_gallery_has_a_logo():
    page = client_of("Engineer").get("/integrations/add/").content.decode()
    logos = re.findall(r'<img class="c-logo" src="/static/([^"]+)"', page)
    assert len(logos) > len(KINDS)
    assert [logo for logo in logos if finders.find(logo) is None] == []


def test_an_old_dialog_of_checks_undoes_nothing_that_another_member_changed():
    target = webhook()
    client = client_of("Operator")
    mfa, stale, manager = check_of("no-mfa"), check_of("password-age"), check_of("no-manager")
    subscribe(mfa, target)
    drawn = re.search(r'name="drawn" value="([^"]*)"', text(client.get(of(target, "checks/"))))
    assert drawn
    # Meanwhile another member takes the first away and adds the second.
    Subscription.objects.all().delete()
    subscribe(stale, target)
    data = {"drawn": drawn[1], "list": [str(mfa.pk), str(manager.pk)]}
    client.post(of(target, "checks/"), data, headers=HTMX)
    assert set(Subscription.objects.values_list("check_ref__slug", flat=True)) == {
        "password-age",
        "no-manager",
    }
