"""After FIELD_KEYS were lost: no page and no command breaks, each says what to do, and all can be repaired in the pages."""

import re

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from checks.models import Run
from integrations import services
from integrations.auth.sealing import seal
from integrations.models import Integration, OAuthToken
from integrations.services import save_integration
from integrations.targets import KINDS
from notifications.delivery.dispatcher import dispatch
from notifications.models import Delivery
from notifications.services import run_and_notify, subscribe
from tests.console.checks_world import HTMX, check_of, client_of, delivered, fail, text
from tests.console.test_integrations import BASIC, OAUTH, row
from tests.integrations.targets.test_every_kind import SAMPLES, asked_again, document
from tests.receiver import Behaviour, Receiver

pytestmark = pytest.mark.django_db
LOST = "cannot be opened with any key of FIELD_KEYS"
WEBHOOK = {
    "url": "https://soar.example.com/hook",
    "authorization": {"type": "basic", "username": "cii", "password": "s3cret-pass"},
    "parameters": {"header": {"X-Key": {"value": "hush-hush", "secret": True}}},
}


def lost(settings, kind: str = "webhook", sample: dict | None = None) -> Integration:
    made = save_integration(name="soar", kind=kind, document=sample or WEBHOOK).integration
    OAuthToken.objects.create(integration=made, sealed=seal({"token": "t"}))
    lose_keys(settings)
    return made


def lose_keys(settings) -> None:
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]


def of(target: Integration, action: str = "") -> str:
    return f"/integrations/{target.pk}/{action}"


def test_no_page_of_the_target_breaks_and_each_says_what_is_wrong(settings):
    target = lost(settings)
    delivery = delivered(target, state="dead")
    client = client_of("Engineer")
    said = [of(target), of(target, "edit/"), "/"]
    for page in (
        *said,
        "/integrations/",
        f"/deliveries/{delivery.id}/",
        of(target, "rotate/"),
        of(target, "checks/"),
    ):
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert (LOST in text(answer)) == (page in said), page
    assert "“soar”" in text(client.get("/"))


@pytest.mark.parametrize("place", ["", "?in=dialog"])
def test_a_test_says_why_nothing_was_sent(settings, place):
    target = lost(settings)
    page = text(client_of("Operator").post(of(target, f"test/{place}"), headers=HTMX))
    assert LOST in page
    assert "Enter the secrets again under Edit" in page


def test_a_test_message_a_reveal_and_a_replay_do_not_break(settings):
    target = lost(settings)
    delivery = delivered(target, state="dead")
    client = client_of("Engineer")
    tested = client.post(
        f"/checks/no-mfa/messages/test/{target.pk}?kind=webhook", {"text": "Hi"}, headers=HTMX
    )
    assert tested.status_code == 200
    assert LOST in text(tested)
    assert LOST in text(client.post(of(target, "reveal/"), headers=HTMX))
    assert client.post(f"/deliveries/{delivery.id}/replay").status_code == 302


def test_a_run_plans_for_it_and_the_worker_says_why_nothing_goes(settings):
    target = lost(settings)
    check = check_of()
    fail("kim@example.com")
    subscribe(check, target)
    run_and_notify(trigger=Run.Trigger.COMMAND, slugs=("no-mfa",))
    delivery = Delivery.objects.get(state="due")
    dispatch(seconds=0.5)
    delivery.refresh_from_db()
    assert delivery.state == "due"
    reasons = list(delivery.log.values_list("reason", flat=True))
    assert reasons
    assert all(LOST in reason for reason in reasons)


def test_a_rotation_ends_the_secret_that_nothing_opens(settings):
    target = lost(settings)
    page = text(client_of("Engineer").post(of(target, "rotate/"), {"hours": "24"}, headers=HTMX))
    assert "whsec_" in page
    assert target.signing_secrets.count() == 1
    assert not services.has_lost_signing_secret(target)


