"""The basic use case, whole: users are imported, fail *No MFA*, and exactly those who newly fail are written to.

Once by way of a webhook and a small automation behind it (as Tines or Okta Workflows would), once by the e-mail
target itself, once to every kind of target at the same time.
"""

import json
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from checks.importing.apply import import_accounts
from checks.models import Check, Source
from checks.services import sync_catalogue
from integrations.models import Integration
from integrations.services import save_integration
from integrations.targets import KINDS
from integrations.transport import http
from notifications import services
from notifications.delivery import dispatcher, task_requests
from notifications.models import Delivery
from tests.doubles.azure import Azure
from tests.doubles.eventbridge import KEY_ID, REGION, SECRET, Bus
from tests.doubles.googlechat import Space
from tests.doubles.jira import Site
from tests.doubles.mail import Mailbox, mail_server
from tests.doubles.mail_apis import (
    CLIENT_SECRET,
    DOMAIN,
    MAILGUN_KEY,
    SENDGRID_KEY,
    TENANT as GRAPH_TENANT,
    GraphApi,
    MailgunApi,
    SendGridApi,
)
from tests.doubles.servicenow import Instance
from tests.doubles.slack import TOKEN, Workspace
from tests.doubles.snowflake import SqlApi
from tests.integrations.targets.test_sentinel import document as sentinel
from tests.integrations.targets.test_snowflake import KEY, document as snowflake
from tests.receiver import Behaviour, Receiver, Recorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
        http.close_idle()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def no_mfa(monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.setattr(
        task_requests, "async_task", lambda *_: None
    )  # the tests do the queue's work themselves
    sync_catalogue()
    return Check.objects.get(slug="no-mfa")


def okta(*people: tuple[str, bool], manager: str = "boss@example.com") -> None:
    """Import the directory: each person's e-mail and whether a second factor is enrolled."""
    source, _ = Source.objects.get_or_create(slug="okta", defaults={"name": "Okta", "provider": "OKTA"})
    records: list[tuple[int, dict[str, Any]]] = [
        (
            line,
            {
                "login": email,
                "email": email,
                "display_name": email.partition("@")[0].title(),
                "status": "active",
                "user_type": "internal",
                "manager": "" if email == manager else manager,
                "created_at": "2020-01-01",
                "last_sign_in_at": "2026-01-01",
                "mfa_factors": [{"kind": "fido2"}] if enrolled else [],
            },
        )
        for line, (email, enrolled) in enumerate(people, start=1)
    ]
    import_accounts(records, source=source)


def run() -> None:
    services.run_and_notify(trigger="command", slugs=("no-mfa",))
    dispatcher.dispatch(seconds=10)
    assert set(Delivery.objects.values_list("state", flat=True)) <= {"delivered"}, list(
        Delivery.objects.exclude(state="delivered").values_list("state", "reason")
    )


def automation(port: int):
    """What an operator builds behind the webhook: a mail to each user of a FAILED_CHECK event."""

    def react(request: Recorded) -> Behaviour:
        if request.header("x-token") != "sesame":
            return Behaviour(status=401)
        event = json.loads(request.body)
        with smtplib.SMTP("127.0.0.1", port, local_hostname="automation") as server:
            for login in event["detail"]["usersFailing"]:
                mail = EmailMessage()
                mail["From"], mail["To"], mail["Subject"] = "it@example.com", login, event["detail"]["title"]
                mail.set_content("\n".join(event["detail"]["recommendedActions"]))
                server.send_message(mail)
        return Behaviour(status=202)

    return react


def test_a_webhook_and_an_automation_write_to_each_newly_failing_user_and_to_nobody_else(
    no_mfa, receiver, mailbox
):
    receiver.script("/automation", automation(mailbox.port))
    document = {
        "url": receiver.url("/automation"),
        "authorization": {"type": "api_key", "name": "x-token", "value": "sesame"},
    }
    services.subscribe(no_mfa, save_integration(name="Tines", kind="webhook", document=document).integration)
    okta(
        ("boss@example.com", True),
        ("kim@example.com", False),
        ("lee@example.com", False),
        ("max@example.com", True),
    )
    run()
    assert sorted(mail["To"] for mail in mailbox.mails) == ["kim@example.com", "lee@example.com"]
    assert {mail["Subject"] for mail in mailbox.mails} == {"No MFA Configured"}
    # The next day one passes and another newly fails: the mail goes to that one alone.
    okta(
        ("boss@example.com", True),
        ("kim@example.com", True),
        ("lee@example.com", False),
        ("max@example.com", False),
    )
    run()
    assert [mail["To"] for mail in mailbox.mails[2:]] == ["max@example.com"]


def test_the_e_mail_target_writes_to_each_user_to_the_managers_and_to_the_list(no_mfa, mailbox):
    document = {
        "host": "127.0.0.1", "port": mailbox.port, "security": "none", "sender": "checks@example.com",
        "to": ["soc@example.com"],
    }  # fmt: skip
    target = save_integration(name="Mail", kind="email", document=document).integration
    for audience in ("list", "user", "manager"):
        services.subscribe(no_mfa, target, audience)
    okta(("boss@example.com", True), ("kim@example.com", False), ("lee@example.com", False))
    run()
    to = [address for envelope in mailbox.envelopes for address in envelope.rcpt_tos]
    assert sorted(set(to)) == ["boss@example.com", "kim@example.com", "lee@example.com", "soc@example.com"]
    assert [to.count(f"{name}@example.com") for name in ("kim", "lee", "soc")] == [1, 1, 1]
    managers = "".join(
        mail.get_body(("plain",)).get_content() for mail in mailbox.mails if "boss@example.com" in mail["To"]
    )
    assert "kim@example.com" in managers
    assert "lee@example.com" in managers
    sent = len(mailbox.envelopes)
    run()
    assert len(mailbox.envelopes) == sent
    own = next(mail for mail in mailbox.mails if "kim@example.com" in mail["To"])
    text = own.get_body(("plain",)).get_content()
    assert "Your account has no second sign-in step" in text
    assert "Set up a second step" in text
    assert "lee@example.com" not in text


def test_one_run_tells_every_kind_of_target_and_each_can_be_tested(
    no_mfa, receiver, mailbox, settings, tmp_path
):
    settings.DATA_DIR = tmp_path
    here = receiver.url("")
    workspace = Workspace(receiver, members={"kim@example.com": "U0KIM"})
    site, instance, azure = Site(receiver), Instance(receiver), Azure(receiver)
    space, bus = Space(receiver), Bus(receiver)
    mails = [SendGridApi(receiver), MailgunApi(receiver), GraphApi(receiver)]
    SqlApi(receiver, KEY.public_key()).answers = [Behaviour(body=b'{"code":"090001"}')] * 2
    receiver.script("/teams", Behaviour(status=202))
    receiver.script("/v2/enqueue", Behaviour(status=202))
    receiver.script("/v1/messages", Behaviour(body=b'{"id":"M"}'))
    documents = {
        "webhook": {
            "url": f"{here}/hook",
            "authorization": {"type": "api_key", "name": "x-token", "value": "sesame"},
        },
        "slack": {"mode": "bot", "token": TOKEN, "channel": "#identity", "api_url": f"{here}/api"},
        "teams": {"url": f"{here}/teams"},
        "webex": {"token": "the-bots-token", "room_id": "ROOM", "api_url": f"{here}/v1"},
        "email": {
            "host": "127.0.0.1", "port": mailbox.port, "security": "none", "sender": "a@example.com",
            "to": "soc@example.com",
        },
        "jira": {"url": here, "email": "robot@example.com", "api_token": "the-api-token", "project": "SEC"},
        "servicenow": {"url": here, "username": "robot", "password": "the-password"},
        "pagerduty": {"routing_key": "k" * 32, "api_url": here},
        "sentinel": sentinel(receiver),
        "snowflake": snowflake(url=here),
        "splunk": {"url": here, "token": "hec-token"},
        "googlechat": {"url": space.url},
        "sendgrid": {"api_key": SENDGRID_KEY, "sender": "checks@example.com", "to": "soc@example.com", "api_url": here},
        "mailgun": {
            "api_key": MAILGUN_KEY, "domain": DOMAIN, "sender": "checks@example.com", "to": "soc@example.com",
            "api_url": here,
        },
        "msgraph": {
            "tenant_id": GRAPH_TENANT, "client_id": GRAPH_TENANT, "client_secret": CLIENT_SECRET,
            "sender": "checks@example.com", "to": "soc@example.com", "api_url": here, "login_url": here,
        },
        "eventbridge": {
            "region": REGION, "access_key_id": KEY_ID, "secret_access_key": SECRET,
            "endpoint": receiver.url(""),
        },
        "file": {"destination": "file", "file_name": "events.jsonl"},
    }  # fmt: skip
    assert set(documents) == set(KINDS)
    for kind, document in documents.items():
        target = save_integration(name=kind, kind=kind, document=document).integration
        services.subscribe(no_mfa, target)
        if kind == "slack":
            services.subscribe(no_mfa, target, "user")
    okta(("boss@example.com", True), ("kim@example.com", False))
    run()
    assert sorted(message["channel"] for message in workspace.posted) == ["#identity", "U0KIM"]
    for path in (
        "/hook",
        "/teams",
        "/v1/messages",
        "/v2/enqueue",
        "/api/v2/statements",
        "/services/collector/event",
    ):
        (request,) = receiver.of(path)
        assert b"kim@example.com" in request.body, path
    assert len(mailbox.envelopes) == len(site.issues) == len(instance.incidents) == 1
    assert [row["Login"] for row in azure.rows] == ["kim@example.com"]
    assert [len(api.sent) for api in mails] == [1, 1, 1]
    ((card,),) = space.threads.values()
    assert "kim@example.com" in json.dumps(card)
    assert [entry["Detail"]["usersFailing"] for entry in bus.taken] == [["kim@example.com"]]
    (line,) = (tmp_path / "events" / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["detail"]["usersFailing"] == ["kim@example.com"]
    for kind in documents:
        tested = services.test_connectivity(Integration.objects.get(kind=kind))
        assert tested.state == "delivered", (kind, tested.reason)