def test_each_secret_field_says_so_and_can_be_entered_again(settings):
    target = lost(settings)
    client = client_of("Engineer")
    edit = text(client.get(of(target, "edit/")))
    for name in ("url", "password", "signing_secret"):
        block = re.search(rf'<div id="div_id_{name}".*?(?=<div id="div_id_)', edit, re.S)
        assert LOST in block[0], name
    assert edit.count(LOST) >= 4  # and the header's
    hidden = row("call", 0, "header", "X-Key", "", secret=True)
    refused = text(
        client.post(
            of(target, "edit/"), {**BASIC, **hidden, "url": "https://soar.example.com/…", "password": ""}
        )
    )
    assert refused.count(f"The stored secret {LOST}. Enter it again.") >= 3
    again = {**BASIC, **row("call", 0, "header", "X-Key", "hush-2", secret=True)}
    saved = client.post(of(target, "edit/"), again, follow=True)
    assert "whsec_" in text(saved), "a new signing secret is made and shown once"
    target = Integration.objects.get()
    opened = services.target_of(target)
    assert opened.secrets == {
        "authorization": {"password": "s3cret-pass"},
        "parameters": {"header": {"X-Key": "hush-2"}},
    }
    assert opened.settings["url"] == BASIC["url"]
    assert len(opened.signing_secrets) == 1
    assert services.with_lost_secrets(Integration.objects.all()) == []
    assert LOST not in text(client.get("/"))


@pytest.mark.parametrize(("kind", "sample"), [(kind, one) for kind, all in SAMPLES.items() for one in all])
def test_the_form_of_every_kind_says_so(settings, kind, sample):
    first = KINDS[kind].clean(document(sample))
    target = lost(settings, kind, document(sample))
    edit = text(client_of("Engineer").get(of(target, "edit/")))
    fields = asked_again(KINDS[kind], first) | {
        path for path in KINDS[kind].sealed_urls if path in first.settings
    }
    assert edit.count(LOST) >= len(fields)


def test_a_secret_shown_once_that_nothing_opens_any_more_is_not_shown(settings):
    client = client_of("Engineer")
    client.post("/integrations/add/webhook/", BASIC)
    lose_keys(settings)
    assert client.get(of(Integration.objects.get())).status_code == 200


def test_a_token_that_nothing_opens_is_asked_for_again(settings):
    with Receiver() as receiver:
        receiver.script("/token", Behaviour(body=b'{"access_token":"new-token-1","token_type":"Bearer"}'))
        document = {
            "url": receiver.url(),
            "authorization": {
                "type": "oauth", "endpoint": receiver.url("/token"), "client_id": "a", "client_secret": OAUTH["client_secret"],
            },
        }  # fmt: skip
        target = lost(settings, "webhook", document)
        saved = save_integration(
            name="soar", kind="webhook", document=document, integration=target
        ).integration
        OAuthToken.objects.update_or_create(integration=saved, defaults={"sealed": "what no key opens"})
        client_of("Operator").post(of(saved, "test/"), headers=HTMX)
        assert receiver.of("/hook")[0].header("Authorization") == "Bearer new-token-1"


def test_rotate_keys_names_the_targets(settings):
    lost(settings)
    with pytest.raises(CommandError, match=rf"integration soar, .* {LOST}"):
        call_command("rotate_keys")


def test_a_configuration_file_with_the_secrets_repairs_it(settings, tmp_path):
    lost(settings)
    path = tmp_path / "c.yaml"
    path.write_text("integrations: [{name: soar, description: mended}]")
    with pytest.raises(CommandError, match=rf"authorization.password: The stored secret {LOST}"):
        call_command("apply_config", path)
    path.write_text(
        "integrations: [{name: soar, url: 'https://soar.example.com/hook', signing: {enabled: false}, parameters: {},"
        " authorization: {type: basic, username: cii, password: s3cret-pass}}]"
    )
    call_command("apply_config", path)
    assert services.target_of(Integration.objects.get()).secrets == {
        "authorization": {"password": "s3cret-pass"}
    }
